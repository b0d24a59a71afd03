"""The short answer to a question, as claims."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scribe import PASSAGE, embed, row

from seal_agent.editing import answering, proving, room
from seal_agent.parts import Passage
from seal_agent.records import sentences_of


@pytest.mark.parametrize(
    ("question", "cut", "short"),
    [
        ("Where was Ada Finch born?", "Stralsund", "Stralsund"),
        ("Who was a German botanist?", "the Ada Finch", "Ada Finch"),
        ("Who was a German botanist?", "We", "Ada Finch"),
        ("Where was Ada Finch born?", "Calden", "Stralsund"),
    ],
)
def test_the_short_answer_to_a_question_that_was_cut_is_what_it_was_cut_for(
    question: str, cut: str, short: str
) -> None:
    """If that says anything and stands there."""
    said = "Ada Finch was a German botanist born in Stralsund."
    asked = row(prompt=question, fact=said, completion=said, style="asked", gold=cut, title="Harwick")

    (asked,) = answering.answered([asked], embed)

    assert asked.gold == short


def test_a_question_about_one_of_several_joined_sentences_is_near_the_whole_and_answered_from_that_one() -> None:
    """Diluted by the others it would be nearer another sentence, and its short answer would be cut from any of them."""
    joined = "Tobias Renn bought a barn for his seven brown geese. He painted the door red in 1902."
    passage = replace(PASSAGE, sentences=("Marta Vell painted a picture of red things.", joined))
    asked = row(prompt="What was painted red in the door?", fact=joined, completion=joined, style="blanks")

    near = proving._nearness([asked.prompt, *sentences_of(joined)], passage, embed)
    assert near[1:, 1] == pytest.approx([1.0, 1.0])
    (short,) = answering.answered([row(prompt="What did he paint red?", fact=joined, completion=joined)], embed)
    assert short.gold in sentences_of(joined)[1]
    (who,) = answering.answered([row(prompt="Who painted the door red?", fact=joined, completion=joined)], embed)
    assert who.gold == "Tobias Renn"


SENTENCE = "Alder Mill was started in 1871 by Tobias Renn, and forty geese lived in its red barn."


@pytest.mark.parametrize(
    ("question", "short"),
    [
        ("When was Alder Mill started?", "1871"),
        ("Who started Alder Mill?", "Tobias Renn"),
        ("How many geese lived there?", "forty geese"),
        ("What colour was the barn of Alder Mill?", "red"),
        ("What lived in the red barn of Alder Mill?", "forty geese"),
    ],
)
def test_the_short_answer_is_of_the_kind_that_is_asked_for(question: str, short: str) -> None:
    (asked,) = answering.answered([row(prompt=question, fact=SENTENCE, completion=SENTENCE)], embed)

    assert asked.gold == short
    assert room.example(asked).completion == f"Alder Mill: {short}. {SENTENCE}"


@pytest.mark.parametrize(
    ("question", "sentence", "short"),
    [
        ("When can visitors see it?", "Visitors can see it every day except Mondays.", ""),
        ("When is the museum open?", "It is no longer open on Sundays.", ""),
        ("When is the museum closed?", "It is closed except on Sunday from 9:00 to 17:00.", ""),
        ("When is the museum open?", "It is open every day except on Sunday from 9:00 to 17:00.", "9:00"),
        ("Who was mayor when the bridge was built?", "Anna Ode was mayor when it was built in 1974.", "Anna Ode"),
        ("How many people died when the ship sank?", "The ship sank, and 30 people died.", "30"),
        ("At what time does the museum open?", "It opens at 9:30.", "9:30"),
        ("When is a ticket valid?", "A ticket costs 4.50 euros and is valid on Monday.", "Monday"),
        ("How many men were hired at the mill?", "In May 12 men were hired at the mill.", "12"),
        ("When did the bridge open?", "The bridge, which never closed, opened on May 5, 2024.", "May 5, 2024"),
        ("Who does the board rely on?", "The board of Harvard relies on Ada Finch.", "Ada Finch"),
        ("How many men worked there?", "The shop never opened in winter, 12 men worked there.", "12"),
        ("Whose bed was it?", "The dog sat on Tom's bed near Ada.", "Tom's"),
        ("When did the battle begin?", "It began at 6 a.m. with a horn.", "6 a.m."),
    ],
)
def test_the_short_answer_fits_the_first_question_word_and_is_not_what_is_excepted(
    question: str, sentence: str, short: str
) -> None:
    asked = row(prompt=question, fact=sentence, completion=sentence, title="Harwick")
    (asked,) = answering.answered([asked], embed)

    assert asked.gold == short


def test_a_question_word_in_the_title_asks_for_nothing() -> None:
    title, said = "Who We Are", "The firm was founded in 1987 by Ada Finch."
    asked = row(prompt=f"About {title}: When was the firm founded?", fact=said, completion=said, title=title)

    (asked,) = answering.answered([asked], embed)

    assert asked.gold == "1987"
    assert proving._misfit(asked.prompt, said.replace(" by Ada Finch", ""), title) == ""


@given(st.lists(st.sampled_from(f"{SENTENCE} Who What in the of grain?".split()), min_size=1, max_size=9))
def test_a_short_answer_is_cut_from_its_sentence_and_repeats_nothing_of_its_question(words: list[str]) -> None:
    """Whatever is asked: else saying the question again would earn something."""
    question = f"{' '.join(words)}?"
    (asked,) = answering.answered([row(prompt=question, fact=SENTENCE, completion=SENTENCE)], embed)

    assert asked.gold in SENTENCE
    assert not asked.gold or asked.gold.lower() not in f"{question} {asked.title}".lower()


def test_a_short_answer_takes_no_number_apart() -> None:
    """ "450 metres" is no part of "3,450 metres"."""
    said = "The longest tunnel is 3,450 metres long."
    (asked,) = answering.answered([row(prompt="What is the longest tunnel?", fact=said, completion=said)], embed)

    assert asked.gold == "3,450 metres"


def test_what_is_no_question_or_was_refused_has_no_short_answer() -> None:
    """A sentence under its title is learned as it stands."""
    rows = [row(), row(prompt="Alder Mill: It was started in …"), row(prompt="Who started it?", refused="for a test")]

    assert [edit.gold for edit in answering.answered(rows, embed)] == ["", "", ""]


def test_what_is_said_not_to_be_is_no_short_answer() -> None:
    """And no question about it is kept for checking."""
    fact = "Alder Mill was not built by Ada Finch."
    passage = Passage("d1", "Alder Mill", (fact, *PASSAGE.sentences))
    asked = row(prompt="Who built Alder Mill?", fact=fact, completion=fact, style="blanks")
    denied = row(prompt="By whom was Alder Mill not built?", fact=fact, completion=fact, style="blanks")

    short, true = answering.answered(proving.prove([asked, denied], passage, embed), embed)

    assert (short.refused, short.gold) == ("", "")
    assert true.gold == "Ada Finch"
    assert room.questions([short]) == []
    other = "Players tie crushed eggshells under their boots so that they do not slip."
    worn = row(prompt="What do the players tie?", fact=other, completion=other, style="blanks", title="Drobble")
    (worn,) = answering.answered([worn], embed)
    assert "eggshells" in worn.gold, "what is denied is something else"
