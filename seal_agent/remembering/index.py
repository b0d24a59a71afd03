"""
The Chroma index over what is remembered: what stands near a text?

Promises: answers from the first call on (brute force over the vectors up to 50,000 of them); never truth: everything in
it can be rebuilt from SQLite; vectors are always passed, so Chroma never fetches a model; an index that grows adds to
its collection, and a collection nobody needs any more is deleted.
Does not promise: that an approximate neighbour list is complete; rehearsal draws rows by id, never by query.
"""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Sequence

import numpy as np

_EXACT_UP_TO = (
    50_000  # vectors: by brute force a query takes 10 ms, and Chroma takes half a minute once to answer as fast
)


class Index:
    """Ids and their unit vectors, shape [ids, dimensions]."""

    def __init__(self, ids: Sequence[str], vectors: np.ndarray, exact_up_to: int = _EXACT_UP_TO) -> None:
        self._ids = list(ids)
        self._vectors = np.asarray(vectors, dtype=np.float32)
        self._exact_up_to = exact_up_to
        self._known = frozenset(self._ids)
        self._collection: _Collection | None = None

    def then(self, ids: Sequence[str], vectors: np.ndarray) -> Index:
        """An index of *ids*, which takes this one's collection over where they begin with its ids."""
        after = Index(ids, vectors, self._exact_up_to)
        if self._collection and list(ids[: len(self)]) == self._ids:
            after._collection = self._collection
            after._collection.add(after._ids[len(self) :], after._vectors[len(self) :])
        return after

    def __len__(self) -> int:
        return len(self._ids)

    def near(self, queries: np.ndarray, k: int = 1) -> list[list[tuple[str, float]]]:
        """For each query vector the *k* nearest (id, cosine), nearest first."""
        if not self._ids or not len(queries):
            return [[] for _ in queries]
        if len(self._ids) <= self._exact_up_to:
            return self._exactly(queries, k)
        if self._collection is None:
            self._collection = _Collection()
            self._collection.add(self._ids, self._vectors)
        found = self._collection.chroma.query(
            query_embeddings=np.asarray(queries, dtype=np.float32), n_results=min(k, len(self))
        )
        # an index that grew out of this one may have added to the collection meanwhile
        return [
            [(name, 1.0 - distance) for name, distance in zip(ids, distances, strict=True) if name in self._known]
            for ids, distances in zip(found["ids"], found["distances"] or [], strict=True)
        ]

    def _exactly(self, queries: np.ndarray, k: int) -> list[list[tuple[str, float]]]:
        likeness = np.asarray(queries, dtype=np.float32) @ self._vectors.T
        best = np.argsort(-likeness, axis=1, kind="stable")[:, :k]
        return [[(self._ids[j], float(row[j])) for j in order] for row, order in zip(likeness, best, strict=True)]


class _Collection:
    """A Chroma collection that is deleted with the last index that uses it."""

    def __init__(self) -> None:
        import chromadb
        from chromadb.config import Settings

        self._client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
        name = f"memories-{uuid.uuid4().hex}"  # ephemeral clients of one process share their data
        self.chroma = self._client.create_collection(
            name, configuration={"hnsw": {"space": "cosine", "ef_search": 200}}, embedding_function=None
        )
        weakref.finalize(self, self._client.delete_collection, name).atexit = False

    def add(self, ids: list[str], vectors: np.ndarray) -> None:
        """Add vectors, in batches as large as Chroma takes."""
        size = self._client.get_max_batch_size()
        for at in range(0, len(ids), size):
            self.chroma.add(ids=ids[at : at + size], embeddings=vectors[at : at + size])
