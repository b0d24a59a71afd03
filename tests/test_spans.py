"""Names, numbers, dates and things in a text, and where a fact begins and ends, as claims."""

from __future__ import annotations

import time

import pytest
from scribe import PASSAGE

from seal_agent.editing import spans, styles
from seal_agent.records import sentences_of

GLUED = ("The war of 1914-1918 killed many people.", "The crane lifts 5kg of rye.", "The pump costs US$3.5 an hour.")


@pytest.mark.parametrize("sentence", GLUED)
def test_a_number_that_is_glued_to_another_is_neither_asked_for_nor_shown(sentence: str) -> None:
    """Hidden as a word of its own, "1914" would still stand in "1914-1918"."""
    asked = [span for span in styles._asked_for(sentence, "Alder Mill") if any(letter.isdigit() for letter in span)]
    assert all(span not in spans.hidden(span, sentence) for span in asked)
    key = spans.key_span(sentence, sentence.replace("The", "What of the"))
    assert not any(letter.isdigit() for letter in key)


def test_names_begin_with_any_capital_and_signs_are_none() -> None:
    assert spans.names("The car of Željko Šimić is a Škoda of 3\u00d74 metres.") == ["Željko Šimić", "Škoda"]


@pytest.mark.parametrize(
    ("sentence", "names"),
    [
        ("It was shipped to the U.S. in 1999.", ["U.S."]),
        ("The tower of Ludwig Mies van der Rohe stands.", ["Ludwig Mies van der Rohe"]),
        ("A picture by Leonardo da Vinci hangs there.", ["Leonardo da Vinci"]),
        ("A play by María de la Cruz was shown.", ["María de la Cruz"]),
        ("A book written by Анна Иванова lies there.", ["Анна Иванова"]),
        ("A song of Đỗ Ứng was sung.", ["Đỗ Ứng"]),
    ],
)
def test_a_name_with_particles_initials_or_letters_of_any_alphabet_is_one_span(sentence: str, names: list[str]) -> None:
    assert [name for name in spans.names(sentence) if name != "It"] == names


@pytest.mark.parametrize(
    "sentence", ["He was accompanied by his sisters.[2]", "2. Boil and discard the water.", "An A320 engine."]
)
def test_marks_of_notes_and_lists_and_parts_of_names_are_no_numbers(sentence: str) -> None:
    assert spans.numbers(sentence) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Workers clean the press with hot vinegar.", ["press", "hot vinegar"]),
        ("A flute plays alone at the start.", ["flute plays alone", "start"]),
        ("It is red.", []),
    ],
)
def test_things_are_what_stands_after_an_article_or_a_preposition(text: str, found: list[str]) -> None:
    """Mostly noun phrases, by rule; there is no parser here."""
    assert spans.things(text) == found


def test_the_span_of_a_check_is_not_in_its_question() -> None:
    """Repeating the question must earn nothing."""
    for sentence in PASSAGE.sentences:
        assert spans.key_span(sentence, "Who started Alder Mill?").lower() not in "who started alder mill?"


def test_an_untitled_text_is_about_its_most_frequent_name() -> None:
    """So that its questions can name a subject."""
    assert spans.subject("Tobias Renn lived in Calden. Tobias Renn died there.") == "Tobias Renn"


def test_the_subject_of_a_long_untitled_text_is_found_in_time() -> None:
    """What is counted for each name again takes seconds for a book."""
    text = " ".join(f"Tobias N{number} met Ada Finch." for number in range(20_000))
    began = time.process_time()

    assert spans.subject(text) == "Ada Finch"
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("title", "first", "second"),
    [
        ("Alder Mill", "Marta Vell bought the mill in 1990.", "She sold it in 2001."),
        ("Harwick Bridge", "Tom Hale designed the Harwick Bridge.", "He died in 1902."),
        ("Ely", "A completely rebuilt barn stands there.", "It was burned in 1702."),
        ("Anstrow", "Anstrow Sailing Club bought the tower.", "They paid 900 crowns."),
    ],
)
def test_a_pronoun_after_a_sentence_that_somebody_else_opens_stays_with_it(title: str, first: str, second: str) -> None:
    """Even if that sentence names the title: it was not the mill that sold it."""
    assert spans.self_contained((first, second), title) == [f"{first} {second}"]


