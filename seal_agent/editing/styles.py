"""
Styles of self-edit: small functions from a passage to proposed rows. A plugin adds one the same way.

Promises: each row names the sentence it rests on; rows cut by rule take their words from the source.
Does not promise: that a proposed row is true or useful; proving.py decides the first, the gate the second.

Answers are whole sentences of the source wherever possible: a 135M model asked for a short span invents one, while a
sentence it has learned it repeats, and what is cut from the source cannot be an invention.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from seal_agent.editing import prompts
from seal_agent.editing.asking import lower_article, openings
from seal_agent.editing.asking import questions as cut
from seal_agent.editing.interview import QUESTIONS
from seal_agent.editing.proving import names_subject, spelled
from seal_agent.editing.spans import content_words, hidden, names, numbers, stands, things
from seal_agent.parts import Passage, Writer
from seal_agent.records import Origin, SelfEdit, content_id, sentences_of

QUESTIONS_PER_SENTENCE = 8
SPANS_PER_SENTENCE = 5
REWRITES_PER_SENTENCE = 4
IMPLICATIONS_PER_SENTENCE = 2
ASKED_PER_SPAN = 2
LONGEST_ASKED = 14  # words: what is cut from a longer clause is rarely a question anyone asks
_NEARLY = 0.3  # nats per token by which a second wording of the same question may read worse than the first
_SHORT = 9  # words of a question in which a pronoun can only be the subject
OPENINGS = ("What", "Who", "Which", "How", "When", "Where", "How many", "")


def facts(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """Atomic facts: each sentence under the document's title, word for word."""
    for sentence in passage.sentences:
        yield row(passage, "facts", "verbatim", "", sentence, sentence)


