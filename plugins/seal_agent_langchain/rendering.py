"""
LangChain messages as the plain turns a small model's chat template understands.

Promises: every turn has a role of system, user or assistant and text content; tool calls and their results
are written out as text; neighbours of one role are joined, since many templates insist on turns.
Does not promise: that a picture or a file is seen. It is named in brackets, so that its absence shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

_ROLES = {"system": "system", "developer": "system", "ai": "assistant", "assistant": "assistant"}


def turns(messages: Sequence[BaseMessage]) -> list[dict[str, str]]:
    """*messages* as {"role", "content"} turns."""
    out: list[dict[str, str]] = []
    for role, content in (turn for message in messages for turn in _spoken(message)):
        if out and out[-1]["role"] == role:
            out[-1]["content"] += f"\n\n{content}"
        else:
            out.append({"role": role, "content": content})
    return out


def _spoken(message: BaseMessage) -> Iterator[tuple[str, str]]:
    """(role, content) of *message*: one turn, or two if the model spoke and called."""
    text = plain(message)
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    if isinstance(message, ToolMessage):
        text = f"Result of {message.name or 'the tool'}: {text}"
    if text or not calls:
        # A ChatMessage carries its role beside its type; whoever is neither system nor model is an outsider.
        said_by = getattr(message, "role", message.type).removesuffix("MessageChunk").lower()
        yield _ROLES.get(said_by, "user"), text
    for call in calls:
        # Not in the model's own turn: a small model takes that for the way it speaks, and goes on so.
        yield "user", f"Called {call['name']} {json.dumps(call['args'], ensure_ascii=False, default=str)}."


def plain(message: BaseMessage, named: str = "[{}]") -> str:
    """The text of *message*, whatever shape its content has; *named*: how its pictures and files are told of."""
    if isinstance(message.content, str):
        return message.content
    parts = [part if isinstance(part, str) else _block(part, named) for part in message.content]
    return "\n".join(part for part in parts if part)


def _block(block: dict[str, object], named: str) -> str:
    kind = str(block.get("type", "block"))
    if isinstance(text := block.get("text"), str):
        return text
    # Calls stand in AIMessage.tool_calls already, and thoughts are not for the template.
    return "" if kind in ("tool_use", "tool_call", "function_call", "thinking", "reasoning") else named.format(kind)
