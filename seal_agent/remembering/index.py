"""
The Chroma index over what is remembered: what stands near a text?

Promises: answers from the first call on (brute force over the vectors while Chroma is not built yet); never truth:
everything in it can be rebuilt from SQLite; vectors are always passed, so Chroma never fetches a model.
Does not promise: that an approximate neighbour list is complete; rehearsal draws rows by id, never by query.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

_EXACT_UP_TO = (
    2_000  # vectors; below this brute force takes under a millisecond and Chroma would only add a start-up second
)


class Index:
    """Ids and their unit vectors, shape [ids, dimensions]."""

    def __init__(self, ids: Sequence[str], vectors: np.ndarray, exact_up_to: int = _EXACT_UP_TO) -> None:
        self._ids = list(ids)
        self._vectors = np.asarray(vectors, dtype=np.float32)
        self._exact_up_to = exact_up_to
        self._collection: Any = None

    def __len__(self) -> int:
        return len(self._ids)

    def near(self, queries: np.ndarray, k: int = 1) -> list[list[tuple[str, float]]]:
        """For each query vector the *k* nearest (id, cosine), nearest first."""
        if not self._ids or not len(queries):
            return [[] for _ in queries]
        if len(self._ids) <= self._exact_up_to:
            return self._exactly(queries, k)
        found = self._chroma().query(
            query_embeddings=np.asarray(queries, dtype=np.float32), n_results=min(k, len(self))
        )
        return [
            [(name, 1.0 - distance) for name, distance in zip(ids, distances, strict=True)]
            for ids, distances in zip(found["ids"], found["distances"], strict=True)
        ]

    def _exactly(self, queries: np.ndarray, k: int) -> list[list[tuple[str, float]]]:
        likeness = np.asarray(queries, dtype=np.float32) @ self._vectors.T
        best = np.argsort(-likeness, axis=1, kind="stable")[:, :k]
        return [[(self._ids[j], float(row[j])) for j in order] for row, order in zip(likeness, best, strict=True)]

    def _chroma(self) -> Any:
        if self._collection is None:
            import chromadb
            from chromadb.config import Settings

            client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
            # Ephemeral clients of one process share their data, so each index has a name of its own.
            collection = client.create_collection(
                f"memories-{uuid.uuid4().hex}",
                configuration={"hnsw": {"space": "cosine", "ef_search": 200}},
                embedding_function=None,
            )
            size = client.get_max_batch_size()
            for at in range(0, len(self._ids), size):
                collection.add(ids=self._ids[at : at + size], embeddings=self._vectors[at : at + size])
            self._collection = collection
        return self._collection
