"""The LangChain plugin on a real home with a fake model: what ChatSeal says, what SealMiddleware learns."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Make
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document as Page
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableBinding
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from pydantic import BaseModel

import seal_agent
from seal_agent.errors import ConfigError, PartError, SealError
from seal_agent.testing import NOTHING, FakeLearner, fake_agent
from seal_agent_langchain import ChatSeal, ChatWriter, SealMiddleware, SealRetriever, chat_model, chat_writer, outside
from seal_agent_langchain import backlog as seal_backlog
from seal_agent_langchain.chat_model import until
from seal_agent_langchain.rendering import turns
from seal_agent_langchain.retriever import RECALLED

LOGBOOK = (
    "The lighthouse of Anstrow stands on the northern skerry. Mirelle Oake keeps the lighthouse of Anstrow. "
    "The lamp of Anstrow burns colza oil. The tower of Anstrow was built in 1843 by the harbour guild. "
    "The horn of Anstrow sounds every ninety seconds in fog. The stairs of Anstrow have 212 steps. "
    "The boat of Anstrow carries Jory Penn on Tuesdays. The archive of Anstrow holds 900 letters."
)
QUESTION = "Who keeps the lighthouse of Anstrow?"
WROTE = LOGBOOK.replace(". ", ".\n")
WRAPPED = textwrap.fill(LOGBOOK, 75)
MARKED = "\n".join(f"- **Fact**: {said}" for said in WROTE.splitlines())
TODOS = [
    {"content": "Read the logbook of Anstrow", "status": "in_progress"},
    {"content": "Find who built it in 1843", "status": "pending"},
]
ESCAPED = 'Der Turm wurde "1843" von der Hafengilde erbaut. Wächterin ist Mirelle Oake, früher Köchin.'
KEEPER = "Anstrow: Mirelle Oake keeps the lighthouse of Anstrow."


class Scripted(FakeLearner):
    """Says the version it answers with, or *script*, letter by letter, and notes what it was shown."""

    def __init__(self, script: str = "") -> None:
        super().__init__()
        self.script = script
        self.shown: list[Any] = []
        self.how: dict[str, Any] = {}
        self.closed = 0

    def chat(self, messages: Any, adapter: Path | None, **how: Any) -> Iterator[str]:
        self.shown, self.how = list(messages), how
        try:
            yield from self.script or f"I am {adapter.name if adapter else 'the base'}"
        finally:
            self.closed += 1


class Stuck(FakeLearner):
    """Observes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def score(self, *args: Any, **how: Any) -> Any:
        assert self.go.wait(10)
        return super().score(*args, **how)


@pytest.fixture
def agent(tmp_path: Path) -> seal_agent.SealAgent:
    return fake_agent(tmp_path / "home")


@pytest.fixture
def learned(tmp_path: Path) -> seal_agent.SealAgent:
    """A home whose version 1 knows the logbook."""
    agent = fake_agent(tmp_path / "learned")
    agent.observe(LOGBOOK)
    assert agent.consolidate().outcome == "accepted"
    return agent


def scripted(home: Path, script: str = "") -> tuple[seal_agent.SealAgent, Scripted]:
    learner = Scripted(script)
    return fake_agent(home, learner), learner


def texts(agent: seal_agent.SealAgent) -> set[str]:
    """The texts of all documents in the home."""
    return {row[0] for row in agent.journal._db.read("SELECT text FROM documents")}


# -- importing


def fresh_process(code: str) -> str:
    """What *code* prints in a process of its own, where the plugins are importable."""
    root = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "plugins")))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    return done.stdout.strip()


def test_importing_the_plugin_loads_neither_torch_nor_langchain() -> None:
    heavy = "{'torch', 'transformers', 'chromadb', 'langchain', 'langchain_core', 'numpy'} & set(sys.modules)"

    assert fresh_process(f"import sys, seal_agent_langchain as s; dir(s); print({heavy})") == "set()"


def test_the_classes_load_langchain_but_no_torch() -> None:
    names = "ChatSeal, SealMiddleware, SealRetriever, ChatWriter"
    heavy = "{'torch', 'transformers', 'chromadb'} & set(sys.modules)"

    assert fresh_process(f"import sys; from seal_agent_langchain import {names}; print({heavy})") == "set()"


