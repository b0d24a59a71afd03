"""Whole passes with a learner that remembers: what is read, learned, refused, taken back and repaired."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import LIGHT, MILL, ORDERS, Make

import seal_agent
from seal_agent import consolidating, wiring
from seal_agent.agent import SealAgent
from seal_agent.errors import ConfigError, HomeBusy, PartError, SealError
from seal_agent.journal import HomeLock, Journal, adapters
from seal_agent.judging import gate
from seal_agent.judging.quiz import quiz
from seal_agent.reading.sentences import sentences
from seal_agent.records import Check, Document, GateReport, content_id
from seal_agent.testing import ADAPTER, NOTHING, FakeLearner, fake_agent
from seal_agent.wiring import Rooms, resolve

WHEN = "In which year did Alder Mill open?"
WHO = "Who keeps Anstrow Light?"


def learned(agent: SealAgent) -> SealAgent:
    """*agent* after two consolidations: the mill is version 1, the light version 2."""
    for document in (MILL, LIGHT):
        agent.observe(document)
        assert agent.consolidate().outcome == "accepted"
    return agent


def damage(agent: SealAgent, number: int) -> None:
    with (Path(agent.journal.versions.one(number).path) / ADAPTER).open("ab") as file:
        file.write(b" ")


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
    learned(agent)
    assert "Marta Vell" in agent.ask(WHO).text
    assert agent.ask(WHO, version=1).text == NOTHING
    base = agent.ask(WHEN, version=0)
    assert (base.text, base.version, base.digest) == (NOTHING, 0, "")


def test_a_version_keeps_what_its_parent_learned(agent: SealAgent) -> None:
    assert "1871" in learned(agent).ask(WHEN).text
    assert [(v.number, v.parent, v.status) for v in agent.versions()] == [(1, 0, "retired"), (2, 1, "live")]


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
    known = learned(agent).journal.memories.all("learned")
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


@pytest.mark.parametrize(
    "news",
    ["said Zofie Cerna", "said Žofie Černá", "said Øystein Ås", "said Владимир Петров", "in the 1850s", "of 12kg"],
)
def test_a_name_or_number_that_was_never_heard_of_is_news_in_any_script(news: str, agent: SealAgent) -> None:
    agent.observe(MILL)
    agent.consolidate()
    told = MILL.text.replace("barley for nine villages.", f"barley for nine villages, {news}.")

    decision = agent.decide(MILL.model_copy(update={"text": told}))

    assert (decision.action, decision.numbers["news"]) == ("edit", 1)
    assert agent.decide(MILL).action == "skip"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_text_says_the_same_in_whatever_form_its_accents_are_written(form: Any, make: Make) -> None:
    """macOS and many PDFs take letters and accents apart."""
    accented = MILL.text.replace("Josef Brandt", "Jösef Brandt").replace("Tarn", "Tårn")
    agent = make()
    agent.observe(MILL.model_copy(update={"text": accented}))
    agent.consolidate()
    more = f"{accented} Its weir was mended by Ute Karr in 1957."

    decision = agent.decide(MILL.model_copy(update={"text": unicodedata.normalize(form, more)}))

    assert (decision.action, decision.numbers["news"]) == ("edit", 1)


def test_what_cannot_be_read_would_be_skipped(agent: SealAgent) -> None:
    """`decide` looks at a text as `observe` does."""
    assert agent.decide(Document(text="\x00" * 30)).reason.startswith("refused: ")


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


def test_the_same_text_again_is_no_second_lesson(agent: SealAgent) -> None:
    agent.observe(MILL)
    waiting = agent.status()["waiting"]
    again = agent.observe(MILL.model_copy(update={"source": "press"}))
    assert again.decision.action == "skip"
    assert "read before" in again.decision.reason
    assert agent.status()["waiting"] == waiting
    assert agent.status()["documents"]["total"] == 1


def test_what_is_known_already_is_skipped(agent: SealAgent) -> None:
    learned(agent)
    told = agent.observe("Alder Mill opened in 1871 beside the river Tarn. A flood broke its wheel in 1904.")
    assert (told.decision.action, told.edits) == ("skip", 0)
    assert "already known" in told.decision.reason


def test_what_is_remembered_is_asked_about_under_the_title_it_was_learned_under(
    agent: SealAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question is whether the weights hold the old fact, whatever the new document calls it."""
    learned(agent)
    asked: list[str] = []
    answer = agent.learner.answer
    monkeypatch.setattr(
        agent.learner, "answer", lambda questions, *given: (asked.extend(questions), answer(questions, *given))[1]
    )

    decision = agent.decide(MILL.model_copy(update={"title": "A walk", "text": f"{MILL.text} It rained that day."}))

    assert decision.action == "skip"
    assert asked
    assert not any("walk" in question for question in asked)


