"""
seal_agent: a language model that teaches itself from what it reads.

Promises: the names below; importing this package loads nothing heavy (no torch, chromadb, langchain or
numpy), since each name is looked up when it is first used (PEP 562).
Does not promise: that modules not named here keep their shape.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seal_agent.agent import SealAgent, open
    from seal_agent.errors import ConfigError, HomeBusy, PartError, SealError
    from seal_agent.records import (
        Answer,
        Consolidation,
        Decision,
        Document,
        GateReport,
        Receipt,
        SelfEdit,
        Version,
    )
    from seal_agent.settings import Settings

__version__ = "0.1.0"

_WHERE = {
    "open": "agent",
    "SealAgent": "agent",
    "Settings": "settings",
    **dict.fromkeys(("SealError", "ConfigError", "HomeBusy", "PartError"), "errors"),
    **dict.fromkeys(("Document", "Decision", "SelfEdit", "Receipt", "Answer"), "records"),
    **dict.fromkeys(("Consolidation", "GateReport", "Version"), "records"),
}

__all__ = [
    "Answer",
    "ConfigError",
    "Consolidation",
    "Decision",
    "Document",
    "GateReport",
    "HomeBusy",
    "PartError",
    "Receipt",
    "SealAgent",
    "SealError",
    "SelfEdit",
    "Settings",
    "Version",
    "__version__",
    "open",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = found  # the next look-up is an ordinary one
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
