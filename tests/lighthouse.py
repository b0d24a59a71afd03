"""What the tests of the LangChain plugin share: a logbook, models that are scripted, and what a middleware read."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conftest import LOGBOOK
from langchain_core.messages import AIMessage, ToolMessage

import seal_agent
from seal_agent.testing import FakeLearner, fake_agent
from seal_agent_langchain import SealMiddleware

QUESTION = "Who keeps the lighthouse of Anstrow?"
WROTE = LOGBOOK.replace(". ", ".\n")
WRAPPED = textwrap.fill(LOGBOOK, 75)
MARKED = "\n".join(f"- **Fact**: {said}" for said in WROTE.splitlines())
TODOS = [
    {"content": "Read the logbook of Anstrow", "status": "in_progress"},
    {"content": "Find who built it in 1843", "status": "pending"},
]
ESCAPED = 'Der Turm wurde "1843" von der Hafengilde erbaut. Wächterin ist Mirelle Oake, früher Köchin.'
KEEPER = "Anstrow: Mirelle Oake keeps the lighthouse of Anstrow."


class Scripted(FakeLearner):
    """Says the version it answers with, or *script*, letter by letter, and notes what it was shown."""

    def __init__(self, script: str = "") -> None:
        super().__init__()
        self.script = script
        self.shown: list[Any] = []
        self.how: dict[str, Any] = {}
        self.closed = 0

    def chat(self, messages: Any, adapter: Path | None, **how: Any) -> Iterator[str]:
        self.shown, self.how = list(messages), how
        try:
            yield from self.script or f"I am {adapter.name if adapter else 'the base'}"
        finally:
            self.closed += 1


class Stuck(FakeLearner):
    """Observes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def score(self, *args: Any, **how: Any) -> Any:
        assert self.go.wait(10)
        return super().score(*args, **how)


def scripted(home: Path, script: str = "") -> tuple[seal_agent.SealAgent, Scripted]:
    learner = Scripted(script)
    return fake_agent(home, learner), learner


def texts(agent: seal_agent.SealAgent) -> set[str]:
    """The texts of all documents in the home."""
    return {row[0] for row in agent.journal._db.read("SELECT text FROM documents")}


def observed(agent: seal_agent.SealAgent, messages: list[Any], **how: Any) -> set[str]:
    middleware = SealMiddleware(agent, **how)
    middleware.after_agent({"messages": messages}, None)  # type: ignore[arg-type]
    assert middleware.flush(10)
    return texts(agent)


def called(text: str, args: dict[str, Any] | None = None, **how: Any) -> list[Any]:
    call = {"name": "read", "args": args or {}, "id": "1"}
    return [AIMessage("", tool_calls=[call]), ToolMessage(text, name="read", tool_call_id="1", **how)]


def fresh_process(code: str) -> str:
    """What *code* prints in a process of its own, where the plugins are importable."""
    root = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "plugins")))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    return done.stdout.strip()