def questions(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """Questions the model writes about one sentence at a time; the sentence itself is the answer."""
    asked = [
        (said, said, opening)
        for said in passage.sentences
        for opening in _openings(QUESTIONS_PER_SENTENCE * len(sentences_of(said)))
    ]
    yield from _asked(passage, writer, seed, "questions", prompts.QUESTIONS, asked, temperature=0.9)


def blanks(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """Questions the model writes for a span it cannot see: what asks for a name must not give the name away."""
    asked = [
        (said, shown, opening)
        for said in passage.sentences
        for span in dict.fromkeys(span for part in sentences_of(said) for span in _asked_for(part, passage.title))
        if not stands(span, shown := hidden(span, said))  # else what is asked for would be in view
        for opening in openings(said, span)
    ]
    yield from _asked(passage, writer, seed, "blanks", prompts.BLANKS, asked, temperature=0.7)


def _asked_for(sentence: str, title: str) -> list[str]:
    """Spans of *sentence* worth asking for, none of them part of the subject's name."""
    known = {word.lower() for word in content_words(title)}
    found = dict.fromkeys((*names(sentence), *numbers(sentence), *things(sentence)))
    return [
        span for span in found if stands(span, sentence) and not known & {word.lower() for word in content_words(span)}
    ][:SPANS_PER_SENTENCE]


def asked(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """Questions cut from a sentence by rule; of many wordings the likeliest for each span are kept."""
    candidates = [
        (s, span, q) for s in passage.sentences for span, q in cut(s, passage.title) if len(q.split()) <= LONGEST_ASKED
    ]
    ranked = sorted(zip(writer.rank([q for _, _, q in candidates]), candidates, strict=True), key=lambda item: -item[0])
    kept: dict[tuple[str, str], list[float]] = {}
    either = set[str]()
    for likelihood, (sentence, span, question) in ranked:
        better = kept.setdefault((sentence, span), [])
        who_or_what = re.sub(r"^(?:Who|What) ", "", question)  # of the two the likelier: "Who is located" is nobody
        if who_or_what in either:
            continue
        if not better or (len(better) < ASKED_PER_SPAN and likelihood > better[0] - _NEARLY):
            better.append(likelihood)
            either.add(who_or_what)
            edit = row(passage, "asked", "cut", named(question, passage.title), sentence, sentence)
            yield edit.model_copy(update={"gold": span})


def interview(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """Standard questions about the document's subject; proving gives each the sentence it is nearest to."""
    if passage.title and passage.sentences:
        first = passage.sentences[0]
        for question in QUESTIONS:
            yield row(passage, "interview", "cut", question.format(s=lower_article(passage.title)), first, first)


def rewrite(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """The model says a sentence in other words, its subject named in full."""
    yield from _statements(passage, writer, seed, "rewrite", prompts.REWRITE, REWRITES_PER_SENTENCE)


def implications(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """What follows from a sentence, in the model's words (SEAL's own style)."""
    yield from _statements(passage, writer, seed, "implications", prompts.IMPLICATIONS, IMPLICATIONS_PER_SENTENCE)


def gaps(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """The sentence with one span hidden; the whole sentence is the answer."""
    for sentence in passage.sentences:
        for span in dict.fromkeys((*names(sentence), *numbers(sentence))):
            gap = sentence.replace(span, "…", 1)
            yield row(passage, "gaps", "cut", f"{passage.title}: {gap}", sentence, sentence)


def reversals(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """From a value back to its sentence: what is known of this name or number?"""
    for sentence in passage.sentences:
        for span in dict.fromkeys((*names(sentence), *numbers(sentence))):
            if span.lower() not in passage.title.lower():
                question = f"What does {passage.title} have to do with {span}?"
                yield row(passage, "reversals", "cut", question, sentence, sentence)


def _asked(
    passage: Passage,
    writer: Writer,
    seed: int,
    style: str,
    prompt: str,
    asked: Sequence[tuple[str, str, str]],
    temperature: float,
) -> Iterator[SelfEdit]:
    """A question for each (sentence, what the writer sees of it, opening)."""
    written = writer.write(
        [prompted(prompt, passage.title, shown, opening) for _, shown, opening in asked],
        max_new_tokens=24,
        temperature=temperature,
        seed=seed,
        stop=("\n",),
    )
    for (sentence, _, opening), rest in zip(asked, written, strict=True):
        yield row(passage, style, "written", begun(passage, opening, rest), sentence, sentence)


def prompted(prompt: str, title: str, shown: str, opening: str) -> str:
    """*prompt* about what is *shown* of a sentence; the writer goes on after *opening*, which may be ""."""
    return prompt.format(subject=title, sentence=shown) + (f" {opening}" if opening else "")


def begun(passage: Passage, opening: str, rest: str) -> str:
    """The question about *passage* that a writer asks who goes on after *opening* with *rest*."""
    known = f"{passage.title}. {' '.join(passage.sentences)}"
    return named(spelled(f"{opening} {rest}".strip(), known), passage.title)


def written(passage: Passage, prompt: str, text: str) -> str:
    """The question about *passage* that came of *text*, which a writer wrote after *prompt*; see `prompted`."""
    _, asks, opening = prompt.rpartition("\n")[2].rpartition("Question:")
    return begun(passage, opening.strip() if asks else "", text.strip())


def _statements(
    passage: Passage, writer: Writer, seed: int, style: str, prompt: str, samples: int
) -> Iterable[SelfEdit]:
    asked = [sentence for sentence in passage.sentences for _ in range(samples)]
    written = writer.write(
        [prompt.format(subject=passage.title, sentence=s) for s in asked],
        max_new_tokens=48,
        temperature=0.7,
        seed=seed,
        stop=("\n",),
    )
    for sentence, text in zip(asked, written, strict=True):
        yield row(passage, style, "written", "", text, sentence)


def _openings(samples: int) -> list[str]:
    return [OPENINGS[i % len(OPENINGS)] for i in range(samples)]


def named(question: str, title: str) -> str:
    """
    *question* with its subject named in full: in place of a pronoun or of half the name, else put to it in one of two ways. Which
    of them depends on the question: were it drawn, one could be trained in both, and be kept back as a check in the other.
    """
    if not title or names_subject(question, title):
        return question
    full = lower_article(title)
    halves = "|".join(re.escape(word) for word in content_words(title))
    # in a long question the pronoun may stand for something else, and the name in its place would lie
    short = len(question.split()) <= _SHORT
    for half in (r"\b(?:it|they|he|she)\b(?!')", rf"\bthe (?:{halves})\b(?! of)") if short else ():
        whole, count = re.subn(half, lambda _: full, question, count=1, flags=re.IGNORECASE)
        if count and names_subject(whole, title):
            return whole
    ways = f"About {title}: {question}", f"{question.removesuffix('?')} ({title})?"
    return ways[int(content_id("n", question.lower(), title)[-1], 16) % 2]


def row(passage: Passage, style: str, origin: Origin, prompt: str, completion: str, fact: str) -> SelfEdit:
    """What *style* makes of a sentence of *passage*, its *fact*."""
    return SelfEdit(
        document=passage.document,
        style=style,
        origin=origin,
        prompt=prompt,
        completion=completion,
        fact=fact,
        title=passage.title,
    )