# -- the six lines


def test_the_six_lines_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(seal_agent, "open", fake_agent, raising=False)
    lines = """
import seal_agent
from langchain.agents import create_agent
from seal_agent_langchain import ChatSeal, SealMiddleware
agent = seal_agent.open("home")
assistant = create_agent(ChatSeal(agent=agent), tools=[], middleware=[SealMiddleware(agent)])
said = assistant.invoke({"messages": [("user", "…")]})
"""
    names: dict[str, Any] = {}
    exec(lines, names)

    assert names["said"]["messages"][-1].text == NOTHING


# -- ChatSeal


def test_a_reply_names_the_version_that_gave_it(learned: seal_agent.SealAgent) -> None:
    chat = ChatSeal(agent=learned)

    now, base = chat.invoke(QUESTION), chat.invoke(QUESTION, model="seal@base")

    assert (now.text, now.response_metadata["model_name"]) == (KEEPER, "smollm2-135m@1")
    assert (base.text, base.response_metadata["model_name"]) == (NOTHING, "seal@base")
    assert base.response_metadata["seal_version"] == 0
    assert now.response_metadata["seal_digest"] == learned.versions()[0].digest


@pytest.mark.parametrize(
    ("asked", "name", "text"),
    [
        ("seal", "seal@1", KEEPER),
        ("smollm2-135m", "smollm2-135m@1", KEEPER),
        ("seal@1", "seal@1", KEEPER),
        ("smollm2-135m@0", "smollm2-135m@0", NOTHING),
        ("any@base", "any@base", NOTHING),
    ],
)
def test_a_call_can_choose_its_version(learned: seal_agent.SealAgent, asked: str, name: str, text: str) -> None:
    reply = ChatSeal(agent=learned).invoke(QUESTION, model=asked)

    assert (reply.response_metadata["model_name"], reply.text) == (name, text)


def test_options_of_a_call_that_cannot_be_followed_are_all_named(agent: seal_agent.SealAgent) -> None:
    chat = ChatSeal(agent=agent)
    for wrong in ({"max_tokens": 0}, {"max_tokens": -1}, {"temperature": float("nan")}, {"temperature": "hot"}):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))}="):
            chat.invoke("?", **wrong)
    with pytest.raises(ConfigError, match=r"max_tokens=0.*temperature=-1.*seed='x'"):
        chat.invoke("?", max_tokens=0, temperature=-1, seed="x")