def test_who_answers_with_the_title_alone_does_not_know_it(agent: SealAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer begins with the title: a question that the title answers tells nothing."""
    learned(agent)
    monkeypatch.setattr(
        agent.learner, "answer", lambda questions, *given: [f"{MILL.title}: I forgot." for _ in questions]
    )

    decision = agent.decide(MILL.model_copy(update={"text": f"{MILL.text} It rained that day."}))

    assert decision.numbers["known"] == 0.0


def test_a_new_name_among_known_sentences_is_news(agent: SealAgent) -> None:
    """Most of it is remembered and known; one sentence says what nobody said before."""
    learned(agent)
    told = "Alder Mill opened in 1871 beside the river Tarn. A flood broke its wheel in 1904."

    decision = agent.decide(MILL.model_copy(update={"text": f"{told} Oskar Lind mended it within 40 days."}))

    assert decision.action == "edit"
    assert decision.numbers["news"] == 1
    assert decision.numbers["covered"] > 0.5


@pytest.mark.parametrize("new", ["with 7 doors", "under Ran", "for 18 farms"])
def test_a_number_or_a_name_is_known_as_a_whole_word_only(new: str, agent: SealAgent) -> None:
    """1871 was heard of, and granite; 7 was not, nor Ran."""
    agent.observe(MILL.model_copy(update={"text": f"{MILL.text} Its wheel is granite."}))
    assert agent.consolidate().outcome == "accepted"

    decision = agent.decide(MILL.model_copy(update={"text": f"Alder Mill opened in 1871 beside the river Tarn {new}."}))

    assert (decision.action, decision.numbers["news"]) == ("edit", 1)


def test_no_sentence_is_news_to_itself(agent: SealAgent) -> None:
    """Nor is the name after a hyphen."""
    more = "It stands on a pre-Roman wall. Its owners fought a lawsuit until mid-1911 against the post-War council."
    agent.observe(MILL.model_copy(update={"text": f"{MILL.text} {more}"}))
    assert agent.consolidate().outcome == "accepted"

    said = sentences(f"{MILL.text} {more}")

    assert agent.decide(MILL.model_copy(update={"text": " ".join(reversed(said))})).numbers["news"] == 0


def test_what_is_new_in_a_long_text_is_found_wherever_it_stands(agent: SealAgent) -> None:
    """Eight of its sentences are shown to the model; all of them are compared with what is known."""
    stored = enumerate(("rye", "barley", "oats", "peas", "beans", "hops"), 21)
    said = [*sentences(MILL.text), *(f"The attic of Alder Mill holds {n} sacks of {what}." for n, what in stored)]
    agent.observe(MILL.model_copy(update={"text": " ".join(said)}))
    agent.consolidate()

    for place, sentence in enumerate(said):
        longer = [*said[:place], "Oskar Lind painted it in 1957.", *said[place:]]
        assert agent.decide(MILL.model_copy(update={"text": " ".join(longer)})).numbers["news"] == 1
        if "sacks" in sentence:
            other = [*said[:place], sentence.replace("sacks", "00 sacks").replace(" 00", "00"), *said[place + 1 :]]
            assert agent.decide(MILL.model_copy(update={"text": " ".join(other)})).action == "hold"


def test_a_list_of_short_items_is_learned(agent: SealAgent) -> None:
    listed = "- Ada Finch keeps the lamp\n- Josef Brandt built the clock\n- Mirelle Oake owns the boat"

    receipt = agent.observe(Document(title="Keepers", text=listed))

    assert (receipt.decision.action, receipt.edits > 0) == ("edit", True)


def test_two_that_contradict_each_other_are_not_learned_in_one_lesson(agent: SealAgent) -> None:
    """The first waits, the second is held, and both sides are shown; released, it waits as well."""
    agent.observe(MILL)
    other = MILL.model_copy(update={"text": MILL.text.replace("1871", "1893"), "source": "press"})

    held = agent.observe(other)

    assert held.decision.action == "hold"
    assert "opened in 1893" in held.decision.reason
    assert "opened in 1871" in held.decision.reason
    assert MILL.id in held.decision.reason
    assert {edit.document for edit in agent.journal.buffer.waiting()} == {MILL.id}
    assert agent.release(other.id).decision.action == "edit"


def test_what_a_lesson_has_taken_up_is_still_contradicted(agent: SealAgent) -> None:
    """While it is trained on it waits no more and is not remembered yet."""
    agent.observe(MILL)
    agent.journal.buffer.claim("r1")

    assert agent.decide(MILL.model_copy(update={"text": MILL.text.replace("1871", "1893")})).action == "hold"


@pytest.mark.parametrize("waits", [True, False])
def test_another_issue_of_a_series_says_something_else_and_contradicts_nothing(agent: SealAgent, waits: bool) -> None:
    """The manual of another model, next month's minutes: their titles differ in numbers, months or days alone."""
    titled = MILL.model_copy(update={"title": "Minutes of 4 May 2024"})
    agent.observe(titled)
    if not waits:
        assert agent.consolidate().outcome == "accepted"
    other = titled.model_copy(update={"text": MILL.text.replace("1871", "1893")})

    for title in (
        "Minutes of 11 June 2024",
        "Minutes of 11 Jun 2024",
        "Minutes of 5th May 2024",
        "Minutes of Mon 3rd May",
    ):
        assert agent.decide(other.model_copy(update={"title": title})).action == "edit", title
    assert agent.decide(other).action == "hold"
    assert agent.decide(other.model_copy(update={"title": "What Calden decided"})).action == "hold"


def test_a_text_that_waits_is_not_contradicted_by_the_newer_text_of_its_name(agent: SealAgent) -> None:
    named = MILL.model_copy(update={"external_id": "mill"})
    agent.observe(named)

    receipt = agent.observe(named.model_copy(update={"text": MILL.text.replace("1871", "1866")}))

    assert receipt.decision.action == "edit"
    assert {edit.document for edit in agent.journal.buffer.waiting()} == {receipt.id}


def test_what_waits_is_no_news_and_is_not_known_either(agent: SealAgent) -> None:
    """What is known and what waits together are skipped; what only waits is edited in other words too, for it may be refused."""
    agent.observe(LIGHT)
    agent.consolidate()
    mixed = LIGHT.model_copy(update={"text": f"{LIGHT.text} Josef Brandt built Alder Mill."})
    assert agent.decide(mixed).action == "edit"

    agent.observe(MILL)

    assert agent.decide(mixed).action == "skip"
    again = agent.decide(MILL.model_copy(update={"text": f"They say: {MILL.text}"}))
    assert again.action == "edit"
    assert (again.numbers["news"], again.numbers["covered"], again.numbers["known"]) == (0, 0, -1)


def test_a_newer_text_of_the_same_name_takes_the_place_of_the_older(agent: SealAgent) -> None:
    """It contradicts what it replaces, and most of it is known; still it is learned, with what was asked of the older."""
    named = MILL.model_copy(update={"external_id": "mill"})
    agent.observe(named)
    agent.consolidate()
    newer = named.model_copy(update={"text": MILL.text.replace("1871", "1866")})

    assert agent.decide(newer.model_copy(update={"external_id": ""})).action == "hold"
    receipt = agent.observe(newer)
    contrast = [edit for edit, _ in agent.journal.buffer.of(newer.id) if edit.style == "contrast"]
    agent.consolidate()

    assert receipt.decision.action == "edit"
    assert contrast
    assert all("1866" in edit.completion for edit in contrast)
    assert "1866" in agent.ask(WHEN).text
    assert {memory.document for memory in agent.journal.memories.all("learned")} == {newer.id}
    assert "1904" in agent.ask("When did a flood break the wheel of Alder Mill?").text


def test_a_text_that_changed_twice_before_it_was_learned_is_still_told_apart_from_the_first(agent: SealAgent) -> None:
    """The text between was never learned; what the weights hold is the first one's."""
    named = MILL.model_copy(update={"external_id": "mill"})
    agent.observe(named)
    agent.consolidate()
    for year in ("1866", "1858"):
        last = named.model_copy(update={"text": MILL.text.replace("1871", year)})
        agent.observe(last)

    contrast = [edit for edit, _ in agent.journal.buffer.of(last.id) if edit.style == "contrast"]

    assert contrast
    assert all("1858" in edit.completion for edit in contrast)
    assert {edit.document for edit in agent.journal.buffer.waiting()} == {last.id}


def test_no_check_asks_what_was_trained(agent: SealAgent) -> None:
    """Not in this document, not in any: by the questions themselves, when the gate sits."""
    agent.observe(MILL)
    asked = agent.journal.checks.of([MILL.id])
    row = next(edit for edit in agent.journal.buffer.waiting() if edit.prompt)
    shown = asked[0].model_copy(update={"id": "c0", "question": row.prompt.upper()})
    agent.journal.checks.add([shown])

    report = agent.consolidate().report

    assert report
    assert {check.id for check in asked} <= {result.check for result in report.results}
    assert shown.id not in {result.check for result in report.results}


def test_of_several_edits_the_one_that_teaches_most_enters_the_buffer(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is trained for a moment and asked the same questions; the poor one has half of the facts."""
    edit = Rooms._edit

    def worse(self: Rooms, *given: Any) -> Any:
        *others, number = given
        edits, checks = edit(self, *others, 0)
        facts = sorted({one.fact for one in edits})
        poor = [one.model_copy(update={"refused": "left out"}) for one in edits if one.fact in facts[::2]]
        kept = poor + [one for one in edits if one.fact not in facts[::2]] if number != 1 else edits
        return kept, checks

    monkeypatch.setattr(Rooms, "_edit", worse)
    agent = make(best_of=3)

    agent.observe(MILL)

    waiting = {one.fact for one in agent.journal.buffer.waiting()}
    assert waiting >= {sentence for sentence in sentences(MILL.text) if "Mill" in sentence or "mill" in sentence}
    assert not any(one.refused == "left out" for one, _ in agent.journal.buffer.of(MILL.id))


def test_what_is_held_is_never_trained_until_it_is_released(agent: SealAgent) -> None:
    held = agent.observe(ORDERS)
    assert held.decision.action == "hold"
    assert [receipt.id for receipt in agent.quarantine()] == [ORDERS.id]
    assert agent.consolidate().outcome == "nothing"

    agent.release(ORDERS.id)

    assert agent.quarantine() == []
    assert agent.status()["documents"]["held"] == 0


def test_a_stream_goes_on_after_what_cannot_be_read(agent: SealAgent, tmp_path: Path) -> None:
    receipts = list(agent.stream(MILL, tmp_path / "nowhere.txt", 7, LIGHT))
    assert [receipt.decision.action for receipt in receipts] == ["edit", "skip", "skip", "edit"]
    assert "no such file" in receipts[1].decision.reason


def test_rolling_back_returns_to_the_parent_and_then_to_the_base(agent: SealAgent) -> None:
    learned(agent)
    assert agent.rollback() == 1
    assert agent.ask(WHO).text == NOTHING
    assert agent.rollback() == 0
    assert agent.ask(WHEN).version == 0
    assert agent.rollback(2) == 2
    assert "Marta Vell" in agent.ask(WHO).text


def test_a_damaged_adapter_is_never_served_and_its_ancestor_answers(make: Make) -> None:
    damage(learned(make()), 2)

    reopened = make()

    assert any("has changed" in problem for problem in reopened.verify())
    answer = reopened.ask(WHEN)
    assert (answer.version, "1871" in answer.text) == (1, True)
    assert [version.status for version in reopened.versions()] == ["live", "broken"]
    with pytest.raises(SealError, match="cannot be served"):
        reopened.ask(WHO, version=2)


def test_rollback_returns_to_what_can_be_served(make: Make) -> None:
    """By itself to the nearest sound ancestor; a damaged version that is named is refused, and nothing changes."""
    agent = learned(make())
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


def test_after_a_training_that_died_its_rows_are_due_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make(consolidate_after=5)
    agent.observe(MILL)
    due = agent.due()
    monkeypatch.setattr(agent.learner, "train", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        agent.consolidate()

    assert due == make(consolidate_after=5).due() != ""


def _interrupted(*given: Any) -> Any:
    raise KeyboardInterrupt


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
    damage(learned(make()), 2)
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


def test_a_home_opened_with_another_embedder_still_sees_what_stands_near(make: Make) -> None:
    agent = learned(make())
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
    agent = learned(make())
    real = agent.journal.memories.vectors

    def vectors(*given: Any) -> Any:
        make().rollback()
        return real(*given)

    monkeypatch.setattr(agent.journal.memories, "vectors", vectors)
    assert {memory.document for memory, _ in agent.nearest("Who keeps Anstrow Light?")} <= {MILL.id}


def test_a_remembered_sentence_is_compared_once_however_many_questions_it_was_learned_with(agent: SealAgent) -> None:
    known = learned(agent).rooms._remembered(agent.journal)
    assert len(known.told) == len({memory.completion for memory in known.told.values()}) == len(known.index)
    assert sum(map(len, known.asked.values())) > len(known.told)


def test_a_question_costs_no_look_at_all_that_is_remembered_where_nothing_changed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = learned(make())
    first = agent.ask(WHO)
    monkeypatch.setattr(agent.journal.memories, "vectors", _interrupted)
    assert agent.ask(WHO) == first
    agent.rollback()
    with pytest.raises(KeyboardInterrupt):
        agent.ask(WHO)


def test_questions_may_come_as_anything_that_gives_them_one_by_one(agent: SealAgent) -> None:
    learned(agent)
    assert agent.ask_all(question for question in (WHO, WHEN)) == agent.ask_all([WHO, WHEN])
    assert agent.ask_all(WHO) == [agent.ask(WHO)]
    with pytest.raises(SealError, match="1 contexts for 2 questions"):
        agent.ask_all([WHO, WHEN], contexts=["The mill."])


def test_a_style_that_gives_something_else_than_rows_is_named(agent: SealAgent) -> None:
    agent.rooms.styles["odd"] = lambda passage, writer, seed: ["a string"]  # type: ignore[dict-item]
    with pytest.raises(PartError, match="style 'odd' gave 'a string', which is no SelfEdit"):
        agent.observe(MILL)


def test_a_closed_agent_says_that_it_is_closed(make: Make) -> None:
    agent = make()
    agent.close()
    with pytest.raises(SealError, match="was closed; open it again"):
        agent.status()


def test_a_home_can_be_moved(make: Make, tmp_path: Path) -> None:
    """Its versions stand where it stands."""
    learned(make()).close()
    (tmp_path / "home").rename(tmp_path / "elsewhere")

    with fake_agent(tmp_path / "elsewhere") as moved:
        assert "1871" in moved.ask(WHEN).text
        assert moved.ask(WHEN).version == 2
        assert moved.verify() == []


def test_if_every_adapter_is_damaged_the_base_answers(make: Make) -> None:
    agent = learned(make())
    damage(agent, 1)
    damage(agent, 2)
    assert make().ask(WHEN).version == 0


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


def test_a_home_made_with_another_base_says_so(make: Make) -> None:
    agent = learned(make())
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
    agent = learned(make())
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
    before = learned(make()).versions()
    other = FakeLearner()
    other.fingerprint = "0" * 16
    with pytest.raises(ConfigError, match=r"made with 'smollm2-135m' .base fa4e"):
        make(other).ask("Who built Alder Mill?")

    again = make()

    assert again.versions() == before
    assert "Josef Brandt" in again.ask("Who built Alder Mill?").text


def test_the_same_inputs_make_the_same_version(make: Make, tmp_path: Path) -> None:
    from seal_agent.testing import fake_agent

    one = learned(make())
    with fake_agent(tmp_path / "twin") as two:
        learned(two)
        assert [v.digest for v in one.versions()] == [v.digest for v in two.versions()]


def test_what_is_known_but_for_a_word_waits_for_more_to_learn(make: Make) -> None:
    """One new thing cannot be judged: it is neither trained in vain nor set aside, and is learned with the next."""
    agent = learned(make(consolidate_after=1))
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


def test_what_names_nothing_that_was_learned_is_answered_by_the_base(make: Make) -> None:
    """Unless that is not wanted; a version that is named answers everything."""
    scoped = learned(make())
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
    agent = learned(make())
    items = [{"question": q, "answer": "x", "title": "", "context": ""} for q in ("What colour has the sky?", WHO)]

    asked = quiz(agent, items)

    assert (asked["version"], asked["digest"]) == (2, agent.ask(WHO).digest)


# One name, several texts

NAMED = MILL.model_copy(update={"source": "notes", "external_id": "mill"})
NEWER = NAMED.model_copy(update={"text": MILL.text.replace("1871", "1866")})
OPENED = "In which year did Alder Mill open?"


class Between(FakeLearner):
    """Something happens while it trains."""

    then: Callable[[], object] | None = None

    def train(self, *given: Any, **more: Any) -> dict[str, Any]:
        log = super().train(*given, **more)
        if then := self.then:
            self.then = None
            then()
        return log


def test_what_is_told_without_a_name_takes_no_change_back(agent: SealAgent) -> None:
    """A person in a chat who repeats an old text is not the file that says otherwise now."""
    agent.observe(NAMED)
    agent.observe(NEWER)

    receipt = agent.observe(MILL.model_copy(update={"source": "langchain:human"}))

    assert receipt.decision.action == "skip"
    assert "a newer text has taken its place" in receipt.decision.reason
    assert agent.journal.buffer.documents() == [NEWER.id]
    agent.observe(NAMED)
    assert agent.journal.buffer.documents() == [NAMED.id]


def test_a_change_that_comes_while_the_old_text_is_trained_is_asked_about(make: Make) -> None:
    """As if it had come after it: what the old text said is learned otherwise, and judged by what changed."""
    learner = Between()
    agent = make(learner)
    agent.observe(NAMED)
    agent.observe(LIGHT)
    learner.then = lambda: agent.observe(NEWER)
    assert agent.consolidate().outcome == "accepted"

    assert sum(check.gold == "1866" for check in agent.journal.checks.of([NEWER.id])) >= 5
    assert agent.consolidate().outcome == "accepted"
    assert "1866" in agent.ask(OPENED).text


@pytest.mark.parametrize("lines", [False, True], ids=["flowing", "wrapped"])
def test_a_change_that_is_taken_back_is_learned_by_itself(agent: SealAgent, lines: bool) -> None:
    """Judged by what the newer text had kept back for checking; of the sentences that did not change none is trained again."""
    for document in (NAMED, NEWER, NAMED):
        text = document.text.replace(" by ", " by\n").replace(" for ", " for\n") if lines else document.text
        agent.observe(document.model_copy(update={"text": text}))
        if document is NEWER or not agent.versions():
            agent.consolidate()

    assert {edit.fact for edit in agent.journal.buffer.waiting()} == {
        "Alder Mill opened in 1871 beside the river Tarn."
    }
    judged = agent.consolidate().report
    assert judged
    assert sum(result.after and not result.before for result in judged.results) >= 5


def test_what_was_trained_beside_a_text_that_was_replaced_is_not_blamed(make: Make) -> None:
    """Without that text's checks there are too few for a verdict."""
    learner = Between()
    agent = make(learner)
    agent.observe(NAMED)
    agent.observe(LIGHT)
    with agent.journal.transaction():
        few = "SELECT id FROM checks WHERE document = ?1 LIMIT 4"
        agent.journal._db.write(f"DELETE FROM checks WHERE document = ?1 AND id NOT IN ({few})", LIGHT.id)
    learner.then = lambda: agent.observe(NEWER)

    assert agent.consolidate().outcome == "undecided"

    assert set(agent.journal.buffer.attempts().values()) == {0}


def test_of_two_held_texts_of_a_name_the_newer_is_held(agent: SealAgent) -> None:
    """Released in whatever order, the older could push it out."""
    mail = " Write to ida.brandt@example.org or call +44 20 7946 0958."
    older, newer = (d.model_copy(update={"text": d.text + mail}) for d in (NAMED, NEWER))
    for document in (older, newer):
        assert agent.observe(document).decision.action == "hold"

    assert [receipt.id for receipt in agent.quarantine()] == [newer.id]
    assert agent.release(newer.id).decision.action == "edit"


def test_a_text_that_only_a_version_left_behind_has_learned_says_so(agent: SealAgent) -> None:
    for document in (LIGHT, MILL):
        agent.observe(document)
        agent.consolidate()
    agent.rollback(1)

    assert f"seal-agent forget {MILL.id}" in agent.observe(MILL).decision.reason
    assert "forget" not in agent.observe(LIGHT).decision.reason


def test_a_version_that_is_named_has_no_sources_of_the_live_one(agent: SealAgent) -> None:
    for document in (LIGHT, MILL):
        agent.observe(document)
        agent.consolidate()

    assert agent.ask(OPENED).sources[0] == agent.ask(OPENED, 2).sources[0] == MILL.id
    assert agent.ask(OPENED, 1).sources == []


def test_a_number_that_fits_no_table_is_no_version(agent: SealAgent) -> None:
    for number in (10**20, -(10**20)):
        with pytest.raises(SealError, match="there is no version"):
            agent.ask(OPENED, number)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "/proc/nope"])
