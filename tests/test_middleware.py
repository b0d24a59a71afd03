"""SealMiddleware on a real home with a fake model: what it learns, its queue, one version for a run."""

from __future__ import annotations

import asyncio
import json
import threading
import weakref
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import LOGBOOK, Make
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelFallbackMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.caches import InMemoryCache
from langchain_core.documents import Document as Page
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableBinding
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from lighthouse import (
    ESCAPED,
    KEEPER,
    MARKED,
    QUESTION,
    TODOS,
    WRAPPED,
    WROTE,
    Stuck,
    called,
    fresh_process,
    observed,
    texts,
)
from pydantic import BaseModel

import seal_agent
from seal_agent.errors import ConfigError
from seal_agent.testing import NOTHING, fake_agent
from seal_agent_langchain import ChatSeal, SealMiddleware, SealRetriever, outside
from seal_agent_langchain import backlog as seal_backlog
from seal_agent_langchain.retriever import RECALLED

# -- what is learned


def test_tool_results_and_what_users_say_are_observed(agent: seal_agent.SealAgent) -> None:
    said = "The mill of Tarn was founded in 1871 by Edda Holm."

    assert observed(agent, [HumanMessage(said), *called(LOGBOOK), AIMessage("I see, thank you for this text.")]) == {
        said,
        LOGBOOK,
    }


def test_learn_from_chooses(agent: seal_agent.SealAgent) -> None:
    assert observed(agent, [HumanMessage("Tarn lies in the east."), *called(LOGBOOK)], learn_from="tool") == {LOGBOOK}
    with pytest.raises(ConfigError, match="never a source"):
        SealMiddleware(agent, learn_from=("ai",))


@pytest.mark.parametrize(
    "messages",
    [
        [AIMessage(LOGBOOK)],
        [SystemMessage(LOGBOOK)],
        [AIMessage(LOGBOOK), HumanMessage(LOGBOOK)],
        [AIMessage(LOGBOOK), HumanMessage(f"You said: {LOGBOOK}")],
        [HumanMessage(LOGBOOK, additional_kwargs={"lc_source": "summarization"})],
        [HumanMessage(LOGBOOK, additional_kwargs={RECALLED: True})],
        called(LOGBOOK, additional_kwargs={RECALLED: True}),
        called(LOGBOOK, status="error"),
        called(f"Updated the list to {[{'content': LOGBOOK}]}", {"todos": [{"content": LOGBOOK}]}),
        called(json.dumps({"path": "a.md", "content": WROTE}), {"content": WROTE}),
        called("\n".join(f"{n:6}\t{line}" for n, line in enumerate(WROTE.splitlines(), 1)), {"content": WROTE}),
        called("\n".join(WROTE.splitlines()[:3]), {"content": WROTE}),
        [AIMessage(MARKED), HumanMessage("You wrote:\n> " + MARKED.replace("\n", "\n> "))],
        called("Mirelle Oake keeps Anstrow's lamp.", {"command": 'echo "Mirelle Oake keeps Anstrow\'s lamp."'}),
        called("\n".join(f"{n:6}\t{line}" for n, line in enumerate(MARKED.splitlines(), 1)), {"content": MARKED}),
        called("\n".join(WRAPPED.splitlines()[:4]), {"content": WRAPPED}),
        called(json.dumps({"content": ESCAPED}), {"content": ESCAPED}),
        [AIMessage("灯塔由米雷尔看守。灯塔建于一八四三年。"), HumanMessage("灯塔由米雷尔看守。灯塔建于一八四三年。")],
        called(f"Updated todo list to {TODOS}", {"todos": TODOS}),
        called(f"Returning structured response: {LOGBOOK}"),
        called(LOGBOOK, artifact=[Page(LOGBOOK, metadata={RECALLED: True})]),
        called("   "),
    ],
    ids=[
        "ai",
        "system",
        "pasted",
        "quoted",
        "summary",
        "marked",
        "marked-tool",
        "error",
        "echo",
        "echo-json",
        "echo-numbered",
        "echo-head",
        "quoted-marked",
        "echo-command",
        "echo-marked",
        "echo-wrapped",
        "echo-escaped",
        "pasted-unspaced",
        "todos",
        "structured",
        "pages",
        "empty",
    ],
)
def test_nothing_of_its_own_and_nothing_recalled_is_observed(agent: seal_agent.SealAgent, messages: list[Any]) -> None:
    assert observed(agent, messages) == set()


