"""
The short answer: which span of a sentence a question asks for.

Promises: the span stands in the sentence, character for character, and repeats no word of the question or of its subject's
name; where the question asks for a kind of thing and the sentence has one, it is of that kind; of several it is the one that,
put in the place of the question word, makes the statement nearest to the sentence.
Does not promise: that the sentence answers the question, or an answer longer than the words between two small ones. Of questions
that people would ask of one plain sentence four in five get the span they would give, of SQuAD's long ones fewer than half.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from seal_agent.editing.kinds import asked_for, of_kind
from seal_agent.editing.proving import Embed, bare, same_word
from seal_agent.editing.spans import affirmed, content_words, lowered, names, negated, numbers, stands
from seal_agent.records import SelfEdit, sentences_of

_CUT = 4  # words at most of what a question was cut for
_ARTICLE = re.compile(r"^(?:an?|the) ", re.IGNORECASE)
_TAIL = 3  # words at most of the end of a run that are offered beside the whole run
_QUESTION_WORD = re.compile(
    r"^(?:(?:in|on|at|from|by|for|to|with|under|after|of|through|into|during|since|near) )?"
    r"(?:what|which|whose|whom|who|when|where|how (?:many|much|long|old|tall|heavy|big|far|often|high|deep|fast|large)|how)\b"
    r"(?: (?:kind|type|sort|name|year|day|month|time|place|person|man|woman|thing)s?(?: of)?(?= ))?",
    re.I,
)
_BREAK = re.compile(r'[,.](?!\d)|[;:!?()"“”—–]| - ')


def answered(edits: Sequence[SelfEdit], embed: Embed) -> list[SelfEdit]:
    """*edits* with the short answer to each proved question as their `gold`, "" where there is none."""
    asked = {edit.id: edit for edit in edits if edit.prompt.endswith("?") and not edit.refused}
    sentences = _asked_about(asked, embed)
    options = {key: _options(edit, sentences[key]) for key, edit in asked.items()}
    statements = {key: _statements(asked[key], sentences[key], of) for key, of in options.items() if of}
    said = list(dict.fromkeys(text for of in statements.values() if len(of) > 2 for text in of))
    vectors = dict(zip(said, embed(said), strict=True))
    golds = {key: _nearest(of, options[key], vectors) for key, of in statements.items()}
    return [edit.model_copy(update={"gold": golds.get(edit.id, "")}) for edit in edits]


def _asked_about(asked: Mapping[str, SelfEdit], embed: Embed) -> dict[str, str]:
    """The sentence that each question is about: its fact or, of sentences that are joined in it, the nearest."""
    joined = {key: (bare(edit.prompt, edit.title), sentences_of(edit.fact), edit.title) for key, edit in asked.items()}
    texts = [t for asks, of, title in joined.values() if len(of) > 1 for t in (asks, *(bare(one, title) for one in of))]
    vectors = dict(zip(dict.fromkeys(texts), embed(list(dict.fromkeys(texts))), strict=True))

    def nearest(asks: str, of: Sequence[str], title: str) -> str:
        return max(of, key=lambda one: float(vectors[bare(one, title)] @ vectors[asks])) if len(of) > 1 else of[0]

    return {key: nearest(*parts) for key, parts in joined.items()}


def _nearest(statements: Sequence[str], options: Sequence[str], vectors: Mapping[str, np.ndarray]) -> str:
    """Of *options* the one whose statement is nearest to the sentence, which comes first among *statements*."""
    if len(options) == 1:
        return options[0]
    sentence, *filled = (vectors[text] for text in statements)
    return options[int(np.argmax(np.stack(filled) @ sentence))]


def _statements(edit: SelfEdit, sentence: str, options: Sequence[str]) -> list[str]:
    """The *sentence*, then its question as a statement with each of *options* in it; the subject is "it" in all of them."""
    asked = edit.prompt.removeprefix(f"About {edit.title}: ").removesuffix("?").removesuffix(f" ({edit.title})")
    word = _QUESTION_WORD.match(asked)
    rest = asked[word.end() :] if word else f" {asked}"
    return [bare(text, edit.title) for text in (sentence, *(f"{option}{rest}." for option in options))]


def _options(edit: SelfEdit, sentence: str) -> list[str]:
    """
    What may be *edit*'s short answer: things of the kind asked for, in the *sentence* asked about or else in those it is joined
    with; else what the question does not say.
    """
    shown = f"{edit.prompt} {edit.title}"
    kind = asked_for(edit.prompt, edit.title)
    # what a sentence says not to be so is no answer, but to a question that says so too
    said = [edit.fact] if negated(edit.prompt) else affirmed(edit.fact)
    words = lowered(shown)

    def new(spans: Iterable[str]) -> list[str]:
        there = (span for span in spans if any(stands(span, piece) for piece in said))
        fresh = (span for span in there if span.lower() not in shown.lower())
        return list(dict.fromkeys(fresh))

    # what a question was cut for is known; a subject goes without its article, and a long one is none
    cut = re.search(re.escape(_ARTICLE.sub("", edit.gold)), edit.fact, re.IGNORECASE) if edit.gold else None
    if cut and content_words(cut.group()) and len(cut.group().split()) <= _CUT and new([cut.group()]):
        return [cut.group()]
    told = tuple(dict.fromkeys((sentence, edit.fact)))
    typed = (new(of_kind(kind, text)) for text in told if kind)
    plain = (new([*names(text), *numbers(text), *_runs(text, words)]) for text in told)
    return next((found for found in (*typed, *plain) if found), [])


def _runs(sentence: str, shown: Collection[str]) -> Iterator[str]:
    """Runs of words that carry meaning and stand in no form among *shown*, each with its ends."""
    for piece in _BREAK.split(sentence):
        run: list[str] = []
        for word in [*piece.split(), "the"]:
            meant = content_words(word)
            if meant and not any(same_word(meant[0].lower(), other) for other in shown):
                run.append(word)
                continue
            yield from (" ".join(run[-size:]) for size in (len(run), *range(1, _TAIL + 1)) if run)
            run = []