@pytest.mark.parametrize(
    ("title", "told"),
    [
        ("Marie Curie", ("Marie Skłodowska Curie came from Warsaw.", "She won a prize in 1903.", "She died in 1934.")),
        ("Raj Patel", ("Mr. Patel joined in 2019.", "He runs the Leeds office.", "He speaks Hindi.")),
        ("Otter", ("Otters live in rivers.", "They eat fish and crabs.", "They sleep in holts.")),
        ("Anstrow Light", ("The old Anstrow Light was built in 1843.", "It burned in 1902.")),
        ("Refund policy", ("Refunds are issued within 14 days.", "They are paid to the card.", "They need a receipt.")),
    ],
)
def test_the_title_said_more_fully_more_politely_or_in_the_plural_is_still_the_title(
    title: str, told: tuple[str, ...]
) -> None:
    """A biography whose first sentence has the full name would be a single fact."""
    assert spans.self_contained(told, title) == list(told)


def test_where_a_second_sentence_begins_is_seen_after_a_quotation_and_not_after_a_title() -> None:
    assert sentences_of("It was led by Dr. He Ling in 2018.") == ["It was led by Dr. He Ling in 2018."]
    assert len(sentences_of("Ada lived in Mill St. She kept six geese.")) == 2
    quoted = ('Ada called it "the deep well."', "She dug it in 1900.")
    assert sentences_of(" ".join(quoted)) == list(quoted)


def test_a_sentence_about_something_else_than_the_title_stays_with_its_own_subject() -> None:
    """ "It" after the heron is the heron, not the parade."""
    told = (
        "The Lumery Parade is the last event.",
        "It starts at noon.",
        "At the front walks a wooden heron.",
        "It was carved by Osman.",
    )

    assert spans.self_contained(told, "The Lumery Parade") == [*told[:2], f"{told[2]} {told[3]}"]


def test_what_somebody_does_to_the_title_leaves_its_pronoun_with_the_title() -> None:
    """Three facts are three sentences, not one; "she" after it is who did it."""
    told = ("Ada Finch keeps it.", "Its lamp burns oil.", "It was lit in 1843.")
    about = "The lighthouse of Anstrow stands on a skerry."

    assert spans.self_contained((about, *told), "Anstrow") == [about, *told]
    she = "She is ninety."
    assert spans.self_contained((about, told[0], she, told[1]), "Anstrow") == [about, f"{told[0]} {she}", told[1]]
    other = "A heron guards it."
    assert spans.self_contained((about, other, told[2]), "Anstrow") == [about, f"{other} {told[2]}"]


@pytest.mark.parametrize(
    ("span", "text", "there"),
    [
        ("12", "Its stairs have 212 steps.", False),
        ("12 steps", "Its stairs have 212 steps.", False),
        ("12", "It holds 12,500 letters.", False),
        ("nine", "It sounds every ninety seconds.", False),
        ("12", "Its stairs have 12, not more.", True),
        ("Ada", "Keepers are Adams and Oake.", True),
    ],
)
def test_a_number_stands_only_where_it_is_whole(span: str, text: str, there: bool) -> None:
    assert spans.stands(span, text) is there


@pytest.mark.parametrize(
    ("sentence", "numbers", "names"),
    [
        ("It cost $3.5 million to build.", ["$3.5 million"], []),
        ("The island has 2 million visitors.", ["2 million"], []),
        ("It was replaced in the 1990s.", ["1990s"], []),
        ("It cools to -5 degrees.", ["-5"], []),
        ("It is of the 19th century.", ["19th century"], []),
        ("The H2O tank was drawn by J. R. Rogers.", [], ["J. R. Rogers"]),
        ("It was sold to the U.S. Navy.", [], ["U.S. Navy"]),
        ("Here Dr. Rogers met George W. Bush.", [], ["Dr. Rogers", "George W. Bush"]),
    ],
)
def test_a_number_or_a_name_is_not_cut_in_pieces(sentence: str, numbers: list[str], names: list[str]) -> None:
    assert spans.numbers(sentence) == numbers
    assert [name for name in spans.names(sentence) if name not in ("It", "H2O")] == names


def test_who_built_it_is_not_the_thing_that_was_built() -> None:
    said = ["Anstrow Light was built by Mirelle Oake.", "She designed the bridge at Lorne.", "Its lamp burns oil."]
    joined = ["Anstrow Light was built by Mirelle Oake. She designed the bridge at Lorne.", "Its lamp burns oil."]
    assert spans.self_contained(said, "Anstrow Light") == joined
