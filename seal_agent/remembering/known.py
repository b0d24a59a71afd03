"""
What is remembered, as one state of the journal has it: sentences, the questions each was learned with, the index over them.

Promises: all of it is of the same state, which it names.
Does not promise: to stay true. Who asks looks at the journal first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seal_agent.records import Memory
from seal_agent.remembering.index import Index


@dataclass(frozen=True)
class Known:
    """
    The index over remembered sentences, these by id, and the questions each was learned with by document and sentence; and what
    the journal said it remembers then.
    """

    stands: str
    index: Index
    told: dict[str, Memory]
    asked: dict[tuple[str, str], list[str]]


def known(stands: str, learned: Sequence[Memory], vectors: Mapping[str, bytes], before: Known | None) -> Known:
    """What is known where *learned* is remembered and *vectors* place it, by id; the index goes on from the one *before*."""
    # what has both: another process may have changed what there is between the two looks
    told = {memory.id: memory for memory in learned if memory.id in vectors}
    asked: dict[tuple[str, str], list[str]] = {}
    for memory in learned:
        if memory.prompt:
            asked.setdefault((memory.document, memory.completion), []).append(memory.prompt)
    # with nothing remembered there is no width to know, and none is needed
    joined = b"".join(vectors[name] for name in told)
    matrix = np.frombuffer(joined, dtype=np.float32).reshape(len(told), -1 if told else 0)
    index = before.index.then(list(told), matrix) if before else Index(list(told), matrix)
    return Known(stands, index, told, asked)


def placed(title: str, said: str) -> str:
    """What of a sentence is embedded: what it is about belongs to it."""
    return f"{title}. {said}"
