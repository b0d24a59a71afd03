"""A newer text of what was learned: its questions and answers, as claims."""

from __future__ import annotations

from scribe import PASSAGE, Scribe, embed, row

from seal_agent.editing import contrast, room, styles
from seal_agent.parts import Passage
from seal_agent.records import Check, Memory

OLDER = "Alder Mill was started in 1866 by Ada Finch."


def earlier(prompt: str, completion: str) -> Memory:
    return Memory(id=prompt, kind="learned", prompt=prompt, completion=completion, document="d0", title="Alder Mill")


def memory(prompt: str, completion: str) -> Memory:
    return Memory(id=prompt, kind="learned", prompt=prompt, completion=completion, document="d1", title="Anstrow Light")


def test_what_an_older_text_was_asked_is_asked_again_with_the_new_answer() -> None:
    """By sentences that stand in the same place; what stands as it stood, and what was withdrawn, is left alone."""
    taught = [
        earlier("When was Alder Mill started?", OLDER),
        earlier("", OLDER),
        earlier("Who owns Alder Mill?", "Marta Vell owns it."),
        earlier("What colour is Alder Mill?", "The gates were painted green last summer."),
    ]

    was = contrast.changed(taught, [PASSAGE])
    (again,) = contrast.contrast(taught, was, PASSAGE)

    assert was == {PASSAGE.sentences[0]: [OLDER]}
    assert (again.document, again.prompt) == ("d1", "When was Alder Mill started?")
    assert again.completion == again.fact == PASSAGE.sentences[0]


def test_a_question_that_names_the_old_value_is_not_asked_again() -> None:
    """It presupposes what is no longer so."""
    taught = [earlier("When was Alder Mill started?", OLDER), earlier("What was started by Ada Finch?", OLDER)]

    edits, _ = room.write([PASSAGE], {"facts": styles.facts}, Scribe(), embed, 0, room.Earlier(taught))

    asked = [(edit.prompt, edit.refused) for edit in edits if edit.style == "contrast"]
    assert asked == [("When was Alder Mill started?", "")]


def test_a_sentence_that_stands_in_both_texts_takes_no_others_place() -> None:
    """What was withdrawn reads like what stayed; its questions must not be answered with that."""
    withdrawn = "Alder Mill was started in 1902 by Tobias Renn."
    taught = [earlier("When was the bakery started?", withdrawn), earlier("When?", PASSAGE.sentences[0])]

    assert contrast.changed(taught, [PASSAGE]) == {}


def test_two_sentences_do_not_take_the_place_of_one() -> None:
    """The more alike of them does."""
    nearer, other = "Alder Mill was started in 1866 by Tobias Renn.", "Alder Mill was started in 1840 by a monk."
    taught = [earlier("When?", other), earlier("When, then?", nearer)]

    assert contrast.changed(taught, [PASSAGE]) == {PASSAGE.sentences[0]: [nearer]}


def test_no_wording_that_an_older_text_was_learned_with_is_kept_back() -> None:
    """It was shown, whatever was said then; nor is one that another sentence is taught with."""
    writer = Scribe("started Alder Mill in 1871?", "ground barley for the brewers?", "owns it, if not Marta?")
    kinds = {"facts": styles.facts, "asked": styles.asked, "questions": styles.questions}
    _, before = room.write([PASSAGE], kinds, writer, embed, seed=0)
    shown = [earlier(check.question, PASSAGE.sentences[1]) for check in before]

    _, checks = room.write([PASSAGE], kinds, writer, embed, 0, room.Earlier(shown))

    assert before
    assert not {check.question for check in before} & {check.question for check in checks}
    twice = [row(prompt=f"Who started Alder Mill in 1871{end}?") for end in ("", " at last")]
    kept = room.reserve(twice, 0, None, {twice[0].prompt.lower()})
    assert [edit.prompt for edit in kept if edit.reserved] == [twice[1].prompt]


def test_what_an_older_text_kept_back_is_asked_of_the_newer_with_the_new_answer() -> None:
    """Never trained, neither then nor now: the fairest question about what changed."""
    question = "In which year did somebody start Alder Mill?"
    old = Check(
        id="c0", kind="fact", question=question, gold="1866", answer=room.told(PASSAGE.title, OLDER), document="d0"
    )
    before = room.Earlier([earlier("When was Alder Mill started?", OLDER)], [old])

    edits, checks = room.write([PASSAGE], {"facts": styles.facts}, Scribe(), embed, 0, before)

    (again,) = [check for check in checks if check.question == question]
    assert again.document == "d1"
    assert again.gold in PASSAGE.sentences[0]
    assert again.gold not in OLDER
    assert question not in {edit.prompt for edit in edits}


def test_an_earlier_question_that_names_what_is_said_no_more_is_dropped() -> None:
    """ "Who is Ada Finch?" is not answered by the keeper's name of today."""
    passage = Passage("d2", "Anstrow Light", ("Its keeper is Tom Reed.", "Its lamp burns oil."))
    old = "Its keeper is Ada Finch."

    def kept(question: str) -> Check:
        return Check(id=question, kind="fact", question=question, gold="Ada", answer=f"Anstrow Light: Ada. {old}")

    rows = [memory("Who keeps Anstrow Light?", old), memory("Who is Ada Finch?", old)]
    checks = [kept("Who is the keeper of Anstrow Light?"), kept("Who is Ada Finch of Anstrow Light?")]
    again = room.asked_again([passage], room.Earlier(rows, checks), ())
    was = contrast.changed(rows, [passage])

    assert [(check.question, check.gold) for check in again] == [("Who is the keeper of Anstrow Light?", "Tom Reed")]
    assert [edit.prompt for edit in contrast.contrast(rows, was, passage)] == ["Who keeps Anstrow Light?"]
