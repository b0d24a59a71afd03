"""
Grids and what can be done to them without changing the rule.

Promises: a transform does the same to every grid; where it has an inverse, that undoes it exactly.
Does not promise: that a rule survives its transform. A rule about "up" does not survive a turn; that is why the edit chooses.

Source: the augmentations of SEAL's few-shot part (arXiv 2506.10943): geometric, size, chained, repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from seal_agent.adapting.tasks import Pair, digits

Grid = np.ndarray
"""Cells 0 to 9, [height, width]."""
_LARGEST = 30  # cells a side; what grows beyond is dropped


@dataclass(frozen=True)
class Transform:
    """One thing done to every grid of a task, and what undoes it, where something does (turns and flips)."""

    name: str
    do: Callable[[Grid], Grid]
    undo: Callable[[Grid], Grid] = lambda g: g


AS_IT_IS = Transform("as it is", lambda g: g)
GEOMETRIC = (
    Transform("turn 90", lambda g: np.rot90(g, 1), lambda g: np.rot90(g, 3)),
    Transform("turn 180", lambda g: np.rot90(g, 2), lambda g: np.rot90(g, 2)),
    Transform("turn 270", lambda g: np.rot90(g, 3), lambda g: np.rot90(g, 1)),
    Transform("flip sideways", np.fliplr, np.fliplr),
    Transform("flip upside down", np.flipud, np.flipud),
    Transform("transpose", np.transpose, np.transpose),
    Transform("other diagonal", lambda g: np.rot90(g.T, 2), lambda g: np.rot90(g.T, 2)),
)
SIZE = (
    Transform("both sides doubled", lambda g: _doubled(_doubled(g, 0), 1)),
    Transform("height doubled", lambda g: _doubled(g, 0)),
    Transform("width doubled", lambda g: _doubled(g, 1)),
)
CHAINED = tuple(
    Transform(f"{turn.name}, {SIZE[0].name}", lambda g, turn=turn: SIZE[0].do(turn.do(g)))  # type: ignore[misc]
    for turn in GEOMETRIC[::2]
)
REPEAT = (
    Transform("twice side by side", lambda g: np.tile(g, (1, 2))),
    Transform("twice one above the other", lambda g: np.tile(g, (2, 1))),
    Transform("four times", lambda g: np.tile(g, (2, 2))),
)
FAMILIES = {"geometric": GEOMETRIC, "size": SIZE, "chained": CHAINED, "repeat": REPEAT}


def read(text: str) -> Grid | None:
    """The grid written in *text*, a word a row; None if that is none."""
    lines = text.split()
    if not lines or not all(digits(line) and len(line) == len(lines[0]) for line in lines):
        return None
    return np.array([[int(cell) for cell in line] for line in lines])


def write(grid: Grid) -> str:
    """*grid* as text: a word a row, a digit a cell."""
    return " ".join("".join(str(cell) for cell in row) for row in grid)


def done(transform: Transform, pairs: Sequence[Pair]) -> list[Pair]:
    """*transform* done to all *pairs*; those that grow too large, or hold no grid, are left out."""
    out = []
    for pair in pairs:
        sides = [side for text in (pair.input, pair.output) if (side := read(text)) is not None]
        made = [transform.do(side) for side in sides]
        if len(made) == 2 and _longest(made) <= max(_LARGEST, _longest(sides)):
            out.append(Pair(*map(write, made)))
    return out


def changed(do: Callable[[Grid], Grid], text: str) -> str:
    """The grid written in *text* after *do*; text that is no grid as it is."""
    grid = read(text)
    return text if grid is None else write(do(grid))


def recoloured(pairs: Sequence[Pair], order: Random) -> list[Pair]:
    """The nine colours in another order, the same in all *pairs*; 0 is the ground and stays."""
    colours = [str(colour) for colour in range(1, 10)]
    table = str.maketrans(dict(zip(colours, order.sample(colours, 9), strict=True)))
    return [Pair(pair.input.translate(table), pair.output.translate(table)) for pair in pairs]


def _longest(sides: Sequence[Grid]) -> int:
    return int(max(size for side in sides for size in side.shape))


def _doubled(grid: Grid, axis: int) -> Grid:
    return np.repeat(grid, 2, axis=axis)
