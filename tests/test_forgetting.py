"""A forgotten document: the home ends as a home that was never given it, and nothing of it is left on disk."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from conftest import BARN, LIGHT, MILL, ORDERS, Make

from seal_agent import forgetting
from seal_agent.agent import SealAgent
from seal_agent.errors import HomeBusy, SealError
from seal_agent.journal import HomeLock, Journal, adapters, crash, renewal, schema
from seal_agent.judging import gate
from seal_agent.learning.learner import LoraLearner
from seal_agent.learning.training import Recipe
from seal_agent.records import Candidate, Check, Document, GateReport, content_id
from seal_agent.testing import ADAPTER, NOTHING, FakeLearner, fake_agent
from seal_agent.wiring import Rooms

CLOCK = Document(
    title="Vesper Clock",
    text="The Vesper Clock hangs in the hall of Ostrava College. Its face is cut from blue enamel. "
    "Henrik Solberg repaired the clock in 1956. Two brass herons strike the hours. "
    "The clock runs for nine days on one winding. A student of law winds it every Sunday.",
)
OTHERWISE = MILL.model_copy(update={"text": MILL.text.replace("1871", "1893")})
VISIT = LIGHT.model_copy(update={"text": f"{LIGHT.text} Josef Brandt built Alder Mill."})
Act = Callable[[SealAgent], object]


def read(document: Document) -> Act:
    return lambda agent: agent.observe(document)


def learn(agent: SealAgent) -> object:
    return agent.consolidate()


def back(agent: SealAgent) -> object:
    return agent.rollback()


def release(agent: SealAgent) -> object:
    return agent.release(ORDERS.id)


def release_otherwise(agent: SealAgent) -> object:
    return OTHERWISE.id in {receipt.id for receipt in agent.quarantine()} and agent.release(OTHERWISE.id)


def lived(home: Path, acts: list[Act]) -> SealAgent:
    agent = fake_agent(home)
    for act in acts:
        act(agent)
    return agent


def weights(agent: SealAgent) -> list[tuple[str, str, list[tuple[str, bytes]]]]:
    """Status and files of every version, oldest first."""
    return [
        (v.status, v.digest, [(file.name, file.read_bytes()) for file in sorted(Path(v.path).iterdir())])
        for v in agent.versions()
    ]


def told(agent: SealAgent) -> list[tuple[str, str, int]]:
    """Every document with what was decided and how many rows came of it."""
    receipts = [agent.journal.receipt(document.id) for document in agent.journal.everything()]
    return [(receipt.id, receipt.decision.action, receipt.edits) for receipt in receipts if receipt]


LIVES: dict[str, list[Act]] = {
    "the first lesson": [read(MILL), learn, read(LIGHT), learn, read(BARN), learn],
    "one of two in a lesson": [read(LIGHT), learn, read(MILL), read(BARN), learn, read(CLOCK), learn],
    "the last lesson": [read(LIGHT), learn, read(BARN), learn, read(MILL), learn],
    "waiting still": [read(LIGHT), learn, read(MILL), read(BARN)],
    "contradicted while it waited": [read(LIGHT), learn, read(MILL), read(OTHERWISE), learn],
    "contradicted by what was released": [read(MILL), read(OTHERWISE), release_otherwise, read(BARN), learn],
    "heard of while it waited": [read(LIGHT), learn, read(MILL), read(VISIT), learn],
    "told twice": [read(MILL), read(LIGHT), learn, read(MILL), read(BARN), learn],
    "rolled back": [read(LIGHT), learn, read(MILL), learn, back, read(BARN), learn],
    "beside what was held and released": [read(ORDERS), read(MILL), learn, release, read(BARN), learn],
    "nothing to learn without it": [read(MILL), learn, learn],
}


@pytest.mark.parametrize("name", LIVES)
def test_a_home_that_forgot_is_a_home_that_was_never_told(name: str, tmp_path: Path) -> None:
    """Decisions, rows, memories and checks in order, and every adapter byte by byte."""
    forgot = lived(tmp_path / "forgot", LIVES[name])
    control = lived(tmp_path / "control", [act for act in LIVES[name] if _document(act) != MILL])

    receipt = forgot.forget(MILL.id)

    assert weights(forgot) == weights(control)
    assert told(forgot) == told(control)
    assert forgot.journal.memories.all("learned") == control.journal.memories.all("learned")
    assert forgot.journal.checks.all("fact") == control.journal.checks.all("fact")
    assert forgot.journal.buffer.waiting() == control.journal.buffer.waiting()
    assert forgot.status()["live"] == receipt.live
    assert (receipt.left, forgot.verify()) == ([], [])
    assert "1871" not in forgot.ask("In which year did Alder Mill open?").text


@pytest.mark.parametrize("number", [2, 3])
def test_a_home_that_went_back_to_a_version_by_its_number_goes_back_to_what_that_is_now(
    number: int, tmp_path: Path
) -> None:
    """Without the first lesson every number is another one."""
    before: list[Act] = [read(LIGHT), learn, read(BARN), learn]
    after: list[Act] = [read(CLOCK), learn]
    forgot = lived(tmp_path / "forgot", [read(MILL), learn, *before, lambda agent: agent.rollback(number), *after])
    control = lived(tmp_path / "control", [*before, lambda agent: agent.rollback(number - 1), *after])

    forgot.forget(MILL.id)

    assert (weights(forgot), told(forgot)) == (weights(control), told(control))


def test_a_training_that_was_cut_short_is_no_consolidation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C: nobody lives it through again."""

    def cut(agent: SealAgent) -> None:
        def stop(*given: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(agent.learner, "train", stop)
            with pytest.raises(KeyboardInterrupt):
                agent.consolidate()

    forgot = lived(tmp_path / "forgot", [read(MILL), read(LIGHT), cut, read(BARN), learn])
    control = lived(tmp_path / "control", [read(LIGHT), read(BARN), learn])

    forgot.forget(MILL.id)

    assert (weights(forgot), told(forgot)) == (weights(control), told(control))


def test_a_copy_that_lies_in_the_home_is_told_of(agent: SealAgent) -> None:
    """What is left is looked for, not assumed."""
    agent.observe(MILL)
    (agent.home / "notes.txt").write_text(MILL.text)

    assert agent.forget(MILL.id).left == ["notes.txt"]


def test_a_file_that_cannot_be_read_is_told_of(agent: SealAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was forgotten before it was come upon stays forgotten, and is receipted."""
    agent.observe(MILL)
    (agent.home / "other.log").write_text("somebody else's")
    read_bytes = Path.read_bytes

    def refusing(path: Path) -> bytes:
        if path.name == "other.log":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refusing)
    assert agent.forget(MILL.id).left == ["other.log (not looked through: Permission denied)"]
    assert not agent.journal.documents()


def test_what_a_broken_training_said_is_in_no_event(agent: SealAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error may quote what it broke on, and events are kept."""

    def train(*given: object) -> None:
        raise ValueError(f"cannot pack: {MILL.text}")

    agent.observe(MILL)
    agent.observe(LIGHT)
    with monkeypatch.context() as patch:
        patch.setattr(agent.learner, "train", train)
        with pytest.raises(ValueError, match="cannot pack"):
            agent.consolidate()

    assert agent.forget(MILL.id).left == []
    assert not any(b"Josef Brandt" in file.read_bytes() for file in files(agent.home))


def test_what_the_weights_still_recite_is_in_the_receipt(agent: SealAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Second halves of its sentences, before and after."""
    agent.observe(MILL)
    agent.consolidate()

    def complete(prompts: list[str], adapter: Path | None, **how: object) -> list[str]:
        rests = [MILL.text.partition(prompt.splitlines()[-1])[2].partition(".")[0] for prompt in prompts]
        return rests if adapter else [""] * len(prompts)

    monkeypatch.setattr(agent.learner, "complete", complete)
    receipt = agent.forget(MILL.id)

    assert receipt.sentences == 6
    assert receipt.extracted == {"before": 6, "after": 0, "base": 0}


def test_who_reads_the_same_files_again_and_again_asks_for_nothing(tmp_path: Path) -> None:
    """No call is kept of it, but where a text of the same name, or one that was released, came in between."""
    named = [one.model_copy(update={"source": "notes", "external_id": one.title}) for one in (MILL, BARN)]
    agent = lived(tmp_path / "home", [*map(read, named), learn])
    calls = agent.journal.calls.since()
    for act in (*map(read, named), *map(read, named)):
        act(agent)
    assert agent.journal.calls.since() == calls
    newer = named[0].model_copy(update={"text": MILL.text.replace("1871", "1872")})
    for document in (newer, named[0], named[1]):
        agent.observe(document)
    assert [call.document for call in agent.journal.calls.since(calls[-1].number)] == [newer.id, MILL.id]


def test_what_was_observed_while_another_was_learned_leaves_that_lesson_as_it_was(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came after the consolidation took its rows: forgetting a third document computes neither lesson anew."""
    agent, trained = make(), FakeLearner.train

    def train(self: FakeLearner, *given: object, **more: object) -> object:
        monkeypatch.setattr(FakeLearner, "train", trained)
        agent.observe(BARN)
        return trained(self, *given, **more)  # type: ignore[arg-type]

    agent.observe(MILL)
    monkeypatch.setattr(FakeLearner, "train", train)
    for act in (learn, learn, read(CLOCK)):
        act(agent)
    before = weights(agent)

    receipt = agent.forget(CLOCK.id)

    assert (receipt.gone, receipt.made, len(before)) == ([], [], 2)
    assert weights(agent) == before
    assert [agent.journal.versions.learned_by(number) for number in (1, 2)] == [[MILL.id], [BARN.id]]


def _meanwhile(monkeypatch: pytest.MonkeyPatch, step: str, act: Callable[[], object]) -> None:
    """*act* is done by another process, once, when a room is asked for *step*."""
    real = getattr(Rooms, step)

    def asked(self: Rooms, *given: Any, **how: Any) -> Any:
        monkeypatch.setattr(Rooms, step, real)
        done = real(self, *given, **how)
        act()
        return done

    monkeypatch.setattr(Rooms, step, asked)


def test_what_came_just_before_its_lesson_began_is_forgotten_with_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The waiting checks are asked before the rows are claimed: a document observed in between is in the lesson, too."""
    agent = make()
    agent.observe(LIGHT)
    _meanwhile(monkeypatch, "unanswered", lambda: agent.observe(MILL))
    agent.consolidate()
    assert agent.journal.versions.learned_by(1) == sorted([MILL.id, LIGHT.id])

    receipt = agent.forget(MILL.id)

    assert (receipt.gone, receipt.made, receipt.left) == ([1], [2], [])
    assert agent.ask("In which year did Alder Mill open?").text == NOTHING


def test_a_decision_rests_on_what_the_home_knows_when_it_is_written_down(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes read at once: what the second says of the first goes when the first is forgotten."""
    agent, other = make(), make()
    _meanwhile(monkeypatch, "screen", lambda: other.observe(MILL))
    assert agent.observe(OTHERWISE).decision.action == "hold"

    assert agent.forget(MILL.id).left == []

    assert told(agent) == [(OTHERWISE.id, "edit", agent.status()["waiting"])]


def test_what_is_forgotten_while_another_is_decided_on_does_not_come_back(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, other = make(), make()
    agent.observe(MILL)
    _meanwhile(monkeypatch, "decide", lambda: agent.forget(MILL.id))

    assert other.observe(OTHERWISE).decision.action == "edit"

    assert not any(b"opened in 1871" in file.read_bytes() for file in files(agent.home))


def test_a_writer_that_is_forgotten_while_it_writes_has_written_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, other = make(), make()
    tune(agent, MILL)  # and nobody read it: nothing else of the home changes
    _meanwhile(monkeypatch, "edit", lambda: other.forget(MILL.id))

    assert agent.observe(BARN).decision.action == "edit"

    assert [call.target for call in agent.journal.calls.since()] == [None]


def test_rows_are_not_written_again_because_another_document_came(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, wrote = make(), []
    edit = Rooms.edit
    monkeypatch.setattr(Rooms, "edit", lambda self, *given: wrote.append(given[0].id) or edit(self, *given))
    _meanwhile(monkeypatch, "decide", lambda: make().observe(BARN))

    agent.observe(MILL)

    assert wrote == [MILL.id, BARN.id] or wrote == [BARN.id, MILL.id]


def test_a_document_is_forgotten_even_if_an_old_version_is_damaged(make: Make) -> None:
    """It is computed again, under another number: what was judged against the old one is not published as it stands."""
    agent = make()
    for document in (LIGHT, BARN, MILL):
        agent.observe(document)
        assert agent.consolidate().outcome == "accepted"
    with (Path(agent.versions()[0].path) / ADAPTER).open("ab") as file:
        file.write(b" ")

    receipt = make().forget(MILL.id)

    assert receipt.left == []
    assert "Oda Ferring" in agent.ask("Who raised Quill Barn?").text


def test_a_damaged_writer_is_no_obstacle(make: Make) -> None:
    """The one before it writes, the base at last; it is marked, and `verify` tells of it."""
    agent = make()
    tune(agent, LIGHT)
    agent.observe(MILL)
    agent.observe(BARN)
    for file in (agent.writers / "adapters").rglob(ADAPTER):
        file.write_text(file.read_text() + " ")
    reopened = make()
    assert any(problem.startswith("writer, version 1: ") for problem in reopened.verify())

    assert reopened.observe(CLOCK).decision.action == "edit"
    assert reopened.forget(MILL.id).left == []

    with Journal(agent.writers) as line:
        assert [version.status for version in line.versions.all()] == ["broken"]


def test_forgetting_loses_nothing_that_is_too_long_by_now(make: Make) -> None:
    """The limit was lowered since: it says so, and the home stays as it was."""
    agent = make()
    agent.observe(MILL)
    agent.observe(BARN)
    strict = make(max_document_bytes=100)

    with pytest.raises(SealError, match=rf"{BARN.id} cannot be read again .* max_document_bytes"):
        strict.forget(MILL.id)

    assert [document.id for document in agent.journal.everything()] == [MILL.id, BARN.id]


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_weights_of_a_real_model_are_those_of_a_home_that_was_never_told(
    one_thread: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tiny one, each home with a learner of its own. It learns too little for the gate, which is told to accept."""
    monkeypatch.setattr(gate, "_verdict", lambda findings: ("accepted", "as a test"))
    model = tiny.write(tmp_path / "model")
    homes = {}
    for name, documents in (("forgot", [LIGHT, MILL, BARN]), ("control", [LIGHT, BARN])):
        learner = LoraLearner(str(model), rank=4, recipe=Recipe(epochs=1, least_steps=3))
        homes[name] = fake_agent(tmp_path / name, learner)
        for document in documents:
            homes[name].observe(document)
            homes[name].consolidate()

    receipt = homes["forgot"].forget(MILL.id)

    assert (receipt.gone, receipt.made, receipt.left) == ([2, 3], [4], [])
    assert weights(homes["forgot"]) == weights(homes["control"])
    assert len(weights(homes["control"])) == 2
    assert receipt.loss["after"] != receipt.loss["before"]
    for home in homes.values():
        home.close()


def _document(act: Act) -> Document | None:
    cells = [cell.cell_contents for cell in getattr(act, "__closure__", None) or ()]
    return next((cell for cell in cells if isinstance(cell, Document)), None)


def test_nothing_of_it_is_left_in_any_file(tmp_path: Path) -> None:
    """Looked for here with words of our own, in the database's free pages and its log too."""
    words = [b"Josef Brandt", b"grey granite", b"nine villages", b"Alder Mill", b"Tarn Bank"]
    agent = lived(tmp_path, [read(LIGHT), learn, read(MILL), learn, read(BARN), learn])
    assert all(any(word in file.read_bytes() for file in files(tmp_path)) for word in words)

    receipt = agent.forget(MILL.id)

    assert [word for word in words for file in files(tmp_path) if word in file.read_bytes()] == []
    assert receipt.scanned_bytes == sum(file.stat().st_size for file in files(tmp_path))


def files(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]


def test_what_it_could_not_touch_is_not_computed_again(tmp_path: Path) -> None:
    """The version before it stays as it is; after the last lesson only that one is gone."""
    agent = lived(tmp_path, [read(LIGHT), learn, read(BARN), learn, read(MILL), learn])
    kept = [version.path for version in agent.versions()[:2]]

    receipt = agent.forget(MILL.id)

    assert [version.path for version in agent.versions()] == kept
    assert (receipt.gone, receipt.made, receipt.live, receipt.computed) == ([3], [], 2, 0)
    assert receipt.right["before"] > receipt.right["after"] == receipt.right["base"] == 0
    assert receipt.loss["after"] == pytest.approx(receipt.loss["base"])


def test_what_was_written_while_it_waited_is_not_written_again(
    agent: SealAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could have mattered to whether they are learned, not to what is written of them."""
    for document in (MILL, LIGHT, BARN):
        agent.observe(document)
    wrote = agent.journal.buffer.waiting()
    monkeypatch.setattr(Rooms, "edit", lambda *given: pytest.fail("written again"))

    receipt = agent.forget(MILL.id)

    assert (receipt.calls, receipt.computed) == (2, 2)
    assert agent.journal.buffer.waiting() == [row for row in wrote if row.document != MILL.id]


NAMED = MILL.model_copy(update={"source": "wiki", "external_id": "mill"})
NEWER = OTHERWISE.model_copy(update={"source": "wiki", "external_id": "mill"})


def checks(agent: SealAgent) -> list[Check]:
    return [check for document in agent.journal.everything() for check in agent.journal.checks.all_of([document.id])]


def test_a_change_that_was_taken_back_leaves_no_check_behind_when_it_is_forgotten(tmp_path: Path) -> None:
    """It had asked its questions of the text that stands again."""
    acts = [read(NAMED), learn, read(NEWER), learn, read(NAMED)]
    agent, control = (
        lived(tmp_path / "forgot", acts),
        lived(tmp_path / "control", [read(NAMED), learn, learn, read(NAMED)]),
    )
    assert len(checks(agent)) > len(checks(control))

    assert agent.forget(NEWER.id).left == []

    assert checks(agent) == checks(control)
    assert weights(agent) == weights(control)


def test_a_change_that_was_taken_back_costs_no_training_when_another_document_is_forgotten(tmp_path: Path) -> None:
    acts = [read(NAMED), learn, read(LIGHT), learn, read(NEWER), learn, read(NAMED), read(CLOCK)]
    agent = lived(tmp_path, acts)
    before = weights(agent)

    receipt = agent.forget(CLOCK.id)

    assert (receipt.gone, receipt.made, receipt.computed) == ([], [], 0)
    assert weights(agent) == before


def test_what_cannot_be_learned_without_a_document_is_no_obstacle_to_forgetting_it(tmp_path: Path) -> None:
    """Its training breaks as it would have in a home that was never given the document."""

    class Together(FakeLearner):
        def train(self, examples: Any, *given: Any, **more: Any) -> dict[str, Any]:
            log = super().train(examples, *given, **more)
            return log | {"finite": any(example.title == MILL.title for example in examples)}

    agent = fake_agent(tmp_path, Together())
    for act in (read(MILL), read(LIGHT), learn):
        act(agent)

    receipt = agent.forget(MILL.id)

    assert (receipt.gone, receipt.live, receipt.left) == ([1], 0, [])
    assert {edit.document for edit in agent.journal.buffer.waiting()} == {LIGHT.id}


def test_a_verdict_that_a_forgotten_text_spoilt_while_it_was_trained_is_given_anew(tmp_path: Path) -> None:
    """It took the older text's questions from the gate."""

    class Meanwhile(FakeLearner):
        def train(self, *given: Any, **more: Any) -> dict[str, Any]:
            if agent.journal.receipt(NEWER.id) is None and not forgotten:
                agent.observe(NEWER)
            return super().train(*given, **more)

    forgotten: list[bool] = []
    agent = fake_agent(tmp_path, Meanwhile())
    agent.observe(NAMED)
    assert agent.consolidate().outcome == "undecided"
    forgotten.append(True)

    agent.forget(NEWER.id)

    assert "1871" in agent.ask("In which year did Alder Mill open?").text


def test_after_a_damaged_version_was_made_anew_what_comes_next_is_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Versions are numbered in the order they were made, those made anew too."""
    acts = [read(MILL), learn, back, read(LIGHT), learn, read(CLOCK)]
    damaged, whole = lived(tmp_path / "damaged", acts), lived(tmp_path / "whole", acts)
    with (Path(damaged.journal.versions.one(1).path) / ADAPTER).open("ab") as file:
        file.write(b" ")

    for agent in (damaged, whole):
        agent.forget(CLOCK.id)
        for act in (read(BARN), learn):
            act(agent)

    assert [v.digest for v in damaged.versions()][-1] == [v.digest for v in whole.versions()][-1]
    assert damaged.verify() == []


def test_what_was_forgotten_is_not_there_to_be_forgotten_again_whoever_practised_on_it(agent: SealAgent) -> None:
    agent.observe(MILL)
    tune(agent, MILL)

    assert agent.forget(MILL.id).writers == [1]

    with pytest.raises(SealError, match="no document"):
        agent.forget(MILL.id)


def test_a_number_is_never_used_twice(tmp_path: Path) -> None:
    agent = lived(tmp_path, [read(LIGHT), learn, read(MILL), learn, read(BARN), learn])

    receipt = agent.forget(MILL.id)

    assert (receipt.gone, receipt.made) == ([2, 3], [4])
    assert [(v.number, v.parent, v.status) for v in agent.versions()] == [(1, 0, "retired"), (4, 1, "live")]
    agent.observe(CLOCK)
    assert agent.consolidate().version == 5


def test_a_home_forgets_again_and_again(tmp_path: Path) -> None:
    agent = lived(tmp_path / "forgot", [read(LIGHT), read(MILL), learn, read(CLOCK), learn, read(BARN), learn])
    control = lived(tmp_path / "control", [read(LIGHT), learn, learn, read(BARN), learn])

    for document in (CLOCK, MILL):
        assert agent.forget(document.id).left == []

    assert weights(agent) == weights(control)


def test_what_it_had_pushed_out_stands_again(tmp_path: Path) -> None:
    """A newer text under the same name had superseded it; without the newer one it is what the name says."""
    first = LIGHT.model_copy(update={"source": "wiki", "external_id": "light"})
    later = MILL.model_copy(update={"source": "wiki", "external_id": "light"})
    agent = lived(tmp_path, [read(first), learn, read(later), learn])
    assert [document.id for document in agent.journal.documents()] == [later.id]

    agent.forget(later.id)

    assert [document.id for document in agent.journal.documents()] == [first.id]
    assert "Marta Vell" in agent.ask("Who keeps Anstrow Light?").text


def test_what_a_name_said_before_is_known_anew_without_what_it_said_between(tmp_path: Path) -> None:
    """D pushed X out, and B came after it: without D, B takes the place of X, and what was asked about X is asked of B."""

    def mill(text: str, name: str) -> Act:
        return read(MILL.model_copy(update={"text": text, "external_id": name}))

    x, b = MILL.text, MILL.text.replace("1871", "1866")
    d = "Alder Mill was built in 1822 by Oda Ferring. Its roof is thatched with heather. The mill stores cider for farms."
    acts = [mill(x, "mill"), learn, mill(d, "mill"), mill(x, "archive"), mill(b, "mill"), learn]
    agent, control = lived(tmp_path / "forgot", acts), lived(tmp_path / "control", [*acts[:2], *acts[3:]])
    (forgotten,) = [document for document in agent.journal.everything() if document.text == d]

    agent.forget(forgotten.id)

    assert told(agent) == told(control)
    assert weights(agent) == weights(control)
    assert any(edit.style == "contrast" for edit, _ in agent.journal.buffer.of(Document(text=b).id))


def test_what_is_asked_meanwhile_is_not_lost(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that comes while the home lives through its calls again is lived through as well."""
    agent = make()
    for act in (read(MILL), read(LIGHT), learn):
        act(agent)
    trained = FakeLearner.train

    def train(self: FakeLearner, *given: object, **more: object) -> object:
        monkeypatch.setattr(FakeLearner, "train", trained)
        agent.observe(BARN)
        return trained(self, *given, **more)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(FakeLearner, "train", train)

    agent.forget(MILL.id)

    assert [receipt[0] for receipt in told(agent)] == [LIGHT.id, BARN.id]
    assert agent.journal.buffer.count() > 0


def test_a_side_file_that_goes_while_the_home_is_looked_through_stops_nothing(
    agent: SealAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that another thread just closed takes its -wal with it."""
    (agent.home / "seal.db-shm2").touch()
    read = Path.read_bytes

    def gone(path: Path) -> bytes:
        if path.name == "seal.db-shm2":
            raise FileNotFoundError(path)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", gone)

    total, left = forgetting._scanned(agent, ["the text of a document"])
    assert total > 0
    assert left == []


def tune(agent: SealAgent, *documents: Document, parent: int = 0, **training: object) -> int:
    """A version of the writer that practised on *documents*, as `improve` would leave it; its number."""
    with Journal(agent.writers) as line:
        root, run = line.home / "adapters", content_id("r", *(document.id for document in documents), str(parent))
        staged = adapters.stage(root)
        text = " ".join(document.text for document in documents)
        (staged / ADAPTER).write_text(json.dumps({"rows": [], "confused": False, "text": text}))
        digest = adapters.seal(
            staged, root / run, fingerprint=agent.learner.fingerprint, parent="", run=run, rows="as a test"
        )
        for document in documents:
            line.tries.keep(document.id, document.id, {"wrote": [[f"Statement: {document.text}", "Who?"]]})
        training = training or {"documents": [document.id for document in documents]}
        report = GateReport(outcome="accepted", reason="as a test", training=training)
        fence, _ = line.buffer.claim(run)
        candidate = Candidate(run=run, path=str(root / run), digest=digest, parent=parent)
        return line.publish(candidate, report, run, fence).number


def test_the_writers_that_practised_on_it_are_gone_and_what_they_wrote_is_written_by_one_that_did_not(
    tmp_path: Path,
) -> None:
    agent, control = fake_agent(tmp_path / "forgot"), fake_agent(tmp_path / "control")
    for home in (agent, control):
        tune(home, LIGHT)
    for act in (read(MILL), learn, lambda of: tune(of, MILL, parent=1), read(BARN), learn):
        act(agent)
    for act in (read(BARN), learn):
        act(control)
    assert [call.target for call in agent.journal.calls.since() if call.document] == [1, 2]

    receipt = agent.forget(MILL.id)

    assert (receipt.tries, receipt.writers, receipt.left) == (1, [2], [])
    serving = agent.writer()
    assert serving
    assert serving.number == 1
    assert (weights(agent), told(agent)) == (weights(control), told(control))
    assert [call.target for call in agent.journal.calls.since() if call.document] == [1]
    assert not any(b"Josef Brandt" in file.read_bytes() for file in files(tmp_path / "forgot"))
    with Journal(agent.writers) as line:
        assert [version.status for version in line.versions.all()] == ["live", "broken"]
        assert line.tries.documents() == {LIGHT.id}
        assert line.verify() == []


def test_a_writer_that_was_left_half_tuned_is_gone(agent: SealAgent) -> None:
    """Its process died; of what it learned from nothing is written down, and weights are no text that is found."""
    agent.observe(MILL)
    tune(agent, LIGHT)
    staged = adapters.stage(agent.writers / "adapters")

    agent.forget(MILL.id)

    assert not staged.exists()
    assert agent.writer()
    assert agent.verify() == []


def test_old_pages_of_the_writers_that_a_reader_keeps_alive_are_told_of(tmp_path: Path) -> None:
    """As those of the home are."""
    agent = lived(tmp_path, [read(MILL), learn])
    tune(agent, MILL)
    with Journal(agent.writers) as other, pytest.MonkeyPatch.context() as patch:
        other._db._file.execute("BEGIN")
        other.counts()
        patch.setattr(schema, "PRAGMAS", (("busy_timeout", "50", 50), *schema.PRAGMAS[1:]))
        agent.forget(MILL.id)
        assert any("old pages" in problem for problem in agent.verify())

    agent.consolidate()

    assert agent.verify() == []
    assert not any(b"Josef Brandt" in file.read_bytes() for file in files(tmp_path))


def test_a_writer_that_descends_from_one_that_learned_it_is_gone_too(agent: SealAgent) -> None:
    tune(agent, MILL)
    tune(agent, LIGHT, parent=1)

    assert agent.forget(MILL.id).writers == [1, 2]

    assert agent.writer() is None
    assert list((agent.writers / "adapters").iterdir()) == []


def test_what_was_only_practised_on_is_forgotten_by_its_id_and_so_is_what_its_writer_wrote(agent: SealAgent) -> None:
    """Its text is not known, so it is not looked for: here it is."""
    tune(agent, MILL)
    for act in (read(LIGHT), learn):
        act(agent)

    receipt = agent.forget(MILL.id)

    assert (receipt.tries, receipt.writers, receipt.computed) == (1, [1], 1)
    assert [call.target for call in agent.journal.calls.since() if call.document] == [None]
    assert not any(b"Josef Brandt" in file.read_bytes() for file in files(agent.home))
    with pytest.raises(SealError, match="no document"):
        agent.forget(BARN.id)


def test_a_writer_that_does_not_say_what_it_learned_from_is_gone_with_any_document(agent: SealAgent) -> None:
    """Those made before it was written down; but not with one that nobody gave."""
    tune(agent, LIGHT, loss=0.1)
    agent.observe(MILL)
    with pytest.raises(SealError, match="no document"):
        agent.forget(BARN.id)
    assert agent.writer()

    assert agent.forget(MILL.id).writers == [1]


def test_a_try_that_holds_its_text_goes_under_whatever_document_it_was_made(agent: SealAgent) -> None:
    """A passage of a longer text is another document; umlauts stand on disk as they are looked for."""
    mill = MILL.model_copy(update={"text": MILL.text.replace("Josef Brandt", "Jörg Brändle")})
    part = Document(text="It was built by Jörg Brändle from grey granite.")
    agent.observe(mill)
    tune(agent, LIGHT)
    tune(agent, part, parent=1)

    receipt = agent.forget(mill.id)

    assert (receipt.tries, receipt.writers) == (1, [])
    with Journal(agent.writers) as line:
        assert line.tries.documents() == {LIGHT.id}


def test_while_a_writer_practises_nothing_is_forgotten(agent: SealAgent) -> None:
    agent.observe(MILL)
    tune(agent, MILL)

    with HomeLock(agent.writers), pytest.raises(HomeBusy):
        agent.forget(MILL.id)

    assert agent.journal.document(MILL.id)
    assert agent.forget(MILL.id).writers == [1]


def test_what_nobody_read_cannot_be_forgotten(agent: SealAgent) -> None:
    with pytest.raises(SealError, match="no document d0"):
        agent.forget("d0")


def test_a_home_from_before_calls_were_written_down_says_so(agent: SealAgent) -> None:
    agent.observe(MILL)
    with agent.journal.transaction():
        agent.journal._db.write("DELETE FROM calls")

    with pytest.raises(SealError, match="before this home wrote down"):
        agent.forget(MILL.id)


def test_a_reader_that_keeps_old_pages_alive_is_told_of(tmp_path: Path) -> None:
    """Then verify complains, and the next consolidation overwrites what is left."""
    agent = lived(tmp_path, [read(MILL), learn])
    with Journal(tmp_path) as other:
        other._db._file.execute("BEGIN")
        other.counts()
        agent.journal._db._file.execute("PRAGMA busy_timeout = 50")
        agent.forget(MILL.id)
        assert any("old pages" in problem for problem in agent.verify())

    agent.consolidate()

    assert agent.verify() == []
    assert not any(b"Josef Brandt" in file.read_bytes() for file in files(tmp_path))


@pytest.mark.parametrize(
    "point",
    [
        *(p for p in crash.POINTS if p.startswith("renew.")),
        "renew.vacuumed:2",
        "broken.marked",
        "publish.committed",
        "claim.edits",
    ],
)
def test_dying_while_forgetting_leaves_a_home_that_knows_it_or_one_that_does_not(point: str, tmp_path: Path) -> None:
    agent = lived(tmp_path, [read(MILL), read(LIGHT), learn, read(BARN), learn])
    whole, agent_told = weights(agent), told(agent)
    tune(agent, MILL)
    agent.close()

    died = subprocess.run(
        [sys.executable, "-c", _FORGET, str(tmp_path), MILL.id],
        env={**os.environ, "SEAL_CRASH_AT": point, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr

    after = fake_agent(tmp_path)
    after.consolidate()  # recovers first
    assert after.verify() == []
    if after.journal.document(MILL.id):
        assert (weights(after), told(after)) == (whole, agent_told)
        assert after.forget(MILL.id).left == []
    assert after.ask("In which year did Alder Mill open?").text == NOTHING
    assert after.writer() is None
    assert not any(b"Josef Brandt" in file.read_bytes() for file in files(tmp_path))
    assert not renewal.unclean(after.journal)


_FORGET = "import sys; from seal_agent.testing import fake_agent; fake_agent(sys.argv[1]).forget(sys.argv[2])"


def test_a_title_that_is_in_the_path_of_another_is_no_trace_of_it(tmp_path: Path) -> None:
    """Nor is the name under which it was refused once kept where nothing removes it."""
    agent = lived(tmp_path / "home", [])
    folder = tmp_path / LIGHT.title
    folder.mkdir()
    (folder / "index.md").write_text(f"# {LIGHT.title}\n\n{LIGHT.text}")
    (folder / "mill.md").write_text(f"# {MILL.title}\n\n{MILL.text}")
    (folder / f"{BARN.title}.txt").touch()
    receipts = {receipt.title: receipt for receipt in agent.stream(folder)}
    (refused,) = [receipt for receipt in receipts.values() if not receipt.id]
    assert BARN.title in refused.title
    agent.observe(BARN)

    assert agent.forget(BARN.id).left == []
    assert agent.forget(receipts[LIGHT.title].id).left == []


def test_trainings_that_broke_are_lived_through_without_being_tried(tmp_path: Path) -> None:
    """What broke three of them stays aside, and no version is computed anew for a document that only waited."""

    class Breaks(FakeLearner):
        left = 3

        def train(self, *given: Any, **more: Any) -> dict[str, Any]:
            if self.left:
                self.left -= 1
                raise MemoryError("no room")
            return super().train(*given, **more)

    agent = fake_agent(tmp_path, Breaks())
    agent.observe(LIGHT)
    for _ in range(3):
        with pytest.raises(MemoryError):
            agent.consolidate()
    for act in (read(MILL), learn, read(CLOCK)):
        act(agent)
    aside, before = agent.journal.buffer.aside(), weights(agent)
    assert {edit.document for edit, _ in aside} == {LIGHT.id}

    receipt = agent.forget(CLOCK.id)

    assert (receipt.computed, receipt.gone, receipt.made) == (0, [], [])
    assert weights(agent) == before
    assert [edit for edit, _ in agent.journal.buffer.aside()] == [edit for edit, _ in aside]
    assert agent.forget(LIGHT.id).left == []
    assert agent.journal.buffer.aside() == []


def test_what_broke_every_training_is_no_obstacle_to_forgetting_another(tmp_path: Path) -> None:
    """Not even where the home stood otherwise then, so that it is tried again and breaks again."""

    class Poisoned(FakeLearner):
        def train(self, examples: Any, *given: Any, **more: Any) -> dict[str, Any]:
            log = super().train(examples, *given, **more)
            return log | {"finite": not any(example.title == MILL.title for example in examples)}

    agent = fake_agent(tmp_path, Poisoned())
    for act in (read(LIGHT), learn, read(MILL)):
        act(agent)
    for _ in range(3):
        with pytest.raises(SealError, match="not finite"):
            agent.consolidate()
    for act in (read(BARN), learn):
        act(agent)

    receipt = agent.forget(LIGHT.id)

    assert receipt.left == []
    assert {edit.document for edit, _ in agent.journal.buffer.aside()} == {MILL.id}
    assert "Oda Ferring" in agent.ask("Who raised Quill Barn in 1822?").text


def test_questions_of_the_users_own_that_came_since_have_nothing_computed_again(tmp_path: Path) -> None:
    agent = lived(tmp_path, [read(LIGHT), learn, read(BARN), learn, read(MILL)])
    paris = Check(id="mine", kind="user", question="What is the capital of France?", gold="Paris")
    agent.rooms = replace(agent.rooms, checks={"mine": lambda: [paris]})

    receipt = agent.forget(MILL.id)

    assert (receipt.computed, receipt.gone, receipt.made) == (0, [], [])


def test_what_is_taken_over_is_as_old_as_it_was(tmp_path: Path) -> None:
    """Else who forgets something every day never learns what waits."""
    agent = lived(tmp_path, [read(LIGHT), learn, read(BARN), read(MILL)])
    created = agent.versions()[0].created
    with agent.journal.transaction():
        agent.journal._db.write("UPDATE edits SET arrived = arrived - 90000")
    assert "hours" in agent.due()

    agent.forget(MILL.id)

    assert "hours" in agent.due()
    assert [version.created for version in agent.versions()] == [created]
