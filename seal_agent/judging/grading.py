"""
Is an answer right? A local grader, no model asked.

Promises: SQuAD normalisation with number words as digits, and with single letters that are names ("Hall A"); correct means
the gold answer stands in the answer as whole tokens; F1 as SQuAD defines it.
Does not promise: to see a right answer in quite other words (recall 0.73 against a GPT-4.1 judge, precision 0.96).

Source: SQuAD 1.1 evaluation (arXiv 1606.05250).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from seal_agent.reading.words import TENS, UNITS

_VALUES = {word: n for n, word in enumerate(UNITS)} | {word: 10 * n for n, word in enumerate(TENS, 2)}
_UNIT, _GAP = f"(?:{'|'.join(UNITS[1:10])})", r"[\s-]+"
_SMALL = rf"(?:(?:{'|'.join(TENS)})(?:{_GAP}{_UNIT})?|{'|'.join(UNITS)})\b"
_COUNT = rf"(?:{_SMALL}|(?<![.\d])\d+\b)"  # "2 hundred", too
_TAIL = rf"(?:{_GAP}(?:and{_GAP})?{_SMALL}(?!{_GAP}hundred))?"  # "one hundred and two", but not "… and two hundred"
_HUNDREDS = rf"(?:{_COUNT}{_GAP})?hundred\b{_TAIL}"
_THOUSANDS = rf"(?:(?:{_HUNDREDS}|{_COUNT}){_GAP})?thousand\b(?:{_GAP}(?:and{_GAP})?{_HUNDREDS}|{_TAIL})"
_NUMBER = re.compile(rf"\b(?:{_THOUSANDS}|{_HUNDREDS}|{_SMALL})")
_DECIMAL = re.compile(r"(?<![\d.:/])(\d+)\.(\d+)(?![\d.:/]*\d)")  # no date
_CLOCK = re.compile(r"(?<![\d.:/])(\d{1,2}):(\d\d)(?![\d.:/]*\d)")  # "10:30" is "10.30"
_ARTICLES = {"a", "an", "the"}
# A single letter that ends a text, or is a capital within one, is a name: "Hall A is open".
_ARTICLE = re.compile(r"\b(?:(?i:an|the)\b|a(?=\s+\w)|A(?=\s+[A-Z\d])|(?<!\w\s)A(?=\s+\w))")


def wording(question: str) -> str:
    """*question* as it is told from others: case, articles and punctuation make no other question."""
    return " ".join(word for word in re.findall(r"\w+", question.lower()) if word not in _ARTICLES)


def normalise(text: str) -> list[str]:
    """Lower-case tokens without punctuation and articles, number words as digits ("twenty-seven" → "27")."""
    text = _ARTICLE.sub(" ", unicodedata.normalize("NFKC", text)).lower()
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"(?<=\b[^\W\d_])\.\s?(?=[^\W\d_]\.)", "", text)  # "U.S." is "US"
    text = _CLOCK.sub(r"\1.\2", text)
    text = _DECIMAL.sub(
        r"\1point\2", re.sub(r"(?<=\d)\.0+\b(?!\.\d)", "", _NUMBER.sub(_in_digits, text))
    )  # 5 is not in 1.5
    return re.sub(r"[^\w\s]|_", " ", text).split()


def _in_digits(number: re.Match[str]) -> str:
    """What *number* comes to, in words or with a scale that is one."""
    whole = part = 0
    for word in re.findall(r"\w+", number[0]):
        if word == "thousand":
            whole, part = 1000 * (part or 1), 0
        elif word == "hundred":
            part = 100 * (part or 1)
        elif word != "and":
            part += _VALUES[word] if word in _VALUES else int(word)
    return str(whole + part)


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
    turned = zip(golds[1:] + golds[:1], answers, golds, strict=True)
    # where one gold stands in the other, a right answer says both
    apart = [correct(g, a) for g, a, own in turned if not (correct(own, g) or correct(g, own))]
    return sum(apart) / max(1, len(apart))