def test_a_structured_answer_is_not_learned(agent: seal_agent.SealAgent) -> None:
    class Report(BaseModel):
        finding: str

    call = {"name": "Report", "args": {"finding": LOGBOOK}, "id": "1"}
    model = ToolReady(messages=iter([AIMessage("", tool_calls=[call])]))
    middleware = SealMiddleware(agent)
    made = create_agent(model, [], middleware=[middleware], response_format=ToolStrategy(Report)).invoke(
        {"messages": "?"}
    )

    assert made["structured_response"].finding == LOGBOOK
    assert middleware.flush(10)
    assert LOGBOOK not in " ".join(texts(agent))


def test_what_is_too_long_for_the_home_is_refused_once_and_counted(make: Make) -> None:
    """The home's limit, not another one; and not in silence."""
    middleware = SealMiddleware(make(max_document_bytes=60))
    short = "Tarn has a mill."
    for _ in range(2):
        middleware.after_agent({"messages": [*called(LOGBOOK), *called(short)]}, None)  # type: ignore[arg-type]

    assert middleware.flush(10)
    assert middleware.counts["failed"] == 1
    assert texts(middleware.agent) == {short}


def test_pages_of_a_retriever_tool_are_observed_one_by_one(agent: seal_agent.SealAgent) -> None:
    pages = [Page("Tarn has a mill.", metadata={"title": "Tarn"}), Page(LOGBOOK, metadata={RECALLED: True})]

    assert observed(agent, called("both joined", artifact=pages)) == {"Tarn has a mill."}


@pytest.mark.parametrize("marks", [[""], ["- "], ["[1] ", "2. ", "  3\t"]])
def test_what_memory_gave_back_is_known_again_without_any_mark(learned: seal_agent.SealAgent, marks: list[str]) -> None:
    before = learned.journal.counts()["documents"]["total"]
    pages = SealRetriever(agent=learned).invoke(QUESTION)
    recalled = "\n\n".join(mark + page.page_content for page, mark in zip(pages, cycle(marks), strict=False))
    middleware = SealMiddleware(learned)
    middleware.after_agent({"messages": called(recalled)}, None)  # type: ignore[arg-type]

    assert middleware.flush(10)
    assert middleware.counts["recalled"] == 1
    assert learned.journal.counts()["documents"]["total"] == before


def test_pages_of_two_tools_that_number_theirs_alike_both_stand(agent: seal_agent.SealAgent) -> None:
    """The number is the tool's own: it names nothing in another tool."""
    mill, light = "The mill of Tarn was founded in 1871 by Edda Holm.", LOGBOOK
    found = [
        message
        for name, text in (("lights", light), ("mills", mill))
        for message in (
            AIMessage("", tool_calls=[{"name": name, "args": {}, "id": name}]),
            ToolMessage("joined", name=name, tool_call_id=name, artifact=[Page(text, id="1")]),
        )
    ]
    observed(agent, found)

    assert {document.text for document in agent.journal.documents()} == {mill, light}


def test_pages_keep_their_titles_and_marks_when_a_checkpointer_made_dictionaries_of_them(
    agent: seal_agent.SealAgent,
) -> None:
    pages = [Page("Tarn has a mill.", metadata={"title": "Tarn"}), Page(LOGBOOK, metadata={RECALLED: True})]

    assert observed(agent, called("both joined", artifact=[page.model_dump() for page in pages])) == {
        "Tarn has a mill."
    }
    assert [document.title for document in agent.journal.everything()] == ["Tarn"]


