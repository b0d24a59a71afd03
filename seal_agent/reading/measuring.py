"""
The numbers a decider decides on, measured with the live version and the memories.

Promises: the small model is never asked its opinion; surprise, nearness and closed-book answers are measured. Where
nothing near is remembered no question is asked, since nothing can be known.
Does not promise: that a number means the same on another base; thresholds live with the decider.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from seal_agent.parts import Learner, Signals
from seal_agent.reading.contradicting import contradiction
from seal_agent.reading.deciding import fact_bearing
from seal_agent.reading.sentences import beginning, sentences
from seal_agent.reading.words import DATES
from seal_agent.records import Document, Memory

Near = Callable[[np.ndarray, int], list[list[tuple[str, float]]]]
"""Query vectors and k to (memory id, cosine), nearest first."""
Ask = Callable[[Memory], Sequence[tuple[str, str]]]
"""A remembered sentence to (gold span, question) pairs about it."""

# What the numbers in Signals are. The sample is at most eight of the document's sentences that state something checkable.
#   sentences  how many the document has
#   facts      those of them that are fact_bearing()
#   surprise   median over the sample of the mean loss per token under the live version, nats
#   reference  the same loss for a text that says nothing in particular
#   near       highest cosine of one of the sample to a remembered sentence, 0 if there is none
#   covered    share of the sample that is no news and whose nearest remembered sentence has a cosine of REMEMBERED or more;
#              what only waits covers nothing: the weights do not hold it, and it may yet be refused
#   news       how many of the document's that state something have a name or a number, not as their first word, that stands
#              in no remembered and in no waiting sentence
#   known      share of the questions about remembered sentences so near that are answered rightly closed-book; -1 if there
#              are none, if nothing is covered, or if the base is live
REMEMBERED = 0.62  # cosine from which a remembered sentence may be about the same fact; tuned on decide_tuning.json
# A number, whatever unit is glued to it, or a word.
_WORD = re.compile(r"\d(?:[\d.,]*\d)?|[^\W\d_]\w*(?:-[^\W\d_]\w*)*")
_SHORT_DATES = "jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu(?:rs?)?|fri|sat|sun"
_ISSUE = re.compile(
    rf"\d(?:[\d.,:/-]*\d)?(?:(?:st|nd|rd|th)\b)?|\b(?:{DATES})\b|\b(?:{_SHORT_DATES})\b\.?", re.IGNORECASE
)
_NEAR_BY = 0.5  # cosine from which a remembered document is compared for contradictions
_ASKED = 2  # questions about one remembered sentence
_SENTENCES = 8  # of a long document, spread evenly, are shown to the model, so that the cost of deciding is bounded
_WORDS = 120  # of each: what has no full stops may be a table of a thousand rows
_READ = 1000  # are compared word by word with what is known, which is cheap


def measure(
    document: Document,
    learner: Learner,
    adapter: Path | None,
    *,
    embed: Callable[[Sequence[str]], np.ndarray],
    near: Near,
    remembered: Mapping[str, Memory],
    waiting: Sequence[tuple[str, str, str]],
    ask: Ask,
    right: Callable[[str, str], bool],
    reference: float,
    released: bool,
) -> Signals:
    """
    Signals of *document*. *remembered* holds the remembered sentences by id, *waiting* (document, title, sentence) of what
    was read and is not learned yet, *ask* has questions about a memory, *right* grades, *reference* is the loss per token of
    ordinary text. A *released* document is not contradicted.
    """
    said = sentences(document.text)
    telling = [s for s in said if fact_bearing(s)]
    sample, read = _spread(telling, _SENTENCES), _spread(telling, _READ)
    shown = [beginning(s, _WORDS) for s in sample]
    vectors = embed([f"{document.title}. {s}" if document.title else s for s in shown])
    found = near(vectors, 3)
    best = [hits[0][1] if hits else 0.0 for hits in found]
    clash, why = "", ""
    if not released:
        # all that the near documents say: a sentence that differs counts by what stands beside it
        near_by = {remembered[name].document for hits in found for name, likeness in hits if likeness >= _NEAR_BY}
        others = [
            (told.document, told.title, told.completion) for told in remembered.values() if told.document in near_by
        ]
        same = [(key, s) for key, title, s in (*others, *waiting) if not _another_issue(document.title, title)]
        clash, why = contradiction("\n\n".join(read), same)
    heard = _heard([*(told.completion for told in remembered.values()), *(said for *_, said in waiting)])
    news = [s for s in read if any(name not in heard for name in _specifics(s))]
    covered = [s for s, likeness in zip(sample, best, strict=True) if likeness >= REMEMBERED and s not in news]
    nearest = max((hits[0] for hits in found if hits), key=lambda hit: hit[1], default=("", 0.0))
    numbers = {
        "sentences": float(len(said)),
        "facts": float(len(telling)),
        "surprise": _surprise(learner, adapter, shown),
        "reference": reference,
        "near": max(best, default=0.0),
        "covered": len(covered) / len(sample) if sample else 0.0,
        "news": float(len(news)),
        "known": _known(
            learner, adapter, covered=covered, found=found, best=best, remembered=remembered, ask=ask, right=right
        ),
    }
    return Signals(
        numbers=numbers,
        contradiction=f"{why} (document {clash})" if clash else "",
        nearest=remembered[nearest[0]].document if nearest[0] else "",
    )


def _another_issue(title: str, other: str) -> bool:
    """Do the titles differ in numbers, months and days alone? The minutes of 4 and of 11 May may well say different things."""
    return title != other and _ISSUE.sub("#", title) == _ISSUE.sub("#", other)


def _surprise(learner: Learner, adapter: Path | None, sample: Sequence[str]) -> float:
    """Median over sentences of the loss per token, in nats."""
    if not sample:
        return 0.0
    return median(
        -total / max(1, tokens) for total, tokens in learner.score([("", s) for s in sample], adapter, raw=True)
    )


def _known(
    learner: Learner,
    adapter: Path | None,
    *,
    covered: Sequence[str],
    found: Sequence[list[tuple[str, float]]],
    best: Sequence[float],
    remembered: Mapping[str, Memory],
    ask: Ask,
    right: Callable[[str, str], bool],
) -> float:
    """Share of the questions about remembered sentences near by that *adapter* answers closed-book; -1 if none is asked."""
    if not covered or adapter is None:
        return -1.0
    # The facts asked about are those remembered, under the title they were learned under: do the weights still hold them?
    facts = dict.fromkeys(hits[0][0] for hits, likeness in zip(found, best, strict=True) if likeness >= REMEMBERED)
    asked = [pair for name in facts for pair in list(ask(remembered[name]))[:_ASKED]]
    if not asked:
        return -1.0
    answers = learner.answer([question for _, question in asked], adapter)
    return sum(right(gold, answer) for (gold, _), answer in zip(asked, answers, strict=True)) / len(asked)


def _specifics(sentence: str) -> list[str]:
    """Numbers and mid-sentence names, lower case: one that was never remembered makes a sentence news."""
    words = [match[0] for match in _WORD.finditer(sentence) if match.start()]
    named = [word if word[0].isdigit() else _name(word) for word in words]
    return [said.lower() for said in named if said[:1].isdigit() or len(said) > 1]


def _name(word: str) -> str:
    """*word* from its first part with a capital on ("Roman" of "pre-Roman"); nothing of a common one."""
    parts = word.split("-")
    return "-".join(parts[next((n for n, part in enumerate(parts) if part[:1].isupper()), len(parts)) :])


def _heard(texts: Iterable[str]) -> set[str]:
    """Words and numbers, lower case, each whole: who has heard of 1871 has not heard of 7."""
    return {
        word
        for text in texts
        # a name after a hyphen ("pre-Roman") counts by itself, too: no sentence is news to itself
        for word in (*_WORD.findall(text.lower()), *_specifics(f" {text}"))
    }


def _spread(items: Sequence[str], count: int) -> list[str]:
    step = max(1.0, len(items) / count)
    return [items[int(i * step)] for i in range(min(count, len(items)))]
