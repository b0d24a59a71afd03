"""Questions that are cut from a sentence, as claims."""

from __future__ import annotations

import pytest
from scribe import PASSAGE

from seal_agent.editing import asking, proving, spans


@pytest.mark.parametrize(
    ("sentence", "title", "expected"),
    [
        ("Alder Mill was started in 1871 by Tobias Renn.", "", "When was Alder Mill started by Tobias Renn?"),
        ("Alder Mill was started in 1871 by Tobias Renn.", "", "By whom was Alder Mill started in 1871?"),
        ("It was started in 1871.", "Alder Mill", "In what year was Alder Mill started?"),
        ("The ferry carries 12 passengers.", "", "How many passengers does the ferry carry?"),
        ("In 1902, Ada Finch founded the bakery in Holm.", "", "Who founded the bakery in Holm in 1902?"),
        (
            "In 1902, Ada Finch founded the bakery in Holm.",
            "",
            "When did Ada Finch found the bakery in Holm?",
        ),
        ("Its lamp turns every nine seconds.", "The Light", "What turns every nine seconds?"),
        ("She moved to Brell in 1955.", "Ada Finch", "Where did Ada Finch move in 1955?"),
        ("In 1869 she moved to Hamburg.", "Ada Finch", "Where did Ada Finch move in 1869?"),
        ("A flute plays alone at the start.", "", "What plays alone at the start?"),
    ],
)
def test_questions_are_cut_from_a_sentence(sentence: str, title: str, expected: str) -> None:
    """With the right helper verb, the verb's plain form and the title for a pronoun."""
    assert expected in {question for _, question in asking.questions(sentence, title)}


@pytest.mark.parametrize(
    "sentence",
    [
        "If you are ill, call your supervisor before noon.",
        "When the robot is finished, it plays a trumpet sound.",
        "Behind the house stands a barn that was built in 1902.",
    ],
)
def test_a_sentence_that_does_not_begin_with_its_subject_yields_no_cut_question(sentence: str) -> None:
    """There is no parser here; what is not recognised is left to the model."""
    assert not list(asking.questions(sentence, "The House"))


@pytest.mark.parametrize(
    "sentence",
    [
        "It wasn't finished until 1902.",
        "Otto Brandvold, who founded the garden in 1987, lives in Calden.",
        "The ferry no longer runs to Calden.",
        "We've lived in Calden since 1987.",
        "The man who kept geese lives in Calden.",
    ],
)
def test_no_question_is_cut_where_what_comes_first_is_not_the_subject_of_the_verb(sentence: str) -> None:
    """Of a relative clause, of what is denied, of a contraction: "When was the garden, which founded …?" is no English."""
    assert not list(asking.questions(sentence, "The Garden"))


@pytest.mark.parametrize(
    ("fact", "asked", "never"),
    [
        (
            "Ada Finch built it in 1911. It holds 12 barrels.",
            "How many barrels does Brell Well hold?",
            "Ada Finch built it",
        ),
        ("A vet, Tom Hale, opened it. He lives in Calden.", "Where does Tom Hale live?", "Where does Brell Well live?"),
        (
            "The cooper Linn Boge made it. She came from Brell.",
            "Where did Linn Boge come?",
            "Where did the cooper come?",
        ),
        (
            "A sailor named Jory Penn dug it. His ship sank in 1902.",
            "When did Jory Penn's ship sink?",
            "When did it sink?",
        ),
        ("Some of it is dry. They came to Calden in 1902.", "What is dry?", "Where did they come in 1902?"),
        ("The guild bought it in 1843. It was dissolved in 1900.", "What bought it in 1843?", "dissolved"),
        ("Brell Well was dug by Ada Finch. She had six geese.", "How many geese had Ada Finch?", "had Brell Well"),
        ("Linn Boge finished it by May. He kept six geese.", "How many geese did Linn Boge keep?", "did May"),
        ("Ada Finch was married by Father Lunn. She had six geese.", "How many geese had Ada Finch?", "had Father"),
        ("On some days Iver Lunn reads. He rode to Calden.", "", "Where did On ride?"),
    ],
)
def test_of_sentences_that_a_pronoun_joined_each_is_asked_about_if_it_shows_who_is_meant(
    fact: str, asked: str, never: str
) -> None:
    """The second's verb has a subject of its own."""
    found = {question for _, question in asking.questions(fact, "Brell Well")}

    assert asked in found or not asked
    assert not any(never in question for question in found)
    assert not any(". " in question for question in found)


