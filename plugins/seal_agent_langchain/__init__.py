"""
seal_agent in LangChain: a chat model that learns, a middleware that feeds it, a retriever over what it
remembers.

Promises: importing this package imports neither torch nor langchain; a name is loaded when it is first used.
Does not promise: a provider string for init_chat_model. LangChain has no door for that; import the class.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seal_agent_langchain.chat_model import ChatSeal
    from seal_agent_langchain.middleware import SealMiddleware
    from seal_agent_langchain.retriever import RECALLED, SealRetriever
    from seal_agent_langchain.writer import ChatWriter, chat_writer

_HOMES = {
    "ChatSeal": "chat_model",
    "SealMiddleware": "middleware",
    "SealRetriever": "retriever",
    "RECALLED": "retriever",
    "ChatWriter": "writer",
    "chat_writer": "writer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("langchain", "langchain_core"):
            raise
        raise ImportError(f"{name} needs LangChain: pip install 'langchain>=1.4,<2'") from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(_HOMES)


__all__ = ["RECALLED", "ChatSeal", "ChatWriter", "SealMiddleware", "SealRetriever", "chat_writer"]
