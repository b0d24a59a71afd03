"""
SealRetriever: the remembered sentences nearest a query, for showing them to any model.

Promises: nothing but what the journal lets be remembered (no forgotten, superseded or held document); each
result carries the mark by which SealMiddleware knows it again, for what is recalled must never be learned a
second time.
Does not promise: facts that still wait for a consolidation; they are not remembered yet.
"""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field

from seal_agent.agent import SealAgent
from seal_agent.errors import ConfigError
from seal_agent.records import Memory

RECALLED = "seal_recalled"
"""Metadata (or additional_kwargs of a message) with this key set marks text that comes out of memory."""


class SealRetriever(BaseRetriever):
    """Remembered sentences by nearness: SealRetriever(agent=agent, k=4).invoke("Who keeps the light?")."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    agent: SealAgent = Field(exclude=True, repr=False)
    k: int = Field(default=4, ge=1)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None, **kwargs: Any
    ) -> list[Document]:
        if k is not None and k < 1:
            raise ConfigError(f"k={k}: how many sentences are wanted, 1 or more")
        found = self.agent.rooms.retrieve(query, self.agent.journal, k or self.k)
        return [_document(memory, likeness) for memory, likeness in found]


def _document(memory: Memory, likeness: float) -> Document:
    about = {"source": memory.document, "title": memory.title, "score": likeness, RECALLED: True}
    return Document(id=memory.id, page_content=memory.completion, metadata=about)