@pytest.mark.parametrize(
    ("fact", "asked", "never"),
    [
        ("The well opened on 31 December 1902.", "When did the well open?", "open on"),
        ("Ada Finch dug it in 1902, which took six weeks.", "When did Ada Finch dig it?", "which"),
        ("Tom Hale sold it because the pump broke in 1911.", "Who sold it?", "1911"),
        ("Tom Hale sold about 20 buckets.", "How many buckets did Tom Hale sell?", "sell about"),
        ("Tom Hale sold 20 buckets.", "How many buckets did Tom Hale sell?", "How much"),
        ("Tom Hale paid 20 crowns.", "How much did Tom Hale pay?", "Who did"),
        ("Spare parts are sold in Calden.", "Where are spare parts sold?", "Spare part "),
        ("Please send six buckets to Calden.", "", "Please"),
    ],
)
def test_a_cut_question_asks_for_whole_spans_of_the_first_clause(fact: str, asked: str, never: str) -> None:
    found = {question for _, question in asking.questions(fact, "Brell Well")}

    assert not asked or asked.lower() in {question.lower() for question in found}
    assert not any(never in question for question in found)


@pytest.mark.parametrize(
    ("sentence", "date"),
    [
        ("Alder Mill was opened on 4 May 1861.", "4 May 1861"),
        ("Alder Mill was opened on April 3.", "April 3"),
        ("Alder Mill was opened on March 12, 1871.", "March 12, 1871"),
        ("Alder Mill was opened on 14 Oct. 1702.", "14 Oct. 1702"),
        ("Alder Mill was opened in Sept. 1702.", "Sept. 1702"),
        ("Alder Mill was opened on Aug. 1.", "Aug. 1"),
        ("Alder Mill was opened on 2024-05-03.", "2024-05-03"),
        ("Alder Mill was opened on 5th May 1990.", "5th May 1990"),
        ("Alder Mill was opened on the 5th of May 1990.", "5th of May 1990"),
        ("Alder Mill was opened on May 5th, 1990.", "May 5th, 1990"),
    ],
)
def test_a_date_in_any_usual_form_is_one_span_and_is_asked_for_with_when(sentence: str, date: str) -> None:
    asked = list(asking.questions(sentence, "Alder Mill"))

    assert spans.numbers(sentence) == [date]
    assert (date, "When was Alder Mill opened?") in asked
    assert not any(question.startswith("How") for _, question in asked)
    assert proving._misfit("When was Alder Mill opened?", sentence, "Alder Mill") == ""


def test_a_sum_is_asked_for_with_how_much_whatever_stands_before_it() -> None:
    asked = [question for span, question in asking.questions("The fee rose to $41.20 in 2019.", "") if span == "$41.20"]

    assert asked
    assert all(question.startswith("How much") for question in asked)


def test_a_cut_question_never_holds_the_span_it_asks_for() -> None:
    """Else repeating the question would be an answer."""
    for sentence in PASSAGE.sentences:
        for span, question in asking.questions(sentence, PASSAGE.title):
            assert span.lower() not in question.lower()


def test_how_many_of_a_unit_does_not_say_how_many() -> None:
    found = list(asking.questions("Alder Mill holds 5kg of rye.", "Alder Mill"))
    assert found
    assert all(span not in question for span, question in found)


PASTS = (
    "killed kill repaired repair looked look explained explain obtained obtain treated treat added add moved move stored store"
    " created create believed believe prepared prepare visited visit stopped stop carried carry opened open waited wait"
)


@pytest.mark.parametrize(("past", "verb"), [*zip(PASTS.split()[::2], PASTS.split()[1::2], strict=True)])
def test_a_past_is_asked_about_by_its_verb(past: str, verb: str) -> None:
    assert asking._regular(past) == verb
