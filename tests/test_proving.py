"""What is written counts only if it is proved, as claims."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scribe import PASSAGE, embed, refused, row

from seal_agent.editing import proving
from seal_agent.records import SelfEdit


def test_without_sentences_nothing_is_near() -> None:
    assert proving._nearness(["Who?"], replace(PASSAGE, sentences=()), embed).shape == (1, 0)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"prompt": "Who started Alder Mill in 1871?"}, ""),
        ({"prompt": "Who started Birch Mill in 1871?"}, "Birch"),
        ({"prompt": "Who started Alder Mill in 1902?"}, "1902"),
        ({"prompt": "Tell me of Alder Mill"}, "form of a question"),
        ({"prompt": "Does anybody enjoy yellow cheese?"}, "no sentence in particular"),
        (
            {"prompt": "When was Alder Mill started by Tobias Renn?", "fact": PASSAGE.sentences[2]},
            "",
        ),
        (
            {"prompt": "Who started Alder Mill in 1871?", "completion": "Someone did."},
            "not cut from the source",
        ),
        ({"fact": "The moon is cheese."}, "does not stand in the document"),
        ({"style": "rewrite", "completion": "Alder Mill was started by Tobias Renn."}, "lost '1871'"),
        (
            {"style": "rewrite", "completion": "In 1871 Alder Mill was started by Tobias Renn of Oslo."},
            "Oslo",
        ),
        (
            {"style": "rewrite", "completion": "In 1871 Tobias Renn started it by Alder Mill."},
            "subject in full",
        ),
        ({"style": "rewrite", "completion": "In 1871 Alder Mill was started by Tobias Renn."}, ""),
    ],
)
def test_a_row_counts_only_if_it_is_proved(given: dict[str, str], reason: str) -> None:
    """And a refused row says why."""
    found = refused(**given)

    assert (reason in found) if reason else found == ""


def test_a_question_goes_to_the_sentence_it_asks_about() -> None:
    """Whatever the writer was looking at when it wrote it."""
    moved = proving.prove([row(prompt="Who owns Alder Mill?")], PASSAGE, embed)[0]

    assert PASSAGE.sentences[2] == moved.completion


def test_a_question_for_a_time_is_not_answered_by_a_sentence_without_one() -> None:
    """Nor one for a number, a person, a place or a colour."""
    assert "asks for a time" in refused(
        prompt="When did it ground barley for the brewers of Calden?", fact=PASSAGE.sentences[1]
    )


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How many barrels did Alder Mill ground for the brewers?", "barrels"),
        ("How old was Tobias Renn who started Alder Mill?", ""),
        ("Which town was the barley of Alder Mill ground in?", ""),
    ],
)
def test_what_is_asked_for_must_be_there(question: str, kind: str) -> None:
    """A count needs the thing counted, an age an age, a town a name."""
    facts = {"How many": PASSAGE.sentences[1], "How old ": PASSAGE.sentences[2], "Which to": "The mill ground barley."}
    assert kind in proving._misfit(question, facts[question[:8]], PASSAGE.title)
    assert proving._misfit(question, facts[question[:8]], PASSAGE.title)


def test_a_misspelled_name_is_spelled_as_in_the_source() -> None:
    """Small models misspell names they have just met."""
    assert proving.spelled("Who started Aldar Mill?", "Alder Mill was started") == "Who started Alder Mill?"


def test_a_row_without_an_answer_is_refused() -> None:
    assert "no answer" in refused(origin="cut", style="mine", prompt="Who?", completion=" ")


def test_questions_that_name_the_answer_are_few() -> None:
    """ "Who is Tobias Renn?" teaches the way back from the name, which is not what users ask."""
    asked = [f"Who {verb} Tobias Renn who started Alder Mill in 1871?" for verb in ("is", "was", "helped", "met")]
    proved = proving.prove([row(prompt=prompt) for prompt in asked], PASSAGE, embed)

    assert sum(not edit.refused for edit in proved) == 2


def test_a_question_that_is_refused_takes_the_place_of_no_other() -> None:
    """Of what names the names of its sentence two are kept: those that are kept, not those that were looked at."""
    said = "Marta Vell keeps the tower since 2009."

    def asked(style: str, prompt: str) -> SelfEdit:
        return SelfEdit(
            document="d1",
            style=style,
            origin="written",
            prompt=prompt,
            completion=said,
            fact=said,
            title="Anstrow Light",
        )

    plain = [asked("questions", f"Who keeps the tower, {number}?") for number in range(12)]
    late = [asked("questions", f"Does Marta Vell keep it, {number}?") for number in range(3)]
    own = asked("interview", "What does Marta Vell keep?")
    near = np.array([[1 - number / 100] for number in range(16)])

    kept = proving._best([*plain, *late, own], near)

    assert [edit.refused for edit in kept] == [""] * 12 + ["other questions serve its sentence better"] * 3 + [""]


@pytest.mark.parametrize(
    ("question", "title", "named"),
    [
        ("How completely was it rebuilt?", "Ely", False),
        ("Which party met there?", "Art", False),
        ("What is Ely's bridge made of?", "Ely", True),
        ("When was it founded?", "It", False),
        ("When was The Who founded?", "The Who", True),
    ],
)
def test_a_subject_is_named_by_words_not_by_letters(question: str, title: str, named: bool) -> None:
    assert proving.names_subject(question, title) == named


@pytest.mark.parametrize(
    ("question", "sentence", "kept"),
    [
        ("When was Anstrow Light built?", "It cost $3.5 million to build.", False),
        ("When was Anstrow Light built?", "Its tower was built in 1843.", True),
        ("Where was Anstrow Light built?", "Its tower was built in 1843 by the harbour guild.", False),
        ("Where does it stand?", "It stands on the northern skerry.", True),
    ],
)
def test_a_price_is_no_time_and_a_year_no_place(question: str, sentence: str, kept: bool) -> None:
    assert (proving._misfit(question, sentence, "Anstrow Light") == "") == kept
