"""
Which messages of a conversation are text from outside, and so may be learned.

Promises: nothing the model said itself: no AIMessage, no summary, to-do list or structured answer that LangChain turns
into another kind of message in its own words, no tool result that mostly repeats what the model wrote; nothing marked as
recalled; no errors; of a name that says several things, what it says in the end.
Does not promise: to know the model's words in another conversation, or to see through a tool that asks another model. Mark its
results with RECALLED, or leave "tool" out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from langchain_core.documents import Document as Page
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from seal_agent.reading import sources
from seal_agent.reading.sentences import sentences
from seal_agent.reading.sources import Found, Refusal
from seal_agent.records import Document, normalised
from seal_agent_langchain.rendering import plain
from seal_agent_langchain.retriever import RECALLED

KINDS = ("tool", "human")
_STRUCTURED = (
    "Returning structured response:",
    "Error: Failed to parse",
    "Error: Model incorrectly returned",
    "Updated todo list to ",
)
_OWN_WORDS = 5  # shorter strings (a name, a query) may stand in any text
_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u9fff]{2}|\w+")  # a word of a script without spaces has about two letters
_NUMBER = re.compile(r"^[\W\d_]+")  # before a line: "[1] ", "12\t"
_ECHO = 0.5  # share of a text in the model's own words from which the text counts as the model's


def documents(
    messages: Sequence[BaseMessage],
    kinds: Collection[str],
    limit_bytes: int,
    known: Callable[[Document], bool] = lambda document: False,
    since: int = 0,
    wrote: Sequence[str] = (),
) -> Found:
    """
    What is in *messages* of *kinds* ("tool", "human"), from number *since* on, and comes from outside; what cannot be read is a
    Refusal. What is *known* is left out: a run is handed its whole history.
    """
    said = list(wrote)  # by the model, in messages that are gone
    heard = 0  # messages whose own words are known: looked for when a text is new, for most of a history is not
    told = [
        (number, found)
        for number, message in enumerate(messages[since:], since)
        if message.type.removesuffix("MessageChunk").lower() in kinds and not _ours(message)
        for found in _read(message, limit_bytes)
    ]
    last = {_name(found): found.id for _, found in told if isinstance(found, Document)}
    for number, found in told:
        if isinstance(found, Document):
            if last[_name(found)] != found.id or known(found):  # of a name only what it says in the end
                continue
            said += own(messages[heard:number])
            heard = number
            if _echoes(found.text, said):
                continue
        yield found


def _name(document: Document) -> tuple[str, str]:
    return document.source, document.external_id or document.id


def remembered(document: Document, told: Collection[str]) -> bool:
    """Whether *document* holds nothing but sentences in *told*, numbered or not: it comes from memory, whoever carried it."""
    said = [normalised(line) for line in document.text.splitlines() if line.strip()]
    return bool(said) and all(
        any(form in told or all(s in told for s in sentences(form)) for form in (line, _NUMBER.sub("", line, 1)))
        for line in said
    )


def own(messages: Sequence[BaseMessage]) -> list[str]:
    """What the model wrote in *messages*, and its sentences: a tool may give them back in part, numbered or as JSON."""
    replies = [message for message in messages if isinstance(message, AIMessage)]
    wrote = [text for reply in replies for text in _strings([plain(reply), *reply.tool_calls])]
    told = (said for text in wrote for said in (text, json.dumps(text)[1:-1], *sentences(text), *text.splitlines()))
    return [said for said in told if _long(said)]


def _long(said: str) -> bool:
    return len(_WORD.findall(said)) >= _OWN_WORDS


def _read(message: BaseMessage, limit: int) -> Found:
    """What is in *message*; what breaks on the way is a Refusal, or one odd message would stop the reading of its thread."""
    who = f"{message.type} message {message.id or getattr(message, 'tool_call_id', '')}".rstrip()
    try:
        for found in list(_found(message, limit)):
            yield found.model_copy(update={"name": f"{found.name} of {who}"}) if isinstance(found, Refusal) else found
    except Exception as error:
        yield Refusal(name=who, reason=f"{type(error).__name__}: {error}")


def _found(message: BaseMessage, limit: int) -> Found:
    where = ":".join(filter(None, ("langchain", message.type, message.name)))
    artifact = getattr(message, "artifact", None)
    if isinstance(artifact, (list, tuple)):  # a checkpointer gives documents back as dictionaries
        artifact = [Page(**i) if isinstance(i, dict) and i.get("type") == "Document" else i for i in artifact]
    # A retriever tool brings its documents along, with titles and marks; its text is only their sum.
    if isinstance(artifact, (list, tuple)) and artifact and all(hasattr(item, "page_content") for item in artifact):
        given = [item for item in artifact if not (item.metadata or {}).get(RECALLED) and item.page_content.strip()]
        for page in sources.documents(*given, limit_bytes=limit):
            # without a source of its own it is the tool's: two tools may number their pages alike
            yield page if isinstance(page, Refusal) or page.source else page.model_copy(update={"source": where})
    elif any(map(str.isalnum, text := plain(message, named="").strip())):
        yield from sources.documents(Document(text=text, source=where), limit_bytes=limit)


def _ours(message: BaseMessage) -> bool:
    """Whether *message* is out of memory, or written by a model or by LangChain under another name."""
    extra = message.additional_kwargs
    if extra.get(RECALLED) or message.response_metadata.get(RECALLED) or extra.get("lc_source"):
        return True
    return isinstance(message, ToolMessage) and (message.status == "error" or plain(message).startswith(_STRUCTURED))


def _echoes(text: str, own: Sequence[str]) -> bool:
    left = text
    for said in sorted(set(own), key=len, reverse=True):
        left = left.replace(said, "")
    wrote = "\n".join(own)
    for line in left.splitlines():  # a piece of what it wrote: what a command printed, a line of a file
        if _long(piece := _NUMBER.sub("", line, 1).strip()) and piece in wrote:
            left = left.replace(piece, "")
    return len(text) - len(left) >= _ECHO * len(text)


def _strings(value: Any) -> Iterator[str]:
    """Every string in nested lists and dictionaries."""
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)