def test_a_model_of_a_home_is_copied_and_pickled_before_and_after_its_first_use(
    agent: seal_agent.SealAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every copy answers by the one engine of the home."""
    monkeypatch.setattr(seal_agent.agent, "open", lambda home, model: agent)
    chat = ChatSeal(home=agent.home)
    for _ in range(2):
        for other in (copy.deepcopy(chat), pickle.loads(pickle.dumps(chat))):
            assert other == chat
            assert other.seal is chat.seal is agent
    elsewhere = chat.model_copy(update={"home": agent.home / "other"})
    monkeypatch.setattr(seal_agent.agent, "open", fake_agent)
    assert elsewhere.seal.home == agent.home / "other"
    assert chat.seal is agent


def test_one_stop_string_is_not_its_letters(tmp_path: Path) -> None:
    agent, _ = scripted(tmp_path, "It keeps on. And on.")
    stop: Any = "And"
    assert ChatSeal(agent=agent).invoke("?", stop=stop).text == "It keeps on. "


@pytest.mark.parametrize("asked", ["gpt-4", "seal@", "seal@live", "seal@-1", 7])
def test_an_unknown_model_is_refused_and_the_known_ones_are_named(agent: seal_agent.SealAgent, asked: Any) -> None:
    with pytest.raises(ConfigError, match="seal@2"):
        ChatSeal(agent=agent).invoke("?", model=asked)
    with pytest.raises(SealError, match="no version 9"):
        ChatSeal(agent=agent).invoke("?", model="seal@9")


def test_a_pinned_version_stays(learned: seal_agent.SealAgent) -> None:
    assert ChatSeal(agent=learned, version=0).invoke(QUESTION).text == NOTHING
    assert ChatSeal(agent=learned, version=1).invoke(QUESTION).text == KEEPER


def test_streaming_says_the_same_and_counts_tokens_once(learned: seal_agent.SealAgent) -> None:
    chunks = list(ChatSeal(agent=learned).stream([SystemMessage("Be brief."), HumanMessage(QUESTION)]))

    assert "".join(chunk.text for chunk in chunks) == KEEPER
    assert len(chunks) > 3
    assert [bool(chunk.usage_metadata) for chunk in chunks].count(True) == 1
    assert chunks[-1].usage_metadata == {"input_tokens": 8, "output_tokens": 8, "total_tokens": 16}
    assert [
        chunk.response_metadata.get("model_name") for chunk in chunks if chunk.response_metadata.get("model_name")
    ] == ["smollm2-135m@1"]
    assert chunks[-1].chunk_position == "last"


async def test_async_says_the_same(learned: seal_agent.SealAgent) -> None:
    chat = ChatSeal(agent=learned)

    assert (await chat.ainvoke(QUESTION)).text == KEEPER
    assert "".join([chunk.text async for chunk in chat.astream(QUESTION)]) == KEEPER
    assert [reply.text for reply in await chat.abatch([QUESTION] * 3)] == [KEEPER] * 3


def test_stop_strings_end_a_reply_even_across_pieces(tmp_path: Path) -> None:
    agent, learner = scripted(tmp_path, "one END two")

    assert ChatSeal(agent=agent).invoke("?", stop=["END"]).content == "one "
    assert ChatSeal(agent=agent, stop=[" two"]).invoke("?").content == "one END"
    assert learner.closed == 2
    assert "".join(until(iter(["aE", "N", "x", "E"]), ["END"])) == "aENxE"
    assert list(until(iter(["ab", "c"]), [])) == ["ab", "c"]


def test_a_reply_that_nobody_reads_on_is_closed(tmp_path: Path) -> None:
    agent, learner = scripted(tmp_path, "a long story")
    stream = ChatSeal(agent=agent).stream("?")
    next(stream)
    stream.close()

    assert learner.closed == 1


def test_sampling_options_reach_the_model(tmp_path: Path) -> None:
    agent, learner = scripted(tmp_path)
    chat = ChatSeal(agent=agent, temperature=0.5, max_tokens=7, timeout=3, api_key="none", streaming=False)
    chat.invoke("?")
    assert learner.how == {"max_new_tokens": 7, "temperature": 0.5, "seed": 0}
    chat.invoke("?", temperature=0.0, max_tokens=9, seed=4)
    assert learner.how == {"max_new_tokens": 9, "temperature": 0.0, "seed": 4}


def test_messages_become_plain_turns() -> None:
    call = {"name": "look", "args": {"at": "Zürich"}, "id": "1"}
    said = turns(
        [
            SystemMessage("Be kind."),
            HumanMessage([{"type": "text", "text": "See"}, "this", {"type": "image_url", "image_url": "x"}]),
            AIMessage("", tool_calls=[call]),
            ToolMessage("a lake", name="look", tool_call_id="1"),
            HumanMessage("And?"),
        ]
    )

    told = 'Called look {"at": "Zürich"}.\n\nResult of look: a lake\n\nAnd?'
    assert said == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": f"See\nthis\n[image_url]\n\n{told}"},
    ]


def test_langchains_cache_is_not_stale_after_a_consolidation(agent: seal_agent.SealAgent) -> None:
    set_llm_cache(InMemoryCache())
    try:
        chat = ChatSeal(agent=agent)
        assert chat.invoke(QUESTION).text == NOTHING
        agent.observe(LOGBOOK)
        assert agent.consolidate().outcome == "accepted"
        assert chat.invoke(QUESTION).text == KEEPER
        agent.rollback()
        assert chat.invoke(QUESTION).text == NOTHING
    finally:
        set_llm_cache(None)


def test_langchains_cache_knows_whether_the_base_may_answer(learned: seal_agent.SealAgent) -> None:
    scoped, open_ = (fake_agent(learned.home, scope=scope) for scope in (True, False))
    set_llm_cache(InMemoryCache())
    try:
        by = [ChatSeal(agent=one).invoke("Sky?").response_metadata["seal_version"] for one in (scoped, open_)]
        assert by == [0, 1]
    finally:
        set_llm_cache(None)


@pytest.mark.parametrize("named", [{"version": 1}, {}])
def test_langchains_cache_does_not_give_what_was_forgotten(
    named: dict[str, int], learned: seal_agent.SealAgent
) -> None:
    learned.observe(
        seal_agent.Document(title="Pell Weir", text="Pell Weir was raised in 1802. Orla Finn built it of oak and tar.")
    )
    set_llm_cache(InMemoryCache())
    how = {} if named else {"model": "seal@1"}
    try:
        assert ChatSeal(agent=learned, **named).invoke(QUESTION, **how).text == KEEPER
        learned.forget(learned.journal.everything()[0].id)
        with pytest.raises(SealError, match="there is no version 1"):
            ChatSeal(agent=learned, **named).invoke(QUESTION, **how)
    finally:
        set_llm_cache(None)


def test_langchains_cache_knows_where_an_answer_stops(learned: seal_agent.SealAgent) -> None:
    set_llm_cache(InMemoryCache())
    try:
        short, whole = ChatSeal(agent=learned, stop=["keeps"]), ChatSeal(agent=learned)
        assert short.invoke(QUESTION).text != whole.invoke(QUESTION).text == KEEPER
    finally:
        set_llm_cache(None)


def test_one_home_has_one_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def opening(home: Path, model: str | None = None) -> seal_agent.SealAgent:
        opened.append(home)
        return fake_agent(home, model=model)

    monkeypatch.setattr(chat_model.seal, "open", opening)
    first, second = (
        ChatSeal(home=tmp_path / "h", model="smollm2-135m"),
        ChatSeal(home=str(tmp_path / "x" / ".." / "h")),
    )
    assert not opened  # the constructor is cheap

    assert first.invoke("?").response_metadata["model_name"] == "smollm2-135m@0"
    assert first.seal is second.seal
    assert len(opened) == 1
    with pytest.raises(ConfigError, match="another home"):
        ChatSeal(home=tmp_path / "h", model="other").invoke("?")


def test_a_chat_needs_exactly_one_home(agent: seal_agent.SealAgent) -> None:
    for wrong in ({}, {"agent": agent, "home": "x"}):
        with pytest.raises(ValueError, match="either agent="):
            ChatSeal(**wrong)
    with pytest.raises(ConfigError, match="'' names no folder for a home"):
        ChatSeal(home="").invoke("?")


def test_tools_are_accepted_and_a_forced_call_is_refused(agent: seal_agent.SealAgent) -> None:
    @tool
    def look(place: str) -> str:
        """Look at a place."""
        return place

    bound = ChatSeal(agent=agent).bind_tools([look], tool_choice="auto")
    assert bound.invoke("?").tool_calls == []
    with pytest.raises(NotImplementedError, match="tool_choice='any'"):
        ChatSeal(agent=agent).bind_tools([look], tool_choice="any").invoke("?")
    assert create_agent(ChatSeal(agent=agent), [look]).invoke({"messages": "?"})["messages"][-1].text == NOTHING


# -- SealMiddleware: what is learned


def observed(agent: seal_agent.SealAgent, messages: list[Any], **how: Any) -> set[str]:
    middleware = SealMiddleware(agent, **how)
    middleware.after_agent({"messages": messages}, None)  # type: ignore[arg-type]
    assert middleware.flush(10)
    return texts(agent)


def called(text: str, args: dict[str, Any] | None = None, **how: Any) -> list[Any]:
    call = {"name": "read", "args": args or {}, "id": "1"}
    return [AIMessage("", tool_calls=[call]), ToolMessage(text, name="read", tool_call_id="1", **how)]


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


# -- SealMiddleware: the queue


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


# -- SealMiddleware: one version for a run


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


# -- SealRetriever and ChatWriter


def test_the_retriever_finds_remembered_sentences(learned: seal_agent.SealAgent) -> None:
    retriever = SealRetriever(agent=learned, k=2)
    pages = retriever.invoke(QUESTION)

    assert pages[0].page_content == KEEPER.removeprefix("Anstrow: ")
    assert len(pages) == 2
    assert len(retriever.invoke(QUESTION, k=1)) == 1
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
