"""A passage, a writer that says what it is told to, and rows about the passage: what tests of writing share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seal_agent.editing import proving
from seal_agent.parts import Passage
from seal_agent.records import SelfEdit

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
