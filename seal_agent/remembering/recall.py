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
from unicodedata import normalize

import numpy as np

from seal_agent.parts import Learner
from seal_agent.records import pieces

_WORTH = 20.0  # nats that a cosine is worth: two sentences about one subject differ by a tenth or two

Way = tuple[str, float]
"""An answer, and its log-likelihood."""


@dataclass(frozen=True)
class Recall:
    """
    A *learner* as it is served to people, who ask about *titles*; *embed* makes unit vectors [texts, width].

    *scoped*: what names none of the titles is answered by the base.
    """

    learner: Learner
    titles: frozenset[str]
    embed: Callable[[Sequence[str]], np.ndarray]
    scoped: bool = True

    def answer(self, questions: Sequence[str], adapter: Path | None) -> list[str]:
        """Closed-book answers to *questions* by the version in *adapter* (None: the base)."""
        return [text for text, _ in self.answers(questions, adapter)]

    def answers(self, questions: Sequence[str], adapter: Path | None) -> list[tuple[str, Path | None]]:
        """The same, each with the adapter that gives it: *adapter*, or None where the base does."""
        said = self.recalled([[{"role": "user", "content": question}] for question in questions], adapter)
        other = None if self.scoped else adapter
        rest = iter(self.learner.answer([q for q, text in zip(questions, said, strict=True) if text is None], other))
        return [(next(rest), other) if text is None else (text, adapter) for text in said]

    def names(self, messages: Sequence[dict[str, str]], adapter: Path | None) -> bool:
        """Would the version in *adapter* begin its reply to a conversation with one of the titles?"""
        return bool(adapter and self.learner.recite([messages], adapter, self.titles, 1)[0])

    def recalled(
        self,
        conversations: Sequence[Sequence[dict[str, str]]],
        adapter: Path | None,
        max_new_tokens: int = 64,
        asked: str = "",
    ) -> list[str | None]:
        """
        What the version in *adapter* was taught and says next in each of *conversations*; None where it names no title.

        *asked*: the question, where the last turn says more than that.
        """
        if adapter is None:
            return [None] * len(conversations)
        recited = self.learner.recite(conversations, adapter, self.titles, max_new_tokens)
        compared = [
            self._compared(asked or _question(messages), ways) if len(ways) > 1 else []
            for messages, ways in zip(conversations, recited, strict=True)
        ]
        said = list(dict.fromkeys(piece for texts in compared for text in texts for piece in pieces(text)))
        vectors = dict(zip(said, self.embed(said), strict=True))
        return [
            _nearest(ways, [[vectors[piece] for piece in pieces(text)] for text in texts]) if ways else None
            for ways, texts in zip(recited, compared, strict=True)
        ]

    def _compared(self, question: str, ways: Sequence[Way]) -> list[str]:
        """The question and the answers of *ways* as they are compared: their subject is "it" in all of them."""
        said = [normalize("NFC", text) for text in (question, *(text for text, _ in ways))]
        titles = (normalize("NFC", title) for title in self.titles)
        title = max((title for title in titles if said[1].lstrip().startswith(f"{title}:")), key=len, default="")
        if not title:
            return said
        name = re.compile(rf"(?<!\w)(?:the )?{re.escape(title.removeprefix('The '))}(?!\w)", re.I)
        return [name.sub("it", text.lstrip().removeprefix(f"{title}:")) for text in said]

    def score(self, pairs: Sequence[tuple[str, str]], adapter: Path | None) -> list[tuple[float, int]]:
        """See parts.Learner."""
        return self.learner.score(pairs, adapter)


def _question(messages: Sequence[dict[str, str]]) -> str:
    return next((said["content"] for said in reversed(messages) if said["role"] == "user"), "")


def _nearest(ways: Sequence[Way], vectors: Sequence[Sequence[np.ndarray]]) -> str:
    """
    The best of *ways* by likelihood and by the nearness of the nearest of its pieces to the question, which comes first in
    *vectors*, if there are several.
    """
    if len(ways) < 2:
        return ways[0][0]
    (question, *_), *answers = vectors
    worth = [
        likely + _WORTH * max(float(question @ v) for v in of) for (_, likely), of in zip(ways, answers, strict=True)
    ]
    return ways[int(np.argmax(worth))][0]
