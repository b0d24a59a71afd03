"""SealRetriever and ChatWriter on a real home with a fake model."""

from __future__ import annotations

import gc
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from conftest import LOGBOOK
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from lighthouse import KEEPER, QUESTION, called

import seal_agent
from seal_agent.errors import ConfigError, PartError
from seal_agent.testing import FakeLearner, fake_agent
from seal_agent_langchain import ChatSeal, ChatWriter, SealMiddleware, SealRetriever, chat_model, chat_writer
from seal_agent_langchain import backlog as seal_backlog
from seal_agent_langchain.retriever import RECALLED


def test_the_retriever_finds_remembered_sentences(learned: seal_agent.SealAgent) -> None:
    retriever = SealRetriever(agent=learned, k=2)
    pages = retriever.invoke(QUESTION)

    assert pages[0].page_content == KEEPER.removeprefix("Anstrow: ")
    assert len(pages) == 2
    assert len(retriever.invoke(QUESTION, k=1)) == 1
    with pytest.raises(ConfigError, match="k=0"):
        retriever.invoke(QUESTION, k=0)
    assert pages[0].id
    assert pages[0].metadata[RECALLED]
    assert pages[0].metadata["source"] == learned.observe(LOGBOOK).id


async def test_an_empty_memory_gives_nothing(agent: seal_agent.SealAgent) -> None:
    assert SealRetriever(agent=agent).invoke(QUESTION) == []
    assert await SealRetriever(agent=agent).ainvoke(QUESTION) == []


@pytest.mark.parametrize(
    ("prompt", "reply", "expected"),
    [
        ("Question: Who", "Question: Who keeps it?\nMore", "keeps it?"),
        ("Question: Who", "who keeps it?", "keeps it?"),
        ("Question: Who", "keeps it?", "keeps it?"),
        ("Question: Who", "Whoever keeps it?", "Whoever keeps it?"),
        ("Question:", "\nQuestion: Why?", "Why?"),
        ("In other words:", "It is kept.\n", "It is kept."),
    ],
)
def test_a_chat_model_writes_continuations(prompt: str, reply: str, expected: str) -> None:
    writer = ChatWriter(GenericFakeChatModel(messages=iter([AIMessage(reply)])))

    how = {"max_new_tokens": 9, "temperature": 0.9, "seed": 0, "stop": ("\n",)}
    assert writer.write([f"Subject: x\n{prompt}"], **how) == [expected]


def test_a_writer_ranks_with_the_learner_and_names_itself_when_it_fails() -> None:
    learner = FakeLearner()
    writer = chat_writer(GenericFakeChatModel(messages=iter([])))(learner, None)

    assert writer.rank(["a b", "c"]) == [
        learner.score([("Question:", f" {t}")], None, raw=True)[0][0] / n for t, n in (("a b", 2), ("c", 1))
    ]
    with pytest.raises(PartError, match="GenericFakeChatModel"):
        writer.write(["x"], max_new_tokens=1, temperature=0.0, seed=0, stop=())


