"""A consolidation, whatever happens to it: what it trains, what waits, what a broken one leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import LIGHT, MILL, WHEN, WHO, Make, damage, interrupted, taught

from seal_agent import consolidating, wiring
from seal_agent.agent import SealAgent
from seal_agent.errors import HomeBusy, SealError
from seal_agent.journal import HomeLock, Journal, adapters
from seal_agent.judging import gate
from seal_agent.records import Check, GateReport, content_id
from seal_agent.testing import FakeLearner, fake_agent


def test_with_nothing_to_learn_nothing_happens(agent: SealAgent) -> None:
    assert agent.consolidate().outcome == "nothing"
    assert agent.versions() == []


def test_a_candidate_that_learned_nothing_is_set_aside_with_a_report(make: Make) -> None:
    agent = make(FakeLearner(learns=False))
    rows = agent.observe(MILL).edits

    done = agent.consolidate()

    assert (done.outcome, done.version) == ("rejected", 0)
    assert done.report
    assert "new facts" in done.report.reason
    assert {finding.name for finding in done.report.findings if finding.verdict == "fail"} == {"new facts"}
    assert agent.versions()[0].status == "rejected"
    assert agent.ask(WHEN).version == 0
    assert agent.status()["waiting"] == rows  # they are tried once more
    assert agent.consolidate().outcome == "rejected"
    assert agent.status()["waiting"] == 0  # and then wait for someone to look at them
    assert agent.journal.buffer.aside()


def test_a_candidate_that_forgets_what_the_base_knew_is_rejected(make: Make) -> None:
    agent = make(FakeLearner(forgets=True))
    agent.observe(MILL)
    done = agent.consolidate()
    assert done.outcome == "rejected"
    assert "general" in done.reason


def test_what_cannot_be_judged_yet_waits_for_more(agent: SealAgent) -> None:
    """Nothing is trained for it and no attempt is spent; it is learned with what comes next."""
    agent.observe("Pell Weir hums.")
    waiting = agent.status()["waiting"]
    done = agent.consolidate()

    assert (done.outcome, agent.status()["waiting"]) == ("nothing", waiting)
    assert "needs 5 reserved questions" in done.reason
    assert agent.versions() == []

    agent.observe(MILL)
    assert agent.consolidate().outcome == "accepted"
    assert agent.status()["waiting"] == 0


def test_what_is_rehearsed_as_near_begins_with_the_nearest_not_with_the_oldest(agent: SealAgent) -> None:
    known = taught(agent).journal.memories.all("learned")
    row = next(edit for edit, _ in agent.journal.buffer.of(LIGHT.id) if not edit.refused)
    rows = [row.model_copy(update={"fact": "A flood broke its gate.", "title": MILL.title}), row]

    near = agent.rooms._near(rows, known, agent.journal)

    of = {memory.id: memory for memory in known}
    assert of[near[0]].document == LIGHT.id, "which was learned last"
    assert MILL.id in {of[name].document for name in near}


def test_who_answers_while_a_home_is_consolidated_for_the_first_time_waits_and_is_not_waited_for(
    agent: SealAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who writes the first memories down holds the journal, who answers holds the model, and each wants the other."""
    agent.observe(LIGHT)
    hold, asked = agent.journal.transaction, list[threading.Thread]()

    @contextmanager
    def met() -> Iterator[None]:
        with hold():
            asked.append(threading.Thread(target=agent.adapter, daemon=True))
            asked[-1].start()
            while asked[-1].is_alive() and agent._serving.acquire(blocking=False):
                agent._serving.release()
            yield

    monkeypatch.setattr(agent.journal, "transaction", met)
    first = threading.Thread(target=consolidating.seed, args=(agent,), daemon=True)
    first.start()
    first.join(20)

    assert not first.is_alive(), "each waits for the other"
    for thread in asked:
        thread.join(20)


@pytest.mark.parametrize(("rehearsal", "share"), [(2.0, 1.0), (0.0, 0.0)])
def test_a_short_lesson_rehearses_more_than_its_share(rehearsal: float, share: float, make: Make) -> None:
    """One new row beside what was learned: all of that, while an epoch has room for it; nothing where nothing is rehearsed."""
    agent = make(rehearsal=rehearsal)
    agent.observe(MILL)
    agent.consolidate()
    agent.observe(LIGHT)
    learned = agent.journal.memories.all("learned")

    examples = agent.rooms.mix(agent.journal.buffer.waiting()[:1], agent.journal)

    assert 4 < len(learned) < 2 * 119
    assert sum(example.old for example in examples) == share * len(learned)