def test_a_page_that_changes_back_is_what_stands_and_a_history_told_again_changes_nothing(
    agent: seal_agent.SealAgent,
) -> None:
    """In stock, sold out, in stock: the last word of its name counts."""
    middleware, history = SealMiddleware(agent), list[Any]()
    for year in (1871, 1872, 1871):
        page = Page(f"The mill of Tarn was founded in {year} by Edda Holm.", id="mill", metadata={"source": "wiki"})
        history += called("joined", artifact=[page])
        for _ in range(2):
            middleware.after_agent({"messages": history}, None)  # type: ignore[arg-type]
            assert middleware.flush(10)
        assert [document.text for document in agent.journal.documents()] == [page.page_content]
    restarted = SealMiddleware(agent)
    restarted.after_agent({"messages": history}, None)  # type: ignore[arg-type]
    assert restarted.flush(10)
    assert [document.text for document in agent.journal.documents()] == [page.page_content]


def test_one_odd_message_does_not_stop_the_reading_of_its_thread(agent: seal_agent.SealAgent) -> None:
    odd = SimpleNamespace(page_content=None, metadata={})
    middleware = SealMiddleware(agent)
    middleware.after_agent({"messages": [*called("joined", artifact=[odd]), HumanMessage(LOGBOOK)]}, None)  # type: ignore[arg-type]

    assert middleware.flush(10)
    assert (middleware.counts["failed"], texts(agent)) == (1, {LOGBOOK})


def test_each_text_that_cannot_be_read_is_counted_and_a_sign_is_no_failure(make: Make) -> None:
    middleware = SealMiddleware(make(max_document_bytes=60))
    long = [HumanMessage(LOGBOOK, id="a"), HumanMessage(WROTE, id="b"), HumanMessage("👍", id="c")]
    for _ in range(2):
        middleware.after_agent({"messages": long}, None)  # type: ignore[arg-type]

    assert middleware.counts["failed"] == 2


def test_a_picture_is_no_text_to_learn_and_pages_need_no_metadata(agent: seal_agent.SealAgent) -> None:
    picture = {"type": "image_url", "image_url": "x"}
    page = SimpleNamespace(page_content="Tarn has a mill.", metadata=None)
    messages = [HumanMessage([picture, {"type": "text", "text": LOGBOOK}]), HumanMessage([picture])]

    assert observed(agent, [*messages, *called("joined", artifact=[page])]) == {LOGBOOK, "Tarn has a mill."}