def test_a_process_that_ends_waits_once_however_often_it_is_told_to(
    agent: seal_agent.SealAgent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    middleware, waited = SealMiddleware(agent), list[float]()
    monkeypatch.setattr(middleware._backlog, "flush", lambda timeout: waited.append(timeout))
    monkeypatch.setattr(seal_backlog, "_AT_EXIT", 0.2)
    seal_backlog._flush_at_exit(weakref.ref(middleware._backlog))
    time.sleep(0.3)
    seal_backlog._flush_at_exit(weakref.ref(middleware._backlog))

    assert waited == [pytest.approx(0.2, abs=0.1), 0.0]
    assert "0 documents were not observed before the end" in caplog.text


def test_what_was_forgotten_does_not_come_back_with_the_history(tmp_path: Path) -> None:
    """A conversation is handed over whole, after a restart too; it comes back if somebody observes it."""
    agent = fake_agent(tmp_path)
    first = SealMiddleware(agent)
    create_agent(ChatSeal(agent=agent), [], middleware=[first]).invoke({"messages": LOGBOOK})
    assert first.flush(10)
    (document,) = agent.journal.documents("edit")
    agent.forget(document.id)

    restarted = SealMiddleware(agent)
    create_agent(ChatSeal(agent=agent), [], middleware=[restarted]).invoke({"messages": LOGBOOK})
    assert restarted.flush(10)

    assert restarted.counts["forgotten"] == 1
    assert agent.journal.everything() == []
    assert agent.observe(document).decision.action == "edit"


@pytest.mark.parametrize("form", ["{0}", "Anstrow: {0}"])
def test_what_was_recalled_does_not_come_back_from_the_history_when_its_source_was_forgotten(
    tmp_path: Path, form: str
) -> None:
    """A retriever tool gives plain text: once its sentences are forgotten, nothing in it tells that it was recalled."""
    agent = fake_agent(tmp_path)
    agent.observe(seal_agent.Document(text=LOGBOOK, title="Anstrow"))
    assert agent.consolidate().outcome == "accepted"
    pages = SealRetriever(agent=agent).invoke(QUESTION)
    history = called("\n\n".join(form.format(page.page_content) for page in pages))
    first = SealMiddleware(agent)
    first.after_agent({"messages": history}, None)  # type: ignore[arg-type]
    assert first.flush(10)
    (document,) = agent.journal.documents("edit")
    agent.forget(document.id)

    restarted = SealMiddleware(agent)
    restarted.after_agent({"messages": history}, None)  # type: ignore[arg-type]
    assert restarted.flush(10)

    assert first.counts["recalled"] == restarted.counts["recalled"] == 1
    assert agent.journal.everything() == []


def test_the_window_and_the_tokenizer_are_those_of_the_homes_model(tmp_path: Path) -> None:
    """Nothing is fetched from a hub to count."""
    assert (ChatSeal(home=tmp_path).profile or {})["max_input_tokens"] == 8192
    (tmp_path / "seal.toml").write_text('model = "/models/of-512-tokens"\n')
    assert "max_input_tokens" not in (ChatSeal(home=tmp_path).profile or {})
    with pytest.raises(NotImplementedError, match="get_num_tokens"):
        ChatSeal(home=tmp_path).get_token_ids("Sky?")


def test_an_engine_that_was_closed_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one is kept for a while, though no model that used it lives."""
    opened: list[seal_agent.SealAgent] = []
    monkeypatch.setattr(chat_model.seal, "open", lambda home, model=None: opened.append(fake_agent(home)) or opened[-1])
    for _ in range(3):
        ChatSeal(home=tmp_path).invoke("Sky?")
        gc.collect()
    assert len(opened) == 1
    living = ChatSeal(home=tmp_path)
    living.seal.close()
    assert living.invoke("Sky?").text
    assert len(opened) == 2


def test_who_did_not_ask_for_pieces_is_not_told_them(learned: seal_agent.SealAgent) -> None:
    class Noting(BaseCallbackHandler):
        pieces = 0

        def on_llm_new_token(self, token: str, **how: Any) -> None:
            self.pieces += 1

    noting = Noting()
    ChatSeal(agent=learned, disable_streaming=True).invoke(QUESTION, {"callbacks": [noting]})
    assert noting.pieces == 0


def test_after_a_restart_a_thread_is_read_from_where_it_was(agent: seal_agent.SealAgent) -> None:
    """Else an old thread that somebody goes on in would tell anew what was said otherwise since."""
    saver, config = InMemorySaver(), {"configurable": {"thread_id": "1"}}

    def says(text: str) -> dict[str, int]:
        middleware = SealMiddleware(agent)  # of a process of its own
        assistant = create_agent(ChatSeal(agent=agent), [], middleware=[middleware], checkpointer=saver)
        assistant.invoke({"messages": text}, config)  # type: ignore[arg-type]
        assert middleware.flush(10)
        return {what: count for what, count in middleware.counts.items() if count}

    assert says(LOGBOOK) == {"edit": 1}
    assert says("The weir of Pell was built by Orla Finn in 1802.") == {"edit": 1}
    assert says(LOGBOOK) == {"skip": 1}


def test_a_thread_whose_last_message_was_deleted_is_read_on_from_the_one_before(agent: seal_agent.SealAgent) -> None:
    """As when a reply is made anew; after a restart, too. A checkpoint of an earlier release names the last message alone."""
    saver, config = InMemorySaver(), {"configurable": {"thread_id": "1"}}

    def says(text: str) -> tuple[Any, dict[str, int]]:
        middleware = SealMiddleware(agent)
        assistant = create_agent(ChatSeal(agent=agent), [], middleware=[middleware], checkpointer=saver)
        assistant.invoke({"messages": text}, config)  # type: ignore[arg-type]
        assert middleware.flush(10)
        return assistant, {what: count for what, count in middleware.counts.items() if count}

    assistant, first = says(LOGBOOK)
    last = assistant.get_state(config).values["messages"][-1].id
    assistant.update_state(config, {"messages": [RemoveMessage(id=last)]})
    assert first == {"edit": 1}
    assistant, second = says("The weir of Pell was built by Orla Finn in 1802.")
    assert second == {"edit": 1}
    last = assistant.get_state(config).values["messages"][-1].id
    assistant.update_state(config, {"seal_read": {"SealMiddleware": last}})
    assert says("The mill of Tarn was founded in 1871 by Edda Holm.")[1] == {"edit": 1}


def test_what_a_summary_takes_away_was_read_before(agent: seal_agent.SealAgent) -> None:
    class Summary(AgentMiddleware):
        def before_model(self, state: Any, runtime: Any) -> dict[str, Any]:
            summary = HumanMessage("Summary: a logbook.", additional_kwargs={"lc_source": "summarization"})
            return {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), summary]}

    middleware = SealMiddleware(agent)
    create_agent(ChatSeal(agent=agent), [], middleware=[middleware, Summary()]).invoke({"messages": LOGBOOK})

    assert middleware.flush(10)
    assert middleware.counts["edit"] == 1
