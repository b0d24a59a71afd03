"""ChatSeal on a real home with a fake model: what it says, and what an import of the plugin loads."""

from __future__ import annotations

import copy
import gc
import pickle
from pathlib import Path
from typing import Any

import pytest
from conftest import LOGBOOK
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from lighthouse import KEEPER, QUESTION, fresh_process, scripted

import seal_agent
from seal_agent.errors import ConfigError, SealError
from seal_agent.testing import NOTHING, fake_agent
from seal_agent_langchain import ChatSeal, chat_model
from seal_agent_langchain.chat_model import until
from seal_agent_langchain.rendering import turns

# -- importing


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
    with pytest.raises(ConfigError, match=r"seed=\d+: a whole number of 64 bits"):
        chat.invoke("?", seed=2**70)
    with pytest.raises(ConfigError, match="no message"):
        chat.invoke([])


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
    chat.invoke("?", temperature=1e-40, max_tokens=9, seed=4)  # as greedy, and no overflow
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


def test_a_home_that_was_removed_is_not_answered_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chat model opens what lies there now; who opened the home before is told when it writes."""
    monkeypatch.setattr(chat_model.seal, "open", lambda home, model=None: fake_agent(home))
    model, old = ChatSeal(home=tmp_path), chat_model.engine(tmp_path)
    old.observe(LOGBOOK)
    old.consolidate()
    assert model.invoke(QUESTION).text == KEEPER

    for file in tmp_path.glob("seal.db*"):
        file.unlink()

    with pytest.raises(SealError, match="removed or replaced; open it again"):
        old.observe(LOGBOOK)
    assert model.invoke(QUESTION).text == NOTHING


def test_the_home_that_is_asked_again_and_again_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat model is made for each request; five other homes are asked in between."""
    opened: list[str] = []

    def opening(home: Path, model: str | None = None) -> seal_agent.SealAgent:
        opened.append(home.name)
        return fake_agent(home)

    monkeypatch.setattr(chat_model.seal, "open", opening)
    for other in range(5):
        for name in ("busy", f"other {other}"):
            ChatSeal(home=tmp_path / name).invoke("?")
        gc.collect()

    assert opened.count("busy") == 1


def test_a_model_whose_folder_has_an_at_sign_can_be_named(tmp_path: Path) -> None:
    chat = ChatSeal(agent=fake_agent(tmp_path, model="/models/smol@2"))

    assert chat.invoke("?", model="/models/smol@2").response_metadata["model_name"].endswith("@0")


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
