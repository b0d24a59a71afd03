"""
What was meant: of several things a version recites about a subject, the one nearest to the question.

Promises: closed book: whatever is chosen among the version recites itself, from its weights, and nothing remembered is shown to
it or compared with; the same question gets the same answer. What names nothing that was learned is answered by the base,
if that is wanted: all that is learned is learned as an answer that begins with its title.
Does not promise: that the right one is among what is recited, or that a better one is not passed over; that what the model
learned beside its titles, a manner or a language, is heard of where the base answers.

A small model that learned ten sentences about one subject often begins the wrong one when it is asked in words it has not seen,
with the right one among its likeliest ways to go on; an embedder knows better which sentence a question asks for.

Sources: reciting before answering (arXiv 2210.01296); going on from the likeliest first tokens (2402.10200).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seal_agent.parts import Learner

_WORTH = 20.0  # nats that a cosine is worth: two sentences about one subject differ by a tenth or two

Way = tuple[str, float]
"""An answer, and its log-likelihood."""


@dataclass(frozen=True)
class Recall:
    """
    A *learner* as it is served to people, who ask about *titles*; *embed* makes unit vectors [texts, width].

    *scoped*: what names none of the titles is answered by the base. "" among them is something learned without a title, and
    then it is not.
    """

    learner: Learner
    titles: frozenset[str]
    embed: Callable[[Sequence[str]], np.ndarray]
    scoped: bool = True

    @property
    def routes(self) -> bool:
        """Is what names no title answered by the base?"""
        return self.scoped and "" not in self.titles

    def answer(self, questions: Sequence[str], adapter: Path | None) -> list[str]:
        """Closed-book answers to *questions* by the version in *adapter* (None: the base)."""
        return [text for text, _ in self.answers(questions, adapter)]

    def answers(self, questions: Sequence[str], adapter: Path | None) -> list[tuple[str, Path | None]]:
        """The same, each with the adapter that gives it: *adapter*, or None where the base does."""
        said = self.recalled([[{"role": "user", "content": question}] for question in questions], adapter)
        other = None if self.routes else adapter
        rest = iter(self.learner.answer([q for q, text in zip(questions, said, strict=True) if text is None], other))
        return [(next(rest), other) if text is None else (text, adapter) for text in said]

    def recalled(
        self, conversations: Sequence[Sequence[dict[str, str]]], adapter: Path | None, max_new_tokens: int = 64
    ) -> list[str | None]:
        """What the version in *adapter* was taught and says next in each of *conversations*; None where it names no title."""
        if adapter is None:
            return [None] * len(conversations)
        recited = self.learner.recite(conversations, adapter, self.titles - {""}, max_new_tokens)
        compared = [
            self._compared(messages, ways) if len(ways) > 1 else []
            for messages, ways in zip(conversations, recited, strict=True)
        ]
        said = list(dict.fromkeys(text for texts in compared for text in texts))
        vectors = dict(zip(said, self.embed(said), strict=True))
        return [
            _nearest(ways, [vectors[text] for text in texts]) if ways else None
            for ways, texts in zip(recited, compared, strict=True)
        ]

    def _compared(self, messages: Sequence[dict[str, str]], ways: Sequence[Way]) -> list[str]:
        """What was asked and the answers of *ways* as they are compared: their subject is "it" in all of them."""
        question = next(str(said["content"]) for said in reversed(messages) if said["role"] == "user")
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