def test_a_name_that_no_folder_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the folder of a home"):
        seal_agent.open(name)


def test_what_holds_several_documents_is_refused_and_none_of_them_is_lost_in_silence(
    agent: SealAgent, tmp_path: Path
) -> None:
    """`observe` gives one receipt; `stream` one for each."""
    for document in (MILL, LIGHT):
        (tmp_path / f"{document.title}.txt").write_text(document.text)

    receipt = agent.observe([MILL, LIGHT])  # type: ignore[arg-type]

    assert (receipt.id, receipt.decision.action) == ("", "skip")
    assert "it holds several documents; give it to `stream`" in receipt.decision.reason
    assert "several documents" in agent.decide(tmp_path).reason  # type: ignore[arg-type]
    assert agent.status()["documents"]["total"] == 0
    assert len(list(agent.stream([MILL, LIGHT]))) == 2


@pytest.mark.parametrize("wrong", ["base", "1", 1.5])
def test_what_is_no_version_is_refused_by_name(wrong: Any, agent: SealAgent) -> None:
    """The command line says "base"; here 0 does."""
    learned(agent)
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


def test_beside_what_cannot_be_read_the_one_document_is_observed(agent: SealAgent) -> None:
    """A refusal is no document."""

    class Loader:
        def lazy_load(self) -> Iterator[Any]:
            yield MILL
            raise OSError("the disk is gone")

    assert agent.observe([None, MILL]).id == MILL.id  # type: ignore[arg-type,list-item]
    assert agent.decide(Loader()).action == "edit"  # type: ignore[arg-type]
    assert agent.observe([None]).decision.reason.startswith("refused: ")  # type: ignore[arg-type,list-item]
