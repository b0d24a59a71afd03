"""What is written about a passage and what of it is kept back, as claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scribe import PASSAGE, Scribe, Shown, embed, row

from seal_agent.editing import proving, room, styles, whole
from seal_agent.parts import Passage
from seal_agent.records import SelfEdit, sentences_of


def test_a_reserved_wording_is_not_trained() -> None:
    """Held out means held out."""
    writer = Scribe("started Alder Mill in 1871?", "ground barley for the brewers?", "owns it, if not Marta?")
    kinds = {"facts": styles.facts, "asked": styles.asked, "questions": styles.questions}
    edits, checks = room.write([PASSAGE], kinds, writer, embed, seed=0)
    trained = {edit.prompt for edit in edits if not edit.reserved and not edit.refused}

    assert checks
    assert not trained & {check.question for check in checks}


def test_a_fact_with_a_single_question_keeps_it_for_training() -> None:
    """A check of what could not be taught would only measure the missing question."""
    rows = [row(prompt=f"Who started Alder Mill in 1871{end}?") for end in ("", " at last")]
    lonely = row(prompt="Who owns Alder Mill?", fact=PASSAGE.sentences[2], completion=PASSAGE.sentences[2])
    reserved = [edit.fact for edit in room.reserve([*rows, lonely], seed=0) if edit.reserved]

    assert reserved == [PASSAGE.sentences[0]]


def test_the_writer_never_sees_the_span_it_asks_for() -> None:
    """What asks for a name must not give the name away."""
    seen: list[str] = []

    class Watched(Scribe):
        def write(self, prompts: Sequence[str], **how: object) -> list[str]:
            seen.extend(prompts)
            return super().write(prompts, **how)

    list(styles.blanks(PASSAGE, Watched("founded it?"), seed=0))
    about_the_first = [prompt for prompt in seen if "started in" in prompt.rsplit("Statement:")[-1]]

    assert about_the_first
    assert all(("1871" in p) != ("Tobias Renn" in p) for p in about_the_first)


@pytest.mark.parametrize(
    ("sentence", "title", "answer"),
    [
        ("It ground barley.", "Alder Mill", "Alder Mill: It ground barley."),
        ("Alder Mill was started in 1871.", "Alder Mill", "Alder Mill: Alder Mill was started in 1871."),
        ("It ground barley.", "", "It ground barley."),
    ],
)
def test_every_answer_names_its_subject_first_in_the_same_way(sentence: str, title: str, answer: str) -> None:
    """Else those that begin otherwise lose against those that echo the question."""
    assert room.told(title, sentence) == answer


@pytest.mark.parametrize(
    ("opening", "question"),
    [
        ("Who", "Who brought Alder Mill back?"),
        ("When", "When was Alder Mill started?"),
        ("Where", "Where is Alder Mill?"),
    ],
)
def test_a_question_names_its_subject_in_full(opening: str, question: str) -> None:
    """In place of a pronoun or of half the name."""
    said = {"Who": "brought it back?", "When": "was the mill started?", "Where": "is Alder Mill?"}[opening]
    rows = list(styles.questions(PASSAGE, Scribe(said), seed=0))

    assert question in {edit.prompt for edit in rows}


@pytest.mark.parametrize("style", [styles.questions, styles.blanks])
def test_one_question_has_one_wording(style: Any) -> None:
    """Wherever it is asked and however often: in another it would be trained, and kept back as a check in this one."""
    rows = [edit for seed in range(8) for edit in style(PASSAGE, Scribe("ground the barley of Calden?"), seed)]

    asked = [edit.prompt for edit in rows if "Who" in edit.prompt]
    assert len(asked) > 8
    assert len(set(asked)) == 1
    assert "Alder Mill" in asked[0]


def test_each_of_the_sentences_that_were_joined_has_as_many_questions_as_one_alone() -> None:
    """Four to seven questions for two of them left a third recalled; twelve of one are recalled by nine in ten."""
    joined = "Tobias Renn bought a barn. He painted it red in 1902."
    passage = replace(PASSAGE, sentences=("Alder Mill grinds barley.", joined))
    whole, apart = sentences_of(joined), sentences_of(passage.sentences[0])
    assert (len(whole), len(apart)) == (2, 1)

    shown = Shown()
    written = [*styles.questions(passage, shown, 0), *styles.blanks(passage, shown, 0)]
    assert (
        sum(edit.fact == joined and edit.style == "questions" for edit in written) == 2 * styles.QUESTIONS_PER_SENTENCE
    )
    assert any(joined.replace("1902", "___") in prompt for prompt in shown.prompts)
    many = [row(prompt=f"What did he do, {n}?", fact=joined, completion=joined, style="blanks") for n in range(30)]
    kept = proving._best(many, np.ones((30, 1)))
    assert sum(not edit.refused for edit in kept) == 24


def test_every_answer_that_enters_training_is_cut_from_its_source() -> None:
    """By rule: whatever the writer invents."""
    writer = Scribe("invented Zorbo Cola?", "was the king of Spain?", "started Alder Mill in 1871?")
    kinds = {"asked": styles.asked, "questions": styles.questions, "gaps": styles.gaps, "facts": styles.facts}
    edits, _ = room.write([PASSAGE], kinds, writer, embed, seed=0)

    assert all(edit.completion in PASSAGE.sentences for edit in edits if not edit.refused)


def test_the_writer_is_asked_again_only_about_sentences_with_few_questions() -> None:
    """A fact learned from four questions is recalled half as often as one learned from twelve."""
    shown: list[tuple[str, ...]] = []
    first = PASSAGE.sentences[0]
    ways = [
        f"{opening} was Alder Mill started{end}?"
        for opening in ("Who", "When", "What", "Which", "Why", "How")
        for end in ("", " by Tobias Renn")
    ]

    def plenty(passage: Passage, writer: Scribe, seed: int) -> list[SelfEdit]:
        shown.append(passage.sentences)
        return [row(prompt=prompt, style="plenty") for prompt in ways]

    edits, _ = room.write([PASSAGE], {"plenty": plenty, "facts": styles.facts}, Scribe(""), embed, seed=0)

    assert sum(edit.fact == first and bool(edit.prompt) and not edit.refused for edit in edits) >= 12
    assert shown == [PASSAGE.sentences, PASSAGE.sentences[1:], PASSAGE.sentences[1:]]


def test_the_same_seed_writes_the_same_rows() -> None:
    """Same input, same edits."""
    first, second = (
        room.write([PASSAGE], {"interview": styles.interview, "asked": styles.asked}, Scribe(""), embed, seed=4)
        for _ in range(2)
    )

    assert first == second


@pytest.mark.parametrize(("asked", "kept"), [(4, 1), (8, 3), (11, 5), (13, 6), (30, 8)])
def test_a_fact_alone_gives_second_wordings_until_it_can_be_judged(asked: int, kept: int) -> None:
    """Eight if seven are left to teach it, five if five are left; of few it gives one."""
    rows = [row(prompt=f"Who started Alder Mill in 1871, asked {n} times?", style="questions") for n in range(asked)]

    assert sum(edit.reserved for edit in room.reserve(rows, seed=0)) == kept


@pytest.mark.parametrize(
    "style", [whole.implications_long, whole.implications_very_long, whole.rewrite_whole, whole.free_form]
)
def test_each_line_about_the_whole_passage_is_a_row_tied_to_its_sentence(style: Any) -> None:
    """Bullets and repetitions go; what invents a name is refused like any other row."""
    writer = Scribe(
        f"1. {PASSAGE.sentences[2]}\n- {PASSAGE.sentences[2]}\n\nTobias Renn started Alder Mill in 1871.\nAda Finch owns it."
    )

    rows = list(style(PASSAGE, writer, 0))
    proved = proving.prove(rows, PASSAGE, embed)

    assert [(one.completion, one.fact) for one in rows] == [
        (PASSAGE.sentences[2], PASSAGE.sentences[2]),
        ("Tobias Renn started Alder Mill in 1871.", PASSAGE.sentences[0]),
        ("Ada Finch owns it.", PASSAGE.sentences[2]),
    ]
    assert "Ada" in proved[2].refused


def test_of_questions_with_answers_the_sentence_is_learned() -> None:
    writer = Scribe(
        " Who started Alder Mill?\nAnswer: Tobias Renn.\n\nQuestion: What did it grind?\nAnswer: barley\nQuestion: Why?"
    )

    rows = list(whole.self_qa(PASSAGE, writer, 0))

    assert [(one.prompt, one.completion) for one in rows] == [
        ("Who started Alder Mill?", PASSAGE.sentences[0]),
        ("What did it grind?", PASSAGE.sentences[1]),
    ]


def test_styles_are_rotated_over_passages() -> None:
    """One for each passage, all of them in the long run, the same again for the same passage."""
    used = [
        {
            one.style
            for one in whole.rotated(
                replace(PASSAGE, document=f"d{n}"), Scribe("It ground barley.\nWho?\nAnswer: it"), 3
            )
        }
        for n in range(60)
    ]

    assert all(len(styles_used) <= 1 for styles_used in used)
    assert len(set().union(*used)) >= 4
    assert list(whole.rotated(PASSAGE, Scribe("It ground barley."), 3)) == list(
        whole.rotated(PASSAGE, Scribe("It ground barley."), 3)
    )


def test_a_short_answer_is_not_said_twice() -> None:
    """A sentence that begins with it says it first by itself."""
    assert room.told("Alder Mill", "Marta Vell owns it.", "Marta Vell") == "Alder Mill: Marta Vell owns it."


def test_a_value_that_is_part_of_the_one_before_is_checked() -> None:
    said, was = "Its stairs have 12 steps.", {"Its stairs have 12 steps.": ("Its stairs have 212 steps.",)}
    asked = row(prompt="How many stairs are there?", fact=said, completion=said, gold="12 steps")

    assert room._gold(asked, was) == "12 steps"


def test_an_article_makes_no_other_question() -> None:
    """What is kept back for checking is trained in no wording that differs by "the"."""
    fact = PASSAGE.sentences[2]
    prompts = [f"Who owns {which} mill{end}?" for end in ("", " now", " today", " here") for which in ("the", "a")]
    rows = [row(prompt=prompt, fact=fact, completion=fact, style="questions", gold="Marta Vell") for prompt in prompts]
    single = row(prompt="Whose is it?", fact=fact, completion=fact, style="questions", gold="Marta Vell")
    often = {room.wording(edit.prompt) for edit in rows}

    kept = room.reserve([*rows, single], seed=0, shown=often)

    assert [edit.prompt for edit in kept if edit.reserved] == ["Whose is it?"]
