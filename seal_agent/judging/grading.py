"""
Is an answer right? A local grader, no model asked.

Promises: SQuAD normalisation with number words as digits; correct means the gold answer stands in the answer as whole
tokens; F1 as SQuAD defines it.
Does not promise: to see a right answer in quite other words (recall 0.70 against a GPT-4.1 judge, precision 0.96).

Source: SQuAD 1.1 evaluation (arXiv 1606.05250).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_NUMBERS = {word: n for n, word in enumerate(_UNITS)} | {word: 20 + 10 * n for n, word in enumerate(_TENS)}
_ARTICLES = {"a", "an", "the"}


def wording(question: str) -> str:
    """*question* as it is told from others: case, articles and punctuation make no other question."""
    return " ".join(word for word in re.findall(r"\w+", question.lower()) if word not in _ARTICLES)


def normalise(text: str) -> list[str]:
    """Lower-case tokens without punctuation and articles, number words as digits ("twenty-seven" → "27")."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r"(?<=\d)[,](?=\d{3}\b)", "", text)
    words = [word for word in re.sub(r"[^\w\s]|_", " ", text).split() if word not in _ARTICLES]
    return _digits(words)


def _digits(words: list[str]) -> list[str]:
    out: list[str] = []
    for word in words:
        value = _NUMBERS.get(word)
        if value is not None and 0 < value < 10 and out and out[-1] in _ROUND:
            out[-1] = str(int(out[-1]) + value)
        elif word == "hundred" and out and out[-1].isdigit():
            out[-1] = str(int(out[-1]) * 100)
        elif word == "thousand" and out and out[-1].isdigit():
            out[-1] = str(int(out[-1]) * 1000)
        else:
            out.append(word if value is None else str(value))
    return out


_ROUND = {str(20 + 10 * n) for n in range(8)}


def correct(gold: str, answer: str) -> bool:
    """Does *gold* stand in *answer* as whole tokens? An empty gold is never right."""
    wanted, given = normalise(gold), normalise(answer)
    size = len(wanted)
    return size > 0 and any(given[at : at + size] == wanted for at in range(len(given) - size + 1))


def f1(gold: str, answer: str) -> float:
    """Token F1 of *answer* against *gold*, 0 to 1."""
    wanted, given = Counter(normalise(gold)), Counter(normalise(answer))
    same = sum((wanted & given).values())
    return 0.0 if same == 0 else 2 * same / (wanted.total() + given.total())


def shuffled_accuracy(golds: list[str], answers: list[str]) -> float:
    """Accuracy against the gold of the next question: what mere reciting would score."""
    if len(golds) < 2:
        return 0.0
    turned = golds[1:] + golds[:1]
    return sum(correct(g, a) and not correct(o, g) for g, a, o in zip(turned, answers, golds, strict=True)) / len(golds)
