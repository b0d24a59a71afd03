"""
What was meant: of several things a version recites about a subject, the one nearest to the question.

Promises: closed book: whatever is chosen among the version recites itself, from its weights, and nothing remembered is shown to
it or compared with; the same question gets the same answer. What begins with no known title is answered greedily.
Does not promise: that the right one is among them, or that a better one is not passed over.

A small model that learned ten sentences about one subject often begins the wrong one when it is asked in words it has not seen:
after ten documents its first answer was right to 51 of 90 questions, and one of the five likeliest to 75. An embedder knows
better which sentence a question asks for: with it 60 were right.

Sources: reciting before answering (arXiv 2210.01296); going on from the likeliest first tokens (2402.10200).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seal_agent.parts import Learner

_WORTH = 20.0  # nats that a cosine is worth: two sentences about one subject differ by a tenth or two

Way = tuple[str, float]
"""An answer, and its log-likelihood."""


@dataclass(frozen=True)
class Recall:
    """A *learner* as it is served to people, who ask about *titles*; *embed* makes unit vectors [texts, width]."""

    learner: Learner
    titles: frozenset[str]
    embed: Callable[[Sequence[str]], np.ndarray]

    def answer(self, questions: Sequence[str], adapter: Path | None) -> list[str]:
        """Closed-book answers to *questions* by the version in *adapter* (None: the base)."""
        return self.reply([[{"role": "user", "content": question}] for question in questions], adapter)

    def reply(
        self, conversations: Sequence[Sequence[dict[str, str]]], adapter: Path | None, max_new_tokens: int = 64
    ) -> list[str]:
        """What comes next in each of *conversations*, whose last word the user has."""
        titles = self.titles if adapter else frozenset[str]()
        recited = self.learner.recite(conversations, adapter, titles, max_new_tokens)
        compared = [
            self._compared(of[-1]["content"], ways) if len(ways) > 1 else []
            for of, ways in zip(conversations, recited, strict=True)
        ]
        said = list(dict.fromkeys(text for texts in compared for text in texts))
        vectors = dict(zip(said, self.embed(said), strict=True))
        return [
            _nearest(ways, [vectors[text] for text in texts]) for ways, texts in zip(recited, compared, strict=True)
        ]

    def going_on(
        self, messages: Sequence[dict[str, str]], adapter: Path, pieces: Iterator[str], max_new_tokens: int
    ) -> Iterator[str]:
        """The greedy reply *pieces* to *messages*, until it has named a known title: then what was meant."""
        said = ""
        for piece in pieces:
            said += piece
            begun = said.strip()
            if begun.endswith(":") and begun[:-1] in self.titles:
                (text,) = self.reply([messages], adapter, max_new_tokens)
                yield piece.rstrip()
                yield from re.findall(r"\s*\S+", text.removeprefix(begun))
                return
            yield piece

    def _compared(self, question: str, ways: Sequence[Way]) -> list[str]:
        """*question* and the answers of *ways* as they are compared: their subject is "it" in all of them."""
        title = max((title for title in self.titles if ways[0][0].startswith(f"{title}:")), key=len)
        name = re.compile(rf"\b(?:the )?{re.escape(title.removeprefix('The '))}\b", re.I)
        return [name.sub("it", text) for text in (question, *(text.removeprefix(f"{title}:") for text, _ in ways))]

    def score(self, pairs: Sequence[tuple[str, str]], adapter: Path | None) -> list[tuple[float, int]]:
        """See parts.Learner."""
        return self.learner.score(pairs, adapter)


def _nearest(ways: Sequence[Way], vectors: Sequence[np.ndarray]) -> str:
    """The best of *ways* by likelihood and by nearness to the question, whose vector comes first, if there are several."""
    if len(ways) < 2:
        return ways[0][0]
    question, *answers = vectors
    worth = [likely + _WORTH * float(question @ vector) for (_, likely), vector in zip(ways, answers, strict=True)]
    return ways[int(np.argmax(worth))][0]
