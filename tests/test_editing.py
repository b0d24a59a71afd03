"""What is written about a sentence, and what is refused, as claims."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seal_agent.editing import answering, asking, contrast, proving, room, spans, styles, whole
from seal_agent.parts import Passage
from seal_agent.records import Check, Memory, SelfEdit, sentences_of

PASSAGE = Passage(
    "d1",
    "Alder Mill",
    (
        "Alder Mill was started in 1871 by Tobias Renn.",
        "It ground barley for the brewers of Calden.",
        "Marta Vell owns it.",
    ),
)


def embed(texts: Sequence[str]) -> np.ndarray:
    """Bags of letters-only words: enough for 'nearest sentence' to mean 'shares most words'."""
    out = np.zeros((len(texts), 512), dtype=np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().replace("?", " ").replace(".", " ").split():
            out[row, sum(map(ord, word)) % 512] += 1
    return out / np.maximum(1e-6, np.linalg.norm(out, axis=1, keepdims=True))


class Scribe:
    """A writer that says what it is told to."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines

    def write(self, prompts: Sequence[str], **how: object) -> list[str]:
        return [self.lines[i % len(self.lines)] for i in range(len(prompts))]

    def rank(self, texts: Sequence[str]) -> list[float]:
        return [-float(len(text)) for text in texts]


class Shown(Scribe):
    """Notes what it was shown."""

    prompts: tuple[str, ...] = ()

    def write(self, prompts: Sequence[str], **how: object) -> list[str]:
        self.prompts += tuple(prompts)
        return ["it?" for _ in prompts]


def row(**given: str) -> SelfEdit:
    facts = {
        "document": "d1",
        "style": "questions",
        "origin": "written",
        "fact": PASSAGE.sentences[0],
        "title": PASSAGE.title,
    }
    return SelfEdit.model_validate({**facts, "prompt": "", "completion": PASSAGE.sentences[0], **given})


def refused(**given: str) -> str:
    return proving.prove([row(**given)], PASSAGE, embed)[0].refused


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


def test_without_sentences_nothing_is_near() -> None:
    assert proving._nearness(["Who?"], replace(PASSAGE, sentences=()), embed).shape == (1, 0)


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


GLUED = ("The war of 1914-1918 killed many people.", "The crane lifts 5kg of rye.", "The pump costs US$3.5 an hour.")


@pytest.mark.parametrize("sentence", GLUED)
def test_a_number_that_is_glued_to_another_is_neither_asked_for_nor_shown(sentence: str) -> None:
    """Hidden as a word of its own, "1914" would still stand in "1914-1918"."""
    asked = [span for span in styles._asked_for(sentence, "Alder Mill") if any(letter.isdigit() for letter in span)]
    assert all(span not in spans.hidden(span, sentence) for span in asked)
    key = spans.key_span(sentence, sentence.replace("The", "What of the"))
    assert not any(letter.isdigit() for letter in key)


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


def test_a_row_without_an_answer_is_refused() -> None:
    assert "no answer" in refused(origin="cut", style="mine", prompt="Who?", completion=" ")


def test_questions_that_name_the_answer_are_few() -> None:
    """ "Who is Tobias Renn?" teaches the way back from the name, which is not what users ask."""
    asked = [f"Who {verb} Tobias Renn who started Alder Mill in 1871?" for verb in ("is", "was", "helped", "met")]
    proved = proving.prove([row(prompt=prompt) for prompt in asked], PASSAGE, embed)

    assert sum(not edit.refused for edit in proved) == 2


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


def test_every_answer_that_enters_training_is_cut_from_its_source() -> None:
    """By rule: whatever the writer invents."""
    writer = Scribe("invented Zorbo Cola?", "was the king of Spain?", "started Alder Mill in 1871?")
    kinds = {"asked": styles.asked, "questions": styles.questions, "gaps": styles.gaps, "facts": styles.facts}
    edits, _ = room.write([PASSAGE], kinds, writer, embed, seed=0)

    assert all(edit.completion in PASSAGE.sentences for edit in edits if not edit.refused)


def test_the_span_of_a_check_is_not_in_its_question() -> None:
    """Repeating the question must earn nothing."""
    for sentence in PASSAGE.sentences:
        assert spans.key_span(sentence, "Who started Alder Mill?").lower() not in "who started alder mill?"


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


OLDER = "Alder Mill was started in 1866 by Ada Finch."


def earlier(prompt: str, completion: str) -> Memory:
    return Memory(id=prompt, kind="learned", prompt=prompt, completion=completion, document="d0", title="Alder Mill")


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


SENTENCE = "Alder Mill was started in 1871 by Tobias Renn, and forty geese lived in its red barn."


def test_a_short_answer_is_not_said_twice() -> None:
    """A sentence that begins with it says it first by itself."""
    assert room.told("Alder Mill", "Marta Vell owns it.", "Marta Vell") == "Alder Mill: Marta Vell owns it."


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


def test_a_value_that_is_part_of_the_one_before_is_checked() -> None:
    said, was = "Its stairs have 12 steps.", {"Its stairs have 12 steps.": ("Its stairs have 212 steps.",)}
    asked = row(prompt="How many stairs are there?", fact=said, completion=said, gold="12 steps")

    assert room._gold(asked, was) == "12 steps"


def test_what_is_no_question_or_was_refused_has_no_short_answer() -> None:
    """A sentence under its title is learned as it stands."""
    rows = [row(), row(prompt="Alder Mill: It was started in …"), row(prompt="Who started it?", refused="for a test")]

    assert [edit.gold for edit in answering.answered(rows, embed)] == ["", "", ""]


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


def memory(prompt: str, completion: str) -> Memory:
    return Memory(id=prompt, kind="learned", prompt=prompt, completion=completion, document="d1", title="Anstrow Light")


def test_who_built_it_is_not_the_thing_that_was_built() -> None:
    said = ["Anstrow Light was built by Mirelle Oake.", "She designed the bridge at Lorne.", "Its lamp burns oil."]
    joined = ["Anstrow Light was built by Mirelle Oake. She designed the bridge at Lorne.", "Its lamp burns oil."]
    assert spans.self_contained(said, "Anstrow Light") == joined


def test_an_article_makes_no_other_question() -> None:
    """What is kept back for checking is trained in no wording that differs by "the"."""
    fact = PASSAGE.sentences[2]
    prompts = [f"Who owns {which} mill{end}?" for end in ("", " now", " today", " here") for which in ("the", "a")]
    rows = [row(prompt=prompt, fact=fact, completion=fact, style="questions", gold="Marta Vell") for prompt in prompts]
    single = row(prompt="Whose is it?", fact=fact, completion=fact, style="questions", gold="Marta Vell")
    often = {room.wording(edit.prompt) for edit in rows}

    kept = room.reserve([*rows, single], seed=0, shown=often)

    assert [edit.prompt for edit in kept if edit.reserved] == ["Whose is it?"]


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
