"""
Which messages of a conversation are text from outside, and so may be learned.

Promises: nothing the model said itself: no AIMessage, no summary or structured answer that LangChain turns
into another kind of message, no tool result that mostly repeats what the model wrote; nothing marked as
recalled; no errors.
Does not promise: to see through a tool that asks another model. Mark its results with RECALLED, or leave
"tool" out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from seal_agent.reading import sources
from seal_agent.reading.sentences import sentences
from seal_agent.records import Document, normalised
from seal_agent_langchain.rendering import plain
from seal_agent_langchain.retriever import RECALLED

KINDS = ("tool", "human")
_STRUCTURED = (
    "Returning structured response:",
    "Error: Failed to parse",
    "Error: Model incorrectly returned",
)
_OWN_WORDS = 5  # shorter strings (a name, a query) may stand in any text
_ECHO = 0.5  # share of a text in the model's own words from which the text counts as the model's


def documents(messages: Sequence[BaseMessage], kinds: Collection[str]) -> Iterator[Document]:
    """The documents in *messages*: those of *kinds* ("tool", "human") that come from outside."""
    own: list[str] = []
    for message in messages:
        if isinstance(message, AIMessage):
            own += [text for text in _strings([plain(message), *message.tool_calls]) if len(text.split()) >= _OWN_WORDS]
        elif message.type.removesuffix("MessageChunk").lower() in kinds and not _ours(message):
            yield from (found for found in _read(message) if not _echoes(found.text, own))


def remembered(document: Document, told: Collection[str]) -> bool:
    """Whether *document* holds nothing but sentences in *told*: it comes from memory, whoever carried it."""
    said = [normalised(line) for line in document.text.splitlines() if line.strip()]
    return bool(said) and all(line in told or all(s in told for s in sentences(line)) for line in said)


def _read(message: BaseMessage) -> Iterator[Document]:
    where = ":".join(filter(None, ("langchain", message.type, message.name)))
    artifact = getattr(message, "artifact", None)
    # A retriever tool brings its documents along, with titles and marks; its text is only their sum.
    if isinstance(artifact, (list, tuple)) and artifact and all(hasattr(item, "page_content") for item in artifact):
        found = list(sources.documents(*(item for item in artifact if not item.metadata.get(RECALLED))))
    else:
        found = list(sources.documents(Document(text=plain(message), source=where)))
    yield from (item for item in found if isinstance(item, Document))


def _ours(message: BaseMessage) -> bool:
    """Whether *message* is out of memory, or written by a model or by LangChain under another name."""
    extra = message.additional_kwargs
    if extra.get(RECALLED) or message.response_metadata.get(RECALLED) or extra.get("lc_source"):
        return True
    return isinstance(message, ToolMessage) and (message.status == "error" or plain(message).startswith(_STRUCTURED))


def _echoes(text: str, own: Sequence[str]) -> bool:
    return sum(len(said) for said in set(own) if said in text) >= _ECHO * len(text)


def _strings(value: Any) -> Iterator[str]:
    """Every string in nested lists and dictionaries."""
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)
