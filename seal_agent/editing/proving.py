"""
Every row is proved against its source before it counts.

Promises: a proved row's answer is cut from its source, character for character, or is a rewording that keeps every name
and number of its sentence and adds none; its question names no name or number the document lacks, and no
other sentence of the document is clearly nearer to it than the one that answers it. A refused row says why.
Does not promise: that a model-written question is a good question. It can presuppose what is false.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence

import numpy as np

from seal_agent.editing.kinds import asked_for, holds
from seal_agent.editing.spans import content_words, lowered, names, numbers
from seal_agent.parts import Passage
from seal_agent.records import SelfEdit, pieces, sentences_of

Embed = Callable[[Sequence[str]], np.ndarray]

_OPENERS = re.compile(
    r"^(who|whom|whose|what|when|where|which|why|how|in|on|at|from|by|for|to|under|after|before|besides|with|during|of|"
    r"is|are|was|were|does|do|did|has|have|can|could|will|would|name)\b",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"\b(it|he|she|they|his|her|its|their|this|these|that one|you|your|we|our|i)\b", re.IGNORECASE)
_ABOUT, _CLEARLY = 0.36, 0.03  # cosine to the nearest sentence, and how far the second must stand behind it
_ITS_OWN = 0.25  # enough where the writer had that very sentence before it,
_BEHIND = 0.05  # even if another sentence is nearer by this much
# Styles whose answers are whole sentences, so that a question may move to another one, and what they are counted as.
_COUNTED_AS = {"questions": "written", "blanks": "written", "interview": "interview"}
_PER_SENTENCE = {"interview": 4, "written": 12, "revealing": 2}  # questions kept for one sentence, the nearest ones
_OWN_WORDS = 1  # content words a question may have that its document has not: a synonym, not a story
_STEM = 5  # letters by which "keeps" and "keeper" are the same word
_KINDS = frozenset(
    "name named type kind sort year month day time date place town city country area number colour color person people "
    "man woman animal thing many much long old called located main first known find used come take".split()
)
_CLOSE = 0.72  # a rewording at least this near its sentence says the same; below it mostly drifted


def prove(edits: Sequence[SelfEdit], passage: Passage, embed: Embed) -> list[SelfEdit]:
    """*edits* with `refused` filled in where a proof fails; a question may move to the sentence it is nearest to."""
    text = " ".join((passage.title, *passage.sentences))
    near = _nearness([e.prompt or e.completion for e in edits], passage, embed)
    proved, seen = [], set[tuple[str, str]]()
    for edit, likeness in zip(edits, near, strict=True):
        settled = _settled(edit, passage, likeness)
        reason = settled.refused or _reason(settled, passage, text, likeness)
        key = (settled.prompt.lower(), settled.completion.lower())
        if not reason and key in seen:
            reason = "says the same as another row"
        if not reason:
            seen.add(key)
        proved.append(settled.model_copy(update={"refused": reason}))
    return _best(proved, near)


def _settled(edit: SelfEdit, passage: Passage, likeness: np.ndarray) -> SelfEdit:
    """A question goes to the sentence it is nearest to, if that is clear: it asks about that one, whatever it meant."""
    if edit.style not in _COUNTED_AS or not _is_question(edit.prompt, passage.title):
        return edit
    first, second = _two_best(likeness)
    nearest = passage.sentences[int(likeness.argmax())]
    if edit.style in ("questions", "blanks") and edit.fact in passage.sentences:
        own = float(likeness[passage.sentences.index(edit.fact)])
        if own >= max(_ITS_OWN, first - _BEHIND):
            return edit
    if first < _ABOUT or first - second < _CLEARLY:
        return edit.model_copy(update={"refused": "is about no sentence in particular"})
    return edit.model_copy(update={"fact": nearest, "completion": nearest})


def _best(edits: Sequence[SelfEdit], near: np.ndarray) -> list[SelfEdit]:
    """
    Of the questions about one sentence only the nearest few are kept, and fewer still of those that name its names:
    "Who is Ada Finch?" is nearer any sentence about her than what she is asked for, and teaches only the way back.
    """
    out, taken = list(edits), dict[tuple[str, str], int]()
    for index in sorted(range(len(edits)), key=lambda i: -float(near[i].max(initial=0))):
        edit = edits[index]
        if edit.style not in _COUNTED_AS or edit.refused:
            continue
        kinds = [_COUNTED_AS[edit.style]] + (["revealing"] if _reveals(edit) else [])
        for kind in kinds:
            taken[kind, edit.fact] = taken.get((kind, edit.fact), 0) + 1
        if any(taken[kind, edit.fact] > _PER_SENTENCE[kind] * len(sentences_of(edit.fact)) for kind in kinds):
            out[index] = edit.model_copy(update={"refused": "other questions serve its sentence better"})
            for kind in kinds:
                taken[kind, edit.fact] -= 1
    return out


def _reveals(edit: SelfEdit) -> bool:
    asked, title = edit.prompt.lower(), edit.title.lower()
    return any(name.lower() in asked and name.lower() not in title for name in names(edit.fact))


def _two_best(likeness: np.ndarray) -> tuple[float, float]:
    ordered = sorted((float(value) for value in likeness), reverse=True)
    return ordered[0], ordered[1] if len(ordered) > 1 else 0.0


def _reason(edit: SelfEdit, passage: Passage, text: str, likeness: np.ndarray) -> str:
    if edit.fact not in passage.sentences:
        return "its sentence does not stand in the document"
    if not edit.completion.strip():
        return "has no answer"
    if edit.style in _COUNTED_AS and (misfit := _misfit(edit.prompt, edit.fact, edit.title)):
        return misfit
    if edit.origin != "written":
        return (
            "" if edit.completion in text or edit.completion == edit.fact else "its answer is not cut from the source"
        )
    if edit.prompt:
        return _question(edit, passage, text, likeness)
    return _rewording(edit, passage, text, likeness)


def _question(edit: SelfEdit, passage: Passage, text: str, likeness: np.ndarray) -> str:
    question = edit.prompt
    if "_" in question or not _is_question(question, passage.title):
        return "not in the form of a question"
    if strangers := _strangers(question, text):
        return f"names what the document does not: {strangers[0]}"
    if len(added := _added(question, text)) > _OWN_WORDS:
        return f"speaks of what the document does not: {', '.join(added[:3])}"
    own = float(likeness[passage.sentences.index(edit.fact)])
    if own < float(likeness.max()) - _BEHIND:
        return "is nearer another sentence than its own"
    return "" if edit.completion in text else "its answer is not cut from the source"


def _is_question(text: str, title: str) -> bool:
    asked = text.removeprefix(f"About {title}: ")
    return asked.endswith("?") and _OPENERS.match(asked) is not None and 3 <= len(asked.split()) <= 30


def _rewording(edit: SelfEdit, passage: Passage, text: str, likeness: np.ndarray) -> str:
    if strangers := _strangers(edit.completion, text):
        return f"names what the document does not: {strangers[0]}"
    kept = edit.completion.lower()
    if edit.style == "rewrite":
        lost = [s for s in (*names(edit.fact), *numbers(edit.fact)) if s.lower() not in kept]
        if lost:
            return f"lost {lost[0]!r} of its sentence"
    if _PRONOUN.search(edit.completion):
        return "does not name its subject in full"
    own = passage.sentences.index(edit.fact)
    if int(likeness.argmax()) != own or float(likeness[own]) < _CLOSE:
        return "drifted from its sentence"
    return ""


def _added(question: str, source: str) -> list[str]:
    """Content words of *question* that stand in *source* in no form; words that only ask for a kind do not count."""
    known = {word.lower() for word in content_words(source)}
    return [
        word for word in lowered(question) if word not in _KINDS and not any(same_word(word, other) for other in known)
    ]


def same_word(a: str, b: str) -> bool:
    """Forms of one word, roughly: "tree" and "trees", "keeps" and "keeper"."""
    short = min(len(a), len(b), _STEM)
    return a == b or (short >= 3 and a[:short] == b[:short])


def _strangers(text: str, source: str) -> list[str]:
    """Names and numbers of *text* that do not stand in *source*."""
    words = {word.lower() for word in re.findall(r"[\w'’-]+", source)}
    parts = [part for span in (*names(text), *numbers(text)) for part in content_words(span) or [span]]
    return [part for part in parts if part.lower() not in words and part.lower().removesuffix("'s") not in words]


def _nearness(texts: Sequence[str], passage: Passage, embed: Embed) -> np.ndarray:
    """
    Cosine of each text to each fact of *passage*, [texts, facts]: to the whole, or to the nearest of the sentences joined in it.

    The subject is "it" in all of them: else every question is nearest the sentence that says the subject's name.
    """
    if not (texts and passage.sentences):
        return np.zeros((len(texts), len(passage.sentences)))
    told = [pieces(said) for said in passage.sentences]
    sentences = embed([bare(piece, passage.title) for of in told for piece in of])
    near = np.asarray(embed([bare(text, passage.title) for text in texts]) @ sentences.T)
    return np.maximum.reduceat(near, np.cumsum([0, *map(len, told[:-1])]), axis=1)


def bare(text: str, title: str) -> str:
    """*text* with every mention of its subject, whole or in part, as "it"."""
    words = "|".join(re.escape(word) for word in content_words(title))
    return (
        re.sub(rf"\b(?:the )?(?:{words})(?: (?:of )?(?:the )?(?:{words}))*\b", "it", text, flags=re.I)
        if words
        else text
    )


_ANYTHING = frozenset("people persons members things different times of are".split())


def _misfit(question: str, fact: str, title: str) -> str:
    """Why *fact* cannot be what *question* asks for, by the kind of thing asked; "" if it may be."""
    said = bare(fact, title)
    counted = re.search(r"\bhow many (\w+)", question.lower())
    words = {*_ANYTHING, *(word.lower() for word in content_words(said))}
    if counted and not any(same_word(counted[1], word) for word in words):
        return f"counts {counted[1]}, and its sentence has none"
    if re.search(r"\bhow old\b", question, re.I) and not re.search(r"\b(old|aged?|born|years?)\b|\d{4}", said, re.I):
        return "asks for an age, and its sentence has none"
    kind = asked_for(question, title)
    return f"asks for a {kind}, and its sentence has none" if kind and not holds(kind, said) else ""


def spelled(text: str, source: str) -> str:
    """*text* with names that only nearly stand in *source* spelled as there: small models misspell new names."""
    text = re.sub(r" (?='s\b)", "", text)
    known = list(dict.fromkeys(part for name in names(source) for part in name.split()))
    for stranger in dict.fromkeys(_strangers(text, source)):
        close = difflib.get_close_matches(stranger.removesuffix("'s"), known, n=1, cutoff=0.7)
        if close and stranger[0].isupper():
            text = text.replace(stranger.removesuffix("'s"), close[0])
    return text


def names_subject(question: str, title: str) -> bool:
    """Does *question* name its subject (of a long title at least half), so that it can be answered with no document?"""
    said, words = _words(question), _words(" ".join(content_words(title)))
    if not words:  # "It", "The Who": as it stands, or not at all
        return re.search(rf"(?<!\w){re.escape(title)}(?!\w)", question) is not None
    named = sum(word in said for word in words)
    return named == len(words) if len(words) <= 3 else 2 * named >= len(words)


def _words(text: str) -> list[str]:
    return [word.lower().removesuffix("'s").removesuffix("’s") for word in re.findall(r"\w[\w'’-]*", text)]
