"""
What can be swapped: each part does one job, and where a function will do, it is a function.

Parts are found by name through entry-point groups `seal_agent.styles`, `.writers`, `.deciders`, `.screens`,
`.checks` and `.learners`; the built-in ones come through the same door.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from seal_agent.errors import ConfigError
from seal_agent.records import Check, Decision, Document, SelfEdit

OLD_TURNS = 2
"""Epochs in which a learner takes every old row up once."""

ENOUGH = 5
"""Reserved questions below which no exact test can reach 5 %: with fewer, a candidate is not worth its training."""

Say = Callable[[str, float], None]
"""Progress: the name of the stage and the share done, 0 to 1."""


def silent(*told: object) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Example:
    """
    One training row for a learner. prompt "" is plain text under *title*; anchor rows keep the base's distribution.

    Old rows take turns: each epoch rehearses half of those given. Of a *whole* row the prompt is learned too; a *raw* prompt
    is text that goes on, not a question. *origin*: where a new row comes from; all others are rehearsal.
    """

    prompt: str
    completion: str
    title: str = ""
    anchor: bool = False
    old: bool = False
    whole: bool = False
    raw: bool = False
    origin: str = "rehearsal"


@dataclass(frozen=True)
class Trial:
    """One adapter trained beside others on rows of one small task: epochs, peak learning rate, rows a step; *out* is empty."""

    examples: Sequence[Example]
    out: Path
    seed: int
    epochs: int
    learning_rate: float
    rows_per_step: int


class Learner(Protocol):
    """One frozen base and its adapters (folders; None is the untouched base). Log-likelihoods are nats, summed."""

    name: str
    fingerprint: str

    def answer(
        self,
        questions: Sequence[str],
        adapter: Path | None,
        contexts: Sequence[str] = (),
        max_new_tokens: int = 64,
    ) -> list[str]:
        """Greedy answers, closed-book unless *contexts* are given: room for a title and a long sentence."""
        ...

    def recite(
        self,
        conversations: Sequence[Sequence[dict[str, str]]],
        adapter: Path | None,
        titles: Collection[str],
        max_new_tokens: int = 64,
    ) -> list[list[tuple[str, float]]]:
        """
        Replies to each conversation of {"role", "content"} whose greedy reply begins with one of *titles* and a colon, or that
        asks about one which is likely enough to begin it: the likeliest first, then other ways to go on after the colon, each
        with its log-likelihood (nats) from there. Of any other, none.
        """
        ...

    def complete(
        self,
        prompts: Sequence[str],
        adapter: Path | None,
        *,
        max_new_tokens: int = 32,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> list[str]:
        """Raw continuations of *prompts* (no chat template)."""
        ...

    def chat(
        self,
        messages: Sequence[dict[str, str]],
        adapter: Path | None,
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """A reply to a conversation of {"role", "content"}, piece by piece."""
        ...

    def score(
        self, pairs: Sequence[tuple[str, str]], adapter: Path | None, *, raw: bool = False
    ) -> list[tuple[float, int]]:
        """(log-likelihood, tokens) of each completion after its prompt; *raw* prompts are text, not questions."""
        ...

    def train(
        self,
        examples: Sequence[Example],
        parent: Path | None,
        out: Path,
        seed: int,
        say: Say = silent,
    ) -> dict[str, Any]:
        """Train a new adapter from *parent*, write it into the empty folder *out*, return its log ("finite", "loss" …)."""
        ...

    def train_many(self, trials: Sequence[Trial], parent: Path | None, say: Say = silent) -> list[dict[str, Any]]:
        """Train the adapter of each of *trials* from *parent*, side by side, each as it would be alone; a log for each."""
        ...

    def count(self, text: str) -> int:
        """Tokens in *text*."""
        ...


@dataclass(frozen=True)
class Passage:
    """What a style works on: one document's title and sentences."""

    document: str
    title: str
    sentences: tuple[str, ...]


class Writer(Protocol):
    """Writes text when asked: the live model, another local model, or a LangChain chat model."""

    def write(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        stop: Sequence[str],
    ) -> list[str]:
        """A raw continuation of each prompt."""
        ...

    def rank(self, texts: Sequence[str]) -> list[float]:
        """How much each text reads like English to the learner: log-likelihood per token, in nats."""
        ...


Style = Callable[[Passage, "Writer", int], Iterable[SelfEdit]]
"""(passage, writer, seed) -> proposed rows; the editing room proves them."""

Screen = Callable[[Document], str]
"""A reason to hold the document, or ""."""


@dataclass(frozen=True)
class Signals:
    """The numbers a decider decides on. Each is explained where it is measured, in reading/measuring.py."""

    numbers: dict[str, float]
    contradiction: str = ""
    nearest: str = ""


Decider = Callable[[Document, Signals], Decision]

CheckMaker = Callable[[], Iterable[Check]]
"""Extra held-out questions for the gate, kind "user"."""


def find(kind: str, name: str) -> Any:
    """The part of *kind* (say "styles") installed under *name*, whoever installed it. ConfigError lists what there is."""
    for entry in entry_points(group=f"seal_agent.{kind}", name=name):
        return _loaded(entry)
    known = ", ".join(sorted(entry.name for entry in entry_points(group=f"seal_agent.{kind}"))) or "none"
    raise ConfigError(f"no {kind.rstrip('s')} called {name!r}; installed: {known}")


def installed(kind: str) -> dict[str, Any]:
    """All parts of *kind* by name, in the order of their names."""
    entries = entry_points(group=f"seal_agent.{kind}")
    return {entry.name: _loaded(entry) for entry in sorted(entries, key=lambda entry: entry.name)}


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:
        owner = entry.dist.name if entry.dist else "an unknown package"
        raise ConfigError(
            f"{entry.group} {entry.name!r} of {owner} cannot be imported from {entry.value}: {type(error).__name__}: {error};"
            f" mend or uninstall {owner}"
        ) from error