@pytest.mark.parametrize(("bound", "rehearsal", "anew"), [(4000, 2.0, True), (1, 2.0, False), (4000, 0.0, False)])
def test_what_was_refused_is_trained_from_the_base_with_all_that_was_learned(
    bound: int, rehearsal: float, anew: bool, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left of the live adapter, and what it knew is known; not where that is too much, or nothing is rehearsed."""
    monkeypatch.setattr(wiring, "_ANEW", bound)
    learner = FakeLearner()
    agent = make(learner, rehearsal=rehearsal)
    agent.observe(MILL)
    agent.consolidate()
    agent.observe(LIGHT)
    learner.learns = False
    assert agent.consolidate().outcome == "rejected"
    learner.learns, train, began_from = True, learner.train, []
    monkeypatch.setattr(
        learner, "train", lambda rows, parent, *more: began_from.append(parent) or train(rows, parent, *more)
    )

    done = agent.consolidate()

    assert done.outcome == "accepted"
    assert done.report
    assert done.report.training["anew"] == anew
    assert began_from == [None if anew else Path(agent.versions()[0].path)]
    assert ("1871" in agent.ask(WHEN).text, "Marta Vell" in agent.ask(WHO).text) == (True, True)


def test_what_was_refused_in_a_home_too_large_to_train_anew_rehearses_twice_as_much(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "_ANEW", 1)
    monkeypatch.setattr(wiring, "_EPOCH", 0)
    learner = FakeLearner()
    agent = make(learner, rehearsal=0.3)
    agent.observe(MILL)
    agent.consolidate()
    agent.observe(LIGHT)
    rows = agent.journal.buffer.waiting()[:20]

    def rehearsed() -> int:
        return sum(example.old for example in agent.rooms.mix(rows, agent.journal))

    once, learner.learns = rehearsed(), False
    assert agent.consolidate().outcome == "rejected"
    assert rehearsed() == 2 * once > 0


def test_the_gate_is_given_what_is_near_the_new_and_what_was_right_when_it_was_learned(
    agent: SealAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each old fact: from that on what is lost is counted."""
    given: list[gate.Questions] = []
    real = gate.judge
    monkeypatch.setattr(gate, "judge", lambda *all_of_it: given.append(all_of_it[1]) or real(*all_of_it))
    more = (
        "Alder Mill opened a cafe beside the river Tarn in 1999. Its cook is Olga Reim. The mill employs nine bakers. "
        "Alder Mill was painted by Oskar Lind in 1957. Alder Mill stands near 12 oaks. Ute Karr mended the roof of Alder Mill."
    )
    for document in (MILL, MILL.model_copy(update={"text": more})):
        agent.observe(document)
        agent.consolidate()

    first, second = given
    assert (first.near, first.learned) == ([], {})
    assert {check.document for check in second.near} == {MILL.id}
    assert set(second.learned) == {check.id for check in second.old} != set()


def test_what_is_taken_back_while_it_is_trained_is_learned_and_waits_no_more(make: Make) -> None:
    """A newer text took its rows out of the run, and the older one was told again before the verdict."""
    named = MILL.model_copy(update={"source": "notes", "external_id": "mill"})
    meanwhile = [named.model_copy(update={"text": MILL.text.replace("1871", "1872")}), named]

    class Interrupted(FakeLearner):
        def train(self, *given: Any, **how: Any) -> Any:
            for document in (meanwhile.pop(0) for _ in tuple(meanwhile)):
                agent.observe(document)
            return super().train(*given, **how)

    agent = make(Interrupted())
    agent.observe(named)

    assert agent.consolidate().outcome == "accepted"
    assert agent.journal.buffer.count() == 0
    assert agent.consolidate().reason == "no edit waits"
    assert agent.verify() == []


def test_after_a_training_that_died_its_rows_are_due_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make(consolidate_after=5)
    agent.observe(MILL)
    due = agent.due()
    monkeypatch.setattr(agent.learner, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        agent.consolidate()

    assert due == make(consolidate_after=5).due() != ""


def test_while_a_training_runs_nothing_of_it_is_due(make: Make) -> None:
    agent = make(consolidate_after=5)
    agent.observe(MILL)
    with HomeLock(agent.home):
        agent.journal.buffer.claim("r0")
        assert make(consolidate_after=5).due() == ""
    assert make(consolidate_after=5).due()


def test_rows_that_were_set_aside_say_how_they_wait_again(make: Make) -> None:
    agent = make(FakeLearner(learns=False))
    rows = agent.observe(MILL).edits
    for _ in range(2):
        assert agent.consolidate().outcome == "rejected"

    with pytest.raises(SealError, match="set aside: `seal-agent forget` it and read it again"):
        agent.release(MILL.id)
    agent.forget(MILL.id)
    assert agent.observe(MILL).edits == rows == agent.status()["waiting"]


def test_what_a_broken_version_alone_knew_is_named_until_it_is_learned_again(make: Make) -> None:
    """Who asks gets an answer of the version before; nothing else would ever say that something is missing."""
    damage(taught(make()), 2)
    agent = make()
    assert agent.ask(WHEN).version == 1

    (problem,) = agent.verify()
    assert "version 2 is broken" in problem
    assert LIGHT.id in problem
    assert MILL.id not in problem
    agent.forget(LIGHT.id)
    agent.observe(LIGHT)
    assert agent.consolidate().outcome == "accepted"
    assert agent.verify() == []


def test_an_attempt_that_was_forgotten_stays_spent(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgetting what was refused and reading it again would else be judged at the first attempt's level for ever."""
    attempts: list[int] = []
    real = gate.judge

    def judge(*given: Any) -> GateReport:
        attempts.append(given[6])
        return real(*given)

    monkeypatch.setattr(gate, "judge", judge)
    agent = make(FakeLearner(learns=False))
    for _ in range(2):
        agent.observe(MILL)
        for _ in range(2):
            assert agent.consolidate().outcome == "rejected"
        agent.forget(MILL.id)
    assert attempts == [1, 2, 3, 4]


def test_what_a_user_wants_kept_is_what_the_maker_says_now(agent: SealAgent) -> None:
    """A corrected answer takes the place of the old one, and what is dropped is asked no more."""
    rules = {"Who keeps the keys?": "Ada", "Who pays?": "Bo"}
    agent.rooms.checks["house"] = lambda: [
        Check(id=content_id("c", "user", question), kind="user", question=question, gold=gold)
        for question, gold in rules.items()
    ]
    agent.observe(MILL)
    agent.consolidate()
    rules.pop("Who pays?")
    rules["Who keeps the keys?"] = "Cy"
    agent.observe(LIGHT)
    agent.consolidate()
    assert [(check.question, check.gold) for check in agent.journal.checks.all("user")] == [
        ("Who keeps the keys?", "Cy")
    ]


def test_a_loss_that_is_not_finite_publishes_nothing_and_loses_nothing(make: Make) -> None:
    agent = make(FakeLearner(finite=False))
    agent.observe(MILL)
    waiting = agent.status()["waiting"]
    with pytest.raises(SealError, match="not finite"):
        agent.consolidate()
    assert (agent.versions(), agent.status()["waiting"]) == ([], waiting)
    assert make().consolidate().outcome == "accepted"


def test_a_consolidation_cut_short_is_done_by_the_next_of_the_same_agent(
    agent: SealAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in a notebook: nobody opens the home anew."""

    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    agent.observe(MILL)
    with monkeypatch.context() as patch:
        patch.setattr(agent.learner, "train", interrupted)
        for _ in range(3):  # as many failures would set the rows aside
            with pytest.raises(KeyboardInterrupt):
                agent.consolidate()

    assert agent.consolidate().outcome == "accepted"


def test_an_adapter_that_does_not_fit_on_the_disk_is_taken_away_again(
    agent: SealAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the process died over it, and before anything is written: there is no room for that."""
    agent.observe(MILL)

    def full(examples: Any, parent: Any, out: Path, *given: Any) -> Any:
        (out / "half").write_text("an adapter")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(agent.learner, "train", full)
        with pytest.raises(OSError, match="No space left"):
            agent.consolidate()
    assert list((agent.home / "adapters").iterdir()) == []
    half = adapters.stage(agent.home / "adapters")

    def sweep(lock: HomeLock) -> None:
        assert not half.exists()

    monkeypatch.setattr(agent.journal.buffer, "sweep", sweep)
    assert agent.consolidate().outcome == "accepted"
    assert not half.exists()


def test_rows_of_a_process_that_died_wait_again(agent: SealAgent) -> None:
    agent.observe(MILL)
    with Journal(agent.home) as dead:
        dead.buffer.claim("dead")
    half = adapters.stage(agent.home / "adapters")
    assert agent.status()["waiting"] > 0, "what it had taken up is not learned yet"

    with HomeLock(agent.home) as lock:
        agent.recover(lock)
        first = agent.status()
        agent.recover(lock)

    assert agent.status() == first
    assert first["waiting"] > 0
    assert not half.exists()
    assert agent.consolidate().outcome == "accepted"


def test_two_processes_take_turns(agent: SealAgent) -> None:
    agent.observe(MILL)
    with HomeLock(agent.home), pytest.raises(HomeBusy):
        agent.consolidate()
    assert agent.consolidate().outcome == "accepted"


def test_the_same_inputs_make_the_same_version(make: Make, tmp_path: Path) -> None:

    one = taught(make())
    with fake_agent(tmp_path / "twin") as two:
        taught(two)
        assert [v.digest for v in one.versions()] == [v.digest for v in two.versions()]


def test_what_is_known_but_for_a_word_waits_for_more_to_learn(make: Make) -> None:
    """One new thing cannot be judged: it is neither trained in vain nor set aside, and is learned with the next."""
    agent = taught(make(consolidate_after=1))
    agent.observe(MILL.model_copy(update={"text": f"{MILL.text} Oskar Lind painted it in 1957."}))
    waiting = agent.status()["waiting"]
    assert agent.due()

    told = agent.consolidate()

    assert (told.outcome, "not answered yet" in told.reason, agent.due()) == ("nothing", True, "")
    assert (len(agent.versions()), agent.status()["waiting"], agent.status()["aside"]) == (2, waiting, 0)
    agent.observe("Holm bakery was founded by Ada Finch in 1902. It bakes forty rye loaves. Its oven came from Wend.")
    assert agent.due()
    assert agent.consolidate().outcome == "accepted"
    assert "Oskar Lind" in agent.ask("Who painted Alder Mill in 1957?").text


def test_due_says_why(make: Make) -> None:
    agent = make(consolidate_after=5)
    assert agent.due() == ""
    agent.observe(MILL)
    assert "rows wait" in agent.due()
