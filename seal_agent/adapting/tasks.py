"""
A few-shot task: a handful of pairs that follow one rule, and how the model is shown them.

Promises: the rows of a task are made of its demonstrations alone; the same seed gives the same rows; a row never shows the
pair it asks about, nor the one that was changed into it.
Does not promise: that the rule can be learned from so few pairs.

Source: test-time training on leave-one-out tasks (arXiv 2411.07279), as SEAL's few-shot part uses it (2506.10943).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from seal_agent.errors import ConfigError

ORDERS = 3  # of the demonstrations, for rows and for votes
SHOWN = 6  # demonstrations before a question: of tasks shown only, three in place of six left 48 % solved, not 64


@dataclass(frozen=True)
class Pair:
    """An input of a task and the output that belongs to it."""

    input: str
    output: str


@dataclass(frozen=True)
class Changed:
    """A pair that was made of a demonstration, its source."""

    pair: Pair
    source: Pair


@dataclass(frozen=True)
class Task:
    """Demonstrations of one rule. *grids*: both sides are grids, a row of which is a word of digits."""

    demonstrations: tuple[Pair, ...]
    grids: bool = False

    def __post_init__(self) -> None:
        problems = [f"pair {n}: empty {side}" for n, p in enumerate(self.demonstrations, 1) for side in _empty(p)]
        problems += [
            f"pair {n}: output of several lines; an answer is one"
            for n, p in enumerate(self.demonstrations, 1)
            if "\n" in p.output.strip()
        ]
        if len(self.demonstrations) < 2:
            problems.append(f"{len(self.demonstrations)} demonstrations; a rule shows in two or more")
        if problems:
            raise ConfigError(f"no few-shot task: {'; '.join(problems)}")


@dataclass(frozen=True)
class Prompted:
    """What the model is shown, and what it should say."""

    prompt: str
    output: str


def asked(shown: Sequence[Pair], query: str) -> str:
    """
    Text that *shown* pairs begin and the output of *query* goes on: put as a question, what a chat model makes of it is talk
    about the pairs, and one task in a hundred is solved.
    """
    told = "".join(f"Input: {pair.input}\nOutput: {pair.output}\n\n" for pair in shown)
    return f"{told}Input: {query}\nOutput:"


def task_of(pairs: Iterable[Pair | tuple[str, str]]) -> Task:
    """The task that *pairs* of input and output demonstrate; of grids, if all of both sides are. ConfigError if it is none."""
    given = list(pairs)
    odd = [f"pair {n}: {pair!r} is no pair of texts" for n, pair in enumerate(given, 1) if not _is_pair(pair)]
    if odd:
        raise ConfigError(f"no few-shot task: {'; '.join(odd)}; give (input, output) pairs")
    shown = tuple(pair if isinstance(pair, Pair) else Pair(*pair) for pair in given)
    sides = [side.split() for pair in shown for side in (pair.input, pair.output)]
    grids = all(len(rows) > 1 and all(digits(row) and len(row) == len(rows[0]) for row in rows) for rows in sides)
    return Task(shown, grids)


def digits(row: str) -> bool:
    """Whether *row* is a row of a grid; Python takes "²" for a digit too."""
    return row.isascii() and row.isdigit()


def left_out(pairs: Sequence[Pair], order: Random | None = None) -> list[Prompted]:
    """Each of *pairs* asked about after some of the rest, as they stand, or in an *order* drawn anew."""
    return [_after(pairs, pair, {pair.input}, order) for pair in pairs]


def sources_left_out(changed: Sequence[Changed], pairs: Sequence[Pair], order: Random) -> list[Prompted]:
    """
    Each *changed* pair asked about after some of *pairs*, in an *order* drawn anew, without its source: that has the same output
    and nearly the same input, and to copy it is no rule.
    """
    return [_after(pairs, one.pair, {one.pair.input, one.source.input}, order) for one in changed]


def _after(pairs: Sequence[Pair], pair: Pair, hidden: Collection[str], order: Random | None) -> Prompted:
    rest = [other for other in pairs if other.input not in hidden]
    shown = order.sample(rest, min(SHOWN, len(rest))) if order else rest[:SHOWN]
    return Prompted(asked(shown, pair.input), pair.output)


def _is_pair(given: object) -> bool:
    sides = (given.input, given.output) if isinstance(given, Pair) else given
    return isinstance(sides, (tuple, list)) and len(sides) == 2 and all(isinstance(side, str) for side in sides)


def _empty(pair: Pair) -> list[str]:
    return [side for side, text in (("input", pair.input), ("output", pair.output)) if not text.strip()]
