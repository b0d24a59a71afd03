"""What users of an agent see: answers and their versions, ways back, what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import LIGHT, MILL, ORDERS, WHEN, WHO, Make, damage, interrupted, taught

import seal_agent
from seal_agent.agent import SealAgent
from seal_agent.errors import ConfigError, PartError, SealError
from seal_agent.judging.quiz import quiz
from seal_agent.records import Check, Document
from seal_agent.testing import NOTHING, FakeLearner, fake_agent
from seal_agent.wiring import resolve

OWN = Check(id="mine", kind="user", question="What is the capital of France?", gold="Paris")


def test_what_is_read_is_learned_and_the_answer_names_its_version(agent: SealAgent) -> None:
    receipt = agent.observe(MILL)
    assert receipt.decision.action == "edit"
    assert receipt.edits > 0
    assert agent.ask(WHEN).text == NOTHING

    done = agent.consolidate()

    assert (done.outcome, done.version) == ("accepted", 1)
    assert done.report
    assert done.report.training["origin"]["verbatim"] > 0
    answer = agent.ask(WHEN)
    assert "1871" in answer.text
    assert (answer.version, answer.digest) == (1, agent.versions()[0].digest)
    assert answer.sources == [MILL.id]


def test_the_base_and_older_versions_can_still_be_asked(agent: SealAgent) -> None:
    taught(agent)
    assert "Marta Vell" in agent.ask(WHO).text
    assert agent.ask(WHO, version=1).text == NOTHING
    base = agent.ask(WHEN, version=0)
    assert (base.text, base.version, base.digest) == (NOTHING, 0, "")


def test_a_version_keeps_what_its_parent_learned(agent: SealAgent) -> None:
    assert "1871" in taught(agent).ask(WHEN).text
    assert [(v.number, v.parent, v.status) for v in agent.versions()] == [(1, 0, "retired"), (2, 1, "live")]


def test_rolling_back_returns_to_the_parent_and_then_to_the_base(agent: SealAgent) -> None:
    taught(agent)
    assert agent.rollback() == 1
    assert agent.ask(WHO).text == NOTHING
    assert agent.rollback() == 0
    assert agent.ask(WHEN).version == 0
    assert agent.rollback(2) == 2
    assert "Marta Vell" in agent.ask(WHO).text


def test_a_damaged_adapter_is_never_served_and_its_ancestor_answers(make: Make) -> None:
    damage(taught(make()), 2)

    reopened = make()

    assert any("has changed" in problem for problem in reopened.verify())
    answer = reopened.ask(WHEN)
    assert (answer.version, "1871" in answer.text) == (1, True)
    assert [version.status for version in reopened.versions()] == ["live", "broken"]
    with pytest.raises(SealError, match="cannot be served"):
        reopened.ask(WHO, version=2)


def test_rollback_returns_to_what_can_be_served(make: Make) -> None:
    """By itself to the nearest sound ancestor; a damaged version that is named is refused, and nothing changes."""
    agent = taught(make())
    agent.observe(
        ORDERS.model_copy(update={"text": "Pell Weir was raised in 1802. Orla Finn built it of oak and tar."})
    )
    damage(agent, 1)
    reopened = make()

    with pytest.raises(SealError, match="version 1 is damaged"):
        reopened.rollback(1)
    assert reopened.ask(WHO).version == 2
    assert reopened.rollback() == 0
    assert [version.status for version in reopened.versions()] == ["broken", "retired"]


def test_a_home_opened_with_another_embedder_still_sees_what_stands_near(make: Make) -> None:
    agent = taught(make())
    near = agent.nearest("Who keeps the lighthouse of Anstrow?")
    assert near
    other = make()
    other.rooms.embedder.fingerprint = "another one"  # type: ignore[misc] - a stand-in
    assert other.nearest("Who keeps the lighthouse of Anstrow?") == near
    assert {row[0] for row in other.journal._db.read("SELECT embedder FROM memories WHERE vector IS NOT NULL")} == {
        "another one"
    }


def test_what_is_superseded_while_it_is_looked_for_is_not_found_and_breaks_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = taught(make())
    real = agent.journal.memories.vectors

    def vectors(*given: Any) -> Any:
        make().rollback()
        return real(*given)

    monkeypatch.setattr(agent.journal.memories, "vectors", vectors)
    assert {memory.document for memory, _ in agent.nearest("Who keeps Anstrow Light?")} <= {MILL.id}


def test_a_remembered_sentence_is_compared_once_however_many_questions_it_was_learned_with(agent: SealAgent) -> None:
    known = taught(agent).rooms._remembered(agent.journal)
    assert len(known.told) == len({memory.completion for memory in known.told.values()}) == len(known.index)
    assert sum(map(len, known.asked.values())) > len(known.told)


def test_a_question_costs_no_look_at_all_that_is_remembered_where_nothing_changed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = taught(make())
    first = agent.ask(WHO)
    monkeypatch.setattr(agent.journal.memories, "vectors", interrupted)
    assert agent.ask(WHO) == first
    agent.rollback()
    with pytest.raises(KeyboardInterrupt):
        agent.ask(WHO)


def test_questions_may_come_as_anything_that_gives_them_one_by_one(agent: SealAgent) -> None:
    taught(agent)
    assert agent.ask_all(question for question in (WHO, WHEN)) == agent.ask_all([WHO, WHEN])
    assert agent.ask_all(WHO) == [agent.ask(WHO)]
    with pytest.raises(SealError, match="1 contexts for 2 questions"):
        agent.ask_all([WHO, WHEN], contexts=["The mill."])


def test_a_style_that_gives_something_else_than_rows_is_named(agent: SealAgent) -> None:
    agent.rooms.styles["odd"] = lambda passage, writer, seed: ["a string"]  # type: ignore[dict-item]
    with pytest.raises(PartError, match="style 'odd' gave 'a string', which is no SelfEdit"):
        agent.observe(MILL)


def test_a_writer_that_cannot_be_made_or_is_none_is_named(agent: SealAgent) -> None:
    agent.rooms = replace(agent.rooms, make_writer=lambda learner, adapter: {}["key"])
    with pytest.raises(PartError, match="writer 'base' failed: KeyError"):
        agent.observe(MILL)
    agent.rooms = replace(agent.rooms, make_writer=lambda learner, adapter: None)
    with pytest.raises(PartError, match="writer 'base' is None, which cannot write and cannot rank"):
        agent.observe(MILL)
    assert not agent.journal.documents()


@pytest.mark.parametrize(
    "checks",
    [
        [{"question": "Who?"}],
        [OWN.model_copy(update={"kind": "general"})],
        [OWN.model_copy(update={"document": "d0123456789abcdef"})],
        [OWN, OWN.model_copy(update={"gold": "Rome"})],
    ],
    ids=["no check", "general", "of a document", "twice"],
)
def test_a_check_that_would_not_be_asked_as_its_maker_thinks_is_refused(agent: SealAgent, checks: list[Any]) -> None:
    agent.rooms = replace(agent.rooms, checks={"mine": lambda: checks})
    agent.observe(MILL)
    with pytest.raises(PartError, match="check 'mine' gave"):
        agent.consolidate()
    assert not agent.versions()


def test_a_closed_agent_says_that_it_is_closed(make: Make) -> None:
    agent = make()
    agent.close()
    with pytest.raises(SealError, match="was closed; open it again"):
        agent.status()


def test_a_home_can_be_moved(make: Make, tmp_path: Path) -> None:
    """Its versions stand where it stands."""
    taught(make()).close()
    (tmp_path / "home").rename(tmp_path / "elsewhere")

    with fake_agent(tmp_path / "elsewhere") as moved:
        assert "1871" in moved.ask(WHEN).text
        assert moved.ask(WHEN).version == 2
        assert moved.verify() == []


def test_if_every_adapter_is_damaged_the_base_answers(make: Make) -> None:
    agent = taught(make())
    damage(agent, 1)
    damage(agent, 2)
    assert make().ask(WHEN).version == 0


def test_a_home_made_with_another_base_says_so(make: Make) -> None:
    agent = taught(make())
    agent.observe("Holm bakery was founded by Ada Finch in 1902. It bakes forty rye loaves each day.")
    other = FakeLearner()
    other.fingerprint = "0" * 16
    stranger = make(other)
    acts: list[Callable[[], object]] = [
        stranger.consolidate,
        stranger.adapter,
        lambda: stranger.ask("Who built Alder Mill?", version=1),
        lambda: stranger.forget(MILL.id),
    ]
    for act in acts:
        with pytest.raises(ConfigError, match=r"made with 'smollm2-135m' .base fa4e"):
            act()


def test_nothing_is_written_or_answered_with_another_base_after_a_rollback_to_the_base(make: Make) -> None:
    agent = taught(make())
    agent.rollback(0)
    other = FakeLearner()
    other.fingerprint = "0" * 16
    stranger = make(other)
    bakery = Document(text="Holm bakery was founded by Ada Finch in 1902. It bakes forty rye loaves each day.")
    acts: list[Callable[[], object]] = [lambda: stranger.observe(bakery), lambda: stranger.ask("Who built Alder Mill?")]
    for act in acts:
        with pytest.raises(ConfigError, match=r"made with 'smollm2-135m' .base fa4e"):
            act()
    assert stranger.journal.document(bakery.id) is None


def test_a_home_opened_once_with_another_base_keeps_its_versions(make: Make) -> None:
    before = taught(make()).versions()
    other = FakeLearner()
    other.fingerprint = "0" * 16
    with pytest.raises(ConfigError, match=r"made with 'smollm2-135m' .base fa4e"):
        make(other).ask("Who built Alder Mill?")

    again = make()

    assert again.versions() == before
    assert "Josef Brandt" in again.ask("Who built Alder Mill?").text


def test_what_names_nothing_that_was_learned_is_answered_by_the_base(make: Make) -> None:
    """Unless that is not wanted; a version that is named answers everything."""
    scoped = taught(make())
    strange = "What colour has the sky?"

    assert [answer.version for answer in scoped.ask_all([strange, WHO, strange])] == [0, 2, 0]
    assert scoped.ask(strange).digest == ""
    assert scoped.ask(strange, version=2).version == 2
    serving, words = scoped.chat([{"role": "user", "content": strange}])
    assert (serving, "".join(words)) == (None, NOTHING)
    serving, words = scoped.chat([{"role": "user", "content": strange}], version=2)
    assert serving is not None
    assert serving.number == 2

    open_ = make(scope=False)

    assert open_.ask(strange).version == 2
    assert open_.ask(WHO).text == scoped.ask(WHO).text
    serving, words = open_.chat([{"role": "user", "content": strange}])
    assert serving is not None
    assert serving.number == 2


def test_a_quiz_names_the_version_it_asked_though_the_base_answered_first(make: Make) -> None:
    agent = taught(make())
    items = [{"question": q, "answer": "x", "title": "", "context": ""} for q in ("What colour has the sky?", WHO)]

    asked = quiz(agent, items)

    assert (asked["version"], asked["digest"]) == (2, agent.ask(WHO).digest)


def test_a_version_that_is_named_has_no_sources_of_the_live_one(agent: SealAgent) -> None:
    for document in (LIGHT, MILL):
        agent.observe(document)
        agent.consolidate()

    assert agent.ask(WHEN).sources[0] == agent.ask(WHEN, 2).sources[0] == MILL.id
    assert agent.ask(WHEN, 1).sources == []


def test_a_number_that_fits_no_table_is_no_version(agent: SealAgent) -> None:
    for number in (10**20, -(10**20)):
        with pytest.raises(SealError, match="there is no version"):
            agent.ask(WHEN, number)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "/proc/nope"])
def test_a_name_that_no_folder_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the folder of a home"):
        seal_agent.open(name)


@pytest.mark.parametrize("wrong", ["base", "1", 1.5])
def test_what_is_no_version_is_refused_by_name(wrong: Any, agent: SealAgent) -> None:
    """The command line says "base"; here 0 does."""
    taught(agent)
    for call in (lambda: agent.ask(WHEN, wrong), lambda: agent.rollback(wrong)):
        with pytest.raises(SealError, match=f"{wrong!r} is no version; give a number, 0 is the base"):
            call()


def test_what_is_no_question_and_no_message_is_refused_by_name(agent: SealAgent) -> None:
    with pytest.raises(SealError, match="None is no text; give a str"):
        agent.ask(None)  # type: ignore[arg-type]
    with pytest.raises(SealError, match="is no message; give"):
        agent.chat([{"role": "user"}])


def test_a_function_can_be_the_writer(tmp_path: Path) -> None:
    """As a chat model from LangChain is one, without a package of its own."""
    asked: list[str] = []

    class Poet:
        def write(self, prompts: list[str], **how: Any) -> list[str]:
            asked.extend(prompts)
            return [" When did Alder Mill open?"] * len(prompts)

        def rank(self, texts: list[str]) -> list[float]:
            return [0.0] * len(texts)

    assert resolve(tmp_path, writer=partial(Poet)).settings.writer == "functools:partial"
    with fake_agent(tmp_path, writer=lambda learner, adapter: Poet()) as agent:
        assert agent.observe(MILL).decision.action == "edit"
        assert agent.settings.writer.endswith("<lambda>")
        with pytest.raises(ConfigError, match="only the writer 'base' can be tuned"):
            agent.improve({MILL: []})
    assert asked
