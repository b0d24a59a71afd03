"""
SealRetriever: the remembered sentences nearest a query, for showing them to any model.

Promises: nothing but what the journal lets be remembered (no forgotten, superseded or held document); each
result carries the mark by which SealMiddleware knows it again, for what is recalled must never be learned a
second time.
Does not promise: facts that still wait for a consolidation; they are not remembered yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr

from seal_agent.agent import SealAgent
from seal_agent.records import Memory
from seal_agent.remembering.index import Index

RECALLED = "seal_recalled"
"""Metadata (or additional_kwargs of a message) with this key set marks text that comes out of memory."""


class SealRetriever(BaseRetriever):
    """Remembered sentences by nearness: SealRetriever(agent=agent, k=4).invoke("Who keeps the light?")."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    agent: SealAgent = Field(exclude=True, repr=False)
    k: int = Field(default=4, ge=1)

    _built: tuple[tuple[str, ...], Index] | None = PrivateAttr(default=None)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None, **kwargs: Any
    ) -> list[Document]:
        ids, vectors = self.agent.journal.memory_vectors(self.agent.rooms.embedder.fingerprint)
        if not ids:
            return []
        nearest = self._index(tuple(ids), vectors).near(self.agent.rooms.embedder.embed([query]), k or self.k)
        told = {memory.id: memory for memory in self.agent.journal.memories("learned")}
        # Someone may have forgotten a document since the vectors were read: then its sentences are not told.
        return [_document(told[name], likeness) for name, likeness in nearest[0] if name in told]

    def _index(self, ids: tuple[str, ...], vectors: Sequence[bytes]) -> Index:
        """The index over *vectors*, built anew only when the memories are others."""
        if self._built is None or self._built[0] != ids:
            matrix = np.frombuffer(b"".join(vectors), dtype=np.float32).reshape(len(ids), -1)
            self._built = (ids, Index(ids, matrix))
        return self._built[1]


def _document(memory: Memory, likeness: float) -> Document:
    about = {"source": memory.document, "title": memory.title, "score": likeness, RECALLED: True}
    return Document(id=memory.id, page_content=memory.completion, metadata=about)