def test_what_was_offered_before_is_not_compared_with_all_that_was_said_again(
    agent: seal_agent.SealAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is handed its whole history: looked through each time, it would cost more with each turn."""
    compared: list[str] = []
    echoes = outside._echoes
    monkeypatch.setattr(outside, "_echoes", lambda text, own: compared.append(text) or echoes(text, own))
    middleware, history = SealMiddleware(agent), [AIMessage(WROTE)]
    for turn in range(5):
        history.append(HumanMessage(f"The mill of Tarn was founded in {1871 + turn} by Edda Holm."))
        asyncio.run(middleware.aafter_agent({"messages": history}, None))  # type: ignore[arg-type]

    assert middleware.flush(10)
    assert len(compared) == 5


def test_a_history_told_again_is_offered_once(agent: seal_agent.SealAgent) -> None:
    middleware = SealMiddleware(agent)
    for _ in range(3):
        middleware.after_agent({"messages": called(LOGBOOK)}, None)  # type: ignore[arg-type]

    assert middleware.flush(10)
    assert sum(middleware.counts[action] for action in ("edit", "skip", "hold")) == 1


# -- the queue


def test_a_full_queue_drops_and_counts_and_offers_again(tmp_path: Path) -> None:
    learner = Stuck()
    middleware = SealMiddleware(fake_agent(tmp_path, learner), waiting=1)
    messages = [HumanMessage(f"{LOGBOOK} It is visited by {n} ships.") for n in range(10)]
    middleware.after_agent({"messages": messages}, None)  # type: ignore[arg-type]
    assert not middleware.flush(0.05)
    dropped = middleware.counts["dropped"]
    assert dropped >= 8

    learner.go.set()
    assert middleware.flush(10)
    for _ in range(12):
        middleware.after_agent({"messages": messages}, None)  # type: ignore[arg-type]
        assert middleware.flush(10)
    assert sum(middleware.counts[action] for action in ("edit", "skip", "hold")) == 10


def test_what_was_dropped_comes_back_in_a_thread_that_is_kept(tmp_path: Path) -> None:
    """The thread is marked as read only up to what was taken."""
    learner = Stuck()
    agent = fake_agent(tmp_path, learner)
    middleware = SealMiddleware(agent, waiting=1)
    model = ToolReady(messages=(AIMessage("Fine.") for _ in iter(int, 1)))
    assistant = create_agent(model, [], middleware=[middleware], checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    assistant.invoke({"messages": [HumanMessage(f"{LOGBOOK} It is visited by {n} ships.") for n in range(6)]}, config)
    assert middleware.counts["dropped"]

    learner.go.set()
    assert middleware.flush(10)
    for _ in range(8):
        assistant.invoke({"messages": [HumanMessage("ok")]}, config)
        assert middleware.flush(10)
    assert sum("ships" in text for text in texts(agent)) == 6


def test_what_failed_and_then_found_no_room_is_offered_again(agent: seal_agent.SealAgent) -> None:
    """Its thread was marked as read long ago."""
    backlog = seal_backlog.Backlog(agent, "test", 1)
    document = seal_agent.Document(text=LOGBOOK)
    backlog._again["key"] = document
    backlog._queue.put_nowait(("other", document))

    assert not backlog.offer_again()
    backlog._queue.get_nowait()
    backlog._queue.task_done()
    assert backlog.offer_again()
    assert backlog.flush(10)
    assert texts(agent) == {LOGBOOK}


def test_what_the_model_wrote_is_known_as_its_own_when_a_summary_took_it_away(agent: seal_agent.SealAgent) -> None:
    """In that conversation: somebody else may know the same."""
    middleware = SealMiddleware(agent)
    model = ToolReady(messages=iter([AIMessage(LOGBOOK), *(AIMessage("Fine.") for _ in range(9))]))
    assistant = create_agent(model, [], middleware=[middleware], checkpointer=InMemorySaver())
    first: Any = {"configurable": {"thread_id": "first"}}
    assistant.invoke({"messages": [HumanMessage("Invent a story.")]}, first)
    assistant.update_state(first, {"messages": [RemoveMessage(REMOVE_ALL_MESSAGES)]})
    assistant.invoke({"messages": [HumanMessage(LOGBOOK)]}, first)
    assert middleware.flush(10)
    assert texts(agent) == {"Invent a story."}

    assistant.invoke({"messages": [HumanMessage(LOGBOOK)]}, {"configurable": {"thread_id": "second"}})
    assert middleware.flush(10)
    assert texts(agent) == {"Invent a story.", LOGBOOK}


def test_a_message_that_is_corrected_in_its_place_is_read_again(agent: seal_agent.SealAgent) -> None:
    middleware = SealMiddleware(agent)
    model = ToolReady(messages=(AIMessage("Fine.") for _ in iter(int, 1)))
    assistant = create_agent(model, [], middleware=[middleware], checkpointer=InMemorySaver())
    said = [f"The weir of Pell was built by Orla Finn in {year}." for year in (1802, 1822)]
    for text in (*said, said[1]):
        message = HumanMessage(text, id="the first")
        assistant.invoke({"messages": [message]}, {"configurable": {"thread_id": "1"}})
        assert middleware.flush(10)

    assert texts(agent) == set(said)
    assert sum(middleware.counts[action] for action in ("edit", "skip", "hold")) == 2


def test_two_homes_read_one_thread_each_from_where_it_was(agent: seal_agent.SealAgent, tmp_path: Path) -> None:
    other = fake_agent(tmp_path / "other")
    saver, config = InMemorySaver(), {"configurable": {"thread_id": "1"}}

    def read(text: str) -> list[int]:
        both = [SealMiddleware(agent), SealMiddleware(other, name="other")]
        assistant = create_agent(ChatSeal(agent=agent), [], middleware=both, checkpointer=saver)
        assistant.invoke({"messages": [HumanMessage(text)]}, config)  # type: ignore[call-overload]  # a config is a dict
        assert all(middleware.flush(10) for middleware in both)
        return [sum(middleware.counts[action] for action in ("edit", "skip", "hold")) for middleware in both]

    assert read(LOGBOOK) == [1, 1]
    assert read("The weir of Pell was built by Orla Finn in 1802.") == [1, 1]


def test_a_thread_that_died_is_started_again(agent: seal_agent.SealAgent) -> None:
    """Killed by a part that ends the process, or left behind at a fork."""
    middleware = SealMiddleware(agent)
    middleware._backlog._thread = threading.Thread(target=lambda: None)
    middleware.after_agent({"messages": called(LOGBOOK)}, None)  # type: ignore[arg-type]

    assert middleware.flush(10)
    assert texts(agent) == {LOGBOOK}


def test_a_process_that_ends_still_reads_with_a_writer_that_needs_threads(tmp_path: Path) -> None:
    """LangChain's batches run in thread pools, which are closed before `atexit`."""
    code = f"""
import time
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import HumanMessage
from seal_agent.testing import FakeLearner, fake_agent
from seal_agent_langchain import SealMiddleware

class Batching(FakeLearner):
    def score(self, *given, **how):
        from concurrent.futures import ThreadPoolExecutor
        time.sleep(0.3)  # until the script has ended
        with ThreadPoolExecutor() as pool:
            return pool.submit(super().score, *given, **how).result()

middleware = SealMiddleware(fake_agent({str(tmp_path)!r}, Batching()))
middleware.after_agent({{"messages": [HumanMessage({LOGBOOK!r})]}}, None)
"""
    fresh_process(code)

    with fake_agent(tmp_path) as agent:
        assert texts(agent) == {LOGBOOK}


def test_a_process_that_ends_waits_for_its_threads_and_what_they_read(tmp_path: Path) -> None:
    code = f"""
import threading, time
from langchain_core.messages import HumanMessage
from seal_agent.testing import fake_agent
from seal_agent_langchain import SealMiddleware

middleware = SealMiddleware(fake_agent({str(tmp_path)!r}))

def run():
    time.sleep(0.5)  # the script has ended
    SealMiddleware(middleware.agent)
    middleware.after_agent({{"messages": [HumanMessage({LOGBOOK!r})]}}, None)

backlog = middleware._backlog
backlog._thread = threading.Thread(target=backlog._drain, daemon=True)
backlog._thread.start()
threading.Thread(target=run).start()
"""
    fresh_process(code)

    with fake_agent(tmp_path) as agent:
        assert texts(agent) == {LOGBOOK}


def test_what_could_not_be_observed_is_tried_once_more_when_the_process_ends(tmp_path: Path) -> None:
    """Even where no thread can be started any more, as with Python 3.12."""
    code = f"""
import threading
from langchain_core.messages import HumanMessage
from seal_agent.testing import fake_agent
from seal_agent_langchain import SealMiddleware

agent = fake_agent({str(tmp_path)!r})
middleware, observe = SealMiddleware(agent), agent.observe
agent.observe = None
middleware.after_agent({{"messages": [HumanMessage({LOGBOOK!r})]}}, None)
middleware.flush()
agent.observe = observe
middleware._backlog._thread = None

def start(thread):
    raise RuntimeError("can't create new thread at interpreter shutdown")

threading.Thread.start = start
"""
    fresh_process(code)

    with fake_agent(tmp_path) as agent:
        assert texts(agent) == {LOGBOOK}


def test_a_fork_reads_nothing_and_is_not_waited_for(
    agent: seal_agent.SealAgent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And says so, once."""
    middleware = SealMiddleware(agent)
    monkeypatch.setattr(middleware._backlog, "_process", -1)
    for text in (LOGBOOK, WROTE):
        middleware.after_agent({"messages": called(text)}, None)  # type: ignore[arg-type]

    assert middleware.counts["dropped"] == 2
    assert [record.getMessage() for record in caplog.records if "forked" in record.getMessage()] == [
        "SealMiddleware: it was made before this process was forked; open the agent in each worker"
    ]
    assert (middleware.counts["waiting"], texts(agent)) == (0, set())
    monkeypatch.setattr(middleware._backlog, "flush", pytest.fail)
    seal_backlog._flush_at_exit(weakref.ref(middleware._backlog))


def test_hooks_never_raise(agent: seal_agent.SealAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("broken")

    middleware = SealMiddleware(agent)
    middleware.after_agent({}, None)  # type: ignore[typeddict-item, arg-type]
    monkeypatch.setattr(agent, "observe", broken)
    monkeypatch.setattr(agent.journal.versions, "live", broken)
    assert middleware.before_agent({"messages": []}, None) is None  # type: ignore[arg-type]
    middleware.after_agent({"messages": called(LOGBOOK)}, None)  # type: ignore[arg-type]
    assert middleware.flush(10)
    assert middleware.counts["failed"] == 3

    monkeypatch.undo()
    middleware.after_agent({"messages": called(LOGBOOK)}, None)  # type: ignore[arg-type]
    assert middleware.flush(10)
    assert middleware.counts["edit"] == 1


# -- one version for a run


class ToolReady(GenericFakeChatModel):
    """A scripted chat model that may be given tools."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


class Publishing(AgentMiddleware):
    """Consolidates in the middle of the run, before the model is asked."""

    def before_model(self, state: Any, runtime: Any) -> None:
        self.agent.consolidate()


def publishing(agent: seal_agent.SealAgent) -> Publishing:
    middleware = Publishing()
    middleware.agent = agent  # type: ignore[attr-defined]
    return middleware


@pytest.mark.parametrize("run", ["invoke", "ainvoke"])
def test_a_run_keeps_the_version_it_began_with(agent: seal_agent.SealAgent, run: str) -> None:
    agent.observe(LOGBOOK)
    assistant = create_agent(
        ChatSeal(agent=agent),
        [],
        middleware=[SealMiddleware(agent), publishing(agent)],
        checkpointer=InMemorySaver(),
    )

    def ask() -> dict[str, Any]:
        question, config = {"messages": [HumanMessage(QUESTION)]}, {"configurable": {"thread_id": "1"}}
        made = getattr(assistant, run)(question, config)
        return asyncio.run(made) if run == "ainvoke" else made

    first, second = ask(), ask()

    assert first["messages"][-1].response_metadata["model_name"] == "smollm2-135m@0"
    assert second["messages"][-1].response_metadata["model_name"] == "smollm2-135m@1"
    assert second["messages"][-1].text == KEEPER
    assert set(second) == {"messages"}  # the pinned version is private


def test_a_run_keeps_the_version_that_its_user_named(learned: seal_agent.SealAgent) -> None:
    assistant = create_agent(ChatSeal(agent=learned, version=0), [], middleware=[SealMiddleware(learned)])

    said = assistant.invoke({"messages": QUESTION})["messages"][-1]  # type: ignore[arg-type]

    assert (said.text, said.response_metadata["seal_version"]) == (NOTHING, 0)


def test_a_home_that_cannot_be_opened_leaves_the_call_to_a_fallback(
    agent: seal_agent.SealAgent, tmp_path: Path
) -> None:
    """A hook that raised would get past it."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "seal.toml").write_text("nonsense = 1\n")
    other = ModelFallbackMiddleware(GenericFakeChatModel(messages=iter([AIMessage("Here I am.")])))
    broken = ChatSeal(home=str(tmp_path / "broken"))
    assistant = create_agent(broken, [], middleware=[SealMiddleware(agent), other])

    assert assistant.invoke({"messages": [HumanMessage("?")]})["messages"][-1].text == "Here I am."


def test_of_two_homes_in_a_run_each_pins_its_own(learned: seal_agent.SealAgent, tmp_path: Path) -> None:
    """In whatever order they stand; one that is published meanwhile counts from the next run on."""
    other = fake_agent(tmp_path / "other")
    for middlewares in (
        [SealMiddleware(learned), SealMiddleware(other, name="other")],
        [SealMiddleware(other, name="other"), SealMiddleware(learned)],
    ):
        assistant = create_agent(ChatSeal(agent=learned), [], middleware=middlewares)
        said = assistant.invoke({"messages": QUESTION})["messages"][-1]  # type: ignore[arg-type]
        assert said.response_metadata["seal_version"] == 1

    other.observe(LOGBOOK)
    both = [SealMiddleware(other), SealMiddleware(learned, name="learned"), publishing(other)]
    assistant = create_agent(ChatSeal(agent=other), [], middleware=both)
    said = assistant.invoke({"messages": QUESTION})["messages"][-1]  # type: ignore[arg-type]
    assert said.response_metadata["seal_version"] == 0


def test_what_a_run_answered_by_its_version_is_not_what_the_cache_gives_later(agent: seal_agent.SealAgent) -> None:
    agent.observe(LOGBOOK)
    set_llm_cache(InMemoryCache())
    try:
        middlewares = [SealMiddleware(agent), publishing(agent)]
        assistant = create_agent(ChatSeal(agent=agent), [], middleware=middlewares)
        assert assistant.invoke({"messages": QUESTION})["messages"][-1].text == NOTHING  # type: ignore[arg-type]
        assert ChatSeal(agent=agent).invoke(QUESTION).text == KEEPER
    finally:
        set_llm_cache(None)


def test_a_reply_is_as_long_as_was_asked_for_with_a_cache_or_without(learned: seal_agent.SealAgent) -> None:
    set_llm_cache(InMemoryCache())
    try:
        assert ChatSeal(agent=learned).invoke(QUESTION).text == KEEPER
        assert ChatSeal(agent=learned, max_tokens=2).invoke(QUESTION).text == " ".join(KEEPER.split()[:2])
    finally:
        set_llm_cache(None)


def test_a_text_of_which_the_model_said_a_little_before_is_learned(agent: seal_agent.SealAgent) -> None:
    """One sentence in eight is no echo."""
    own = "The horn of Anstrow sounds every ninety seconds in fog."

    assert observed(agent, [AIMessage(own), HumanMessage(LOGBOOK)]) == {LOGBOOK}


def test_a_text_of_which_a_part_was_recalled_is_learned(learned: seal_agent.SealAgent) -> None:
    (page,) = SealRetriever(agent=learned, k=1).invoke(QUESTION)
    text = f"{page.page_content}\nThe weir of Pell was built by Orla Finn in 1802. It has nine gates of oak."
    middleware = SealMiddleware(learned)
    middleware.after_agent({"messages": called(text)}, None)  # type: ignore[arg-type]

    assert middleware.flush(10)
    assert middleware.counts["recalled"] == 0
    assert text in texts(learned)


def pinned_version(model: Any) -> int | None:
    while isinstance(model, RunnableBinding):
        model = model.bound
    return model._pin  # type: ignore[no-any-return]


def test_a_run_keeps_the_version_of_a_model_to_which_something_was_bound(learned: seal_agent.SealAgent) -> None:
    noted: list[Any] = []

    class Noting(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            noted.append((pinned_version(request.model), dict(request.model_settings)))
            return handler(request)

    for bound in ({"seed": 3}, {"model": "seal@base"}):
        model: Any = ChatSeal(agent=learned).bind(**bound)
        create_agent(model, [], middleware=[SealMiddleware(learned), Noting()]).invoke({"messages": QUESTION})

    # nothing is set that another model, put in its place, would be given
    assert noted == [(1, {}), (None, {})]


def test_a_run_leaves_to_the_base_what_names_nothing_learned(learned: seal_agent.SealAgent) -> None:
    """The version that a run keeps is not one that somebody named."""
    strange = "What colour has the sky?"
    assistant = create_agent(ChatSeal(agent=learned), [], middleware=[SealMiddleware(learned)])

    def by(question: str) -> int:
        said = assistant.invoke({"messages": [HumanMessage(question)]})["messages"][-1]
        return int(said.response_metadata["seal_version"])

    assert (by(strange), by(QUESTION)) == (0, 1)
    said = [assistant.invoke({"messages": asked})["messages"][-1] for asked in (strange, QUESTION)]
    assert [one.response_metadata["model_name"] for one in said] == ["smollm2-135m@0", "smollm2-135m@1"]
    assert ChatSeal(agent=learned, version=1).invoke(strange).response_metadata["seal_version"] == 1


def test_the_question_is_what_a_person_asked_not_what_a_tool_said(learned: seal_agent.SealAgent) -> None:
    """Both stand in one turn, for the template's sake; what was recited is compared with the question alone."""
    asked: list[str] = []
    chat = learned.chat
    learned.chat = lambda *given, **how: (asked.append(how["asked"]), chat(*given, **how))[1]  # type: ignore[method-assign]

    ChatSeal(agent=learned).invoke([HumanMessage(QUESTION), ToolMessage("The horn of Anstrow!", tool_call_id="1")])

    assert asked == [QUESTION]


def test_a_version_that_is_gone_does_not_break_the_run(learned: seal_agent.SealAgent) -> None:
    middleware, pinned = SealMiddleware(learned), []

    class Damaging(AgentMiddleware):
        def before_model(self, state: Any, runtime: Any) -> None:
            learned.journal.versions.mark_broken(1, "a test")
            Path(learned.journal.versions.one(1).path, "adapter_model.safetensors").unlink()
            learned._verified.clear()

        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            pinned.append(pinned_version(request.model))
            return handler(request)

    made = create_agent(ChatSeal(agent=learned), [], middleware=[middleware, Damaging()]).invoke({"messages": QUESTION})

    assert made["messages"][-1].response_metadata["model_name"] == "smollm2-135m@0"
    assert pinned == [None]


def test_two_instances_need_two_names_and_then_live_together(tmp_path: Path) -> None:
    one, two = fake_agent(tmp_path / "one"), fake_agent(tmp_path / "two")
    both = [SealMiddleware(one), SealMiddleware(two, name="second")]
    assistant = create_agent(ChatSeal(agent=one), [], middleware=both)
    assistant.invoke({"messages": LOGBOOK})

    assert all(middleware.flush(10) for middleware in both)
    assert texts(one) == texts(two) == {LOGBOOK}


def test_a_foreign_model_is_left_alone_and_its_tools_are_read(agent: seal_agent.SealAgent) -> None:
    @tool
    def read() -> str:
        """Read the logbook."""
        return LOGBOOK

    call = {"name": "read", "args": {}, "id": "1"}
    model = ToolReady(messages=iter([AIMessage("", tool_calls=[call]), AIMessage("Read it.")]))
    middleware = SealMiddleware(agent, learn_from=("tool",))
    create_agent(model, [read], middleware=[middleware]).invoke({"messages": "?"})

    assert middleware.flush(10)
    assert texts(agent) == {LOGBOOK}
