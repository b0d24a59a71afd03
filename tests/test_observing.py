"""What is read: what is news, what is known, what contradicts, what takes the place of what."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import LIGHT, MILL, NAMED, NEWER, ORDERS, WHEN, Make, taught

from seal_agent.agent import SealAgent
from seal_agent.reading.sentences import sentences
from seal_agent.records import Document
from seal_agent.testing import FakeLearner
from seal_agent.wiring import Rooms


class Between(FakeLearner):
    """Something happens while it trains."""

    then: Callable[[], object] | None = None

    def train(self, *given: Any, **more: Any) -> dict[str, Any]:
        log = super().train(*given, **more)
        if then := self.then:
            self.then = None
            then()
        return log


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


def test_the_same_text_again_is_no_second_lesson(agent: SealAgent) -> None:
    agent.observe(MILL)
    waiting = agent.status()["waiting"]
    again = agent.observe(MILL.model_copy(update={"source": "press"}))
    assert again.decision.action == "skip"
    assert "read before" in again.decision.reason
    assert agent.status()["waiting"] == waiting
    assert agent.status()["documents"]["total"] == 1


def test_what_is_known_already_is_skipped(agent: SealAgent) -> None:
    taught(agent)
    told = agent.observe("Alder Mill opened in 1871 beside the river Tarn. A flood broke its wheel in 1904.")
    assert (told.decision.action, told.edits) == ("skip", 0)
    assert "already known" in told.decision.reason


def test_what_is_remembered_is_asked_about_under_the_title_it_was_learned_under(
    agent: SealAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question is whether the weights hold the old fact, whatever the new document calls it."""
    taught(agent)
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
    taught(agent)
    monkeypatch.setattr(
        agent.learner, "answer", lambda questions, *given: [f"{MILL.title}: I forgot." for _ in questions]
    )

    decision = agent.decide(MILL.model_copy(update={"text": f"{MILL.text} It rained that day."}))

    assert decision.numbers["known"] == 0.0


def test_a_new_name_among_known_sentences_is_news(agent: SealAgent) -> None:
    """Most of it is remembered and known; one sentence says what nobody said before."""
    taught(agent)
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
    assert "1866" in agent.ask(WHEN).text


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


def test_beside_what_cannot_be_read_the_one_document_is_observed(agent: SealAgent) -> None:
    """A refusal is no document."""

    class Loader:
        def lazy_load(self) -> Iterator[Any]:
            yield MILL
            raise OSError("the disk is gone")

    assert agent.observe([None, MILL]).id == MILL.id  # type: ignore[arg-type,list-item]
    assert agent.decide(Loader()).action == "edit"  # type: ignore[arg-type]
    assert agent.observe([None]).decision.reason.startswith("refused: ")  # type: ignore[arg-type,list-item]


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
