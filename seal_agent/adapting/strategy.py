"""
The edit of a few-shot task: which pairs to make of those given, and how to train on them.

Promises: what a model proposes is always a valid strategy, for it is asked field by field what the schema allows; what would
cost more than the cap is drawn again, and refused in the end.
Does not promise: that an untrained model proposes well. Its choices hardly depend on the task before the outer loop.

Source: SEAL's few-shot self-edits (arXiv 2506.10943): tools for augmentation and settings of the optimizer as one JSON object.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from seal_agent.adapting.grids import FAMILIES, done
from seal_agent.adapting.tasks import ORDERS, SHOWN, Pair, Task, asked
from seal_agent.parts import Learner

_DRAWS = 3  # of as many strategies as are wanted, until enough of them cost no more than the cap
_CAP = 40_000  # tokens trained, over all epochs: two minutes on two cores
LARGEST = 250  # rows of a task, as in SEAL
REWORDED = 48  # tokens at most of an input in other words
_TEXT = ("paraphrase", "reorder", "shorten", "substitute")
_RATES, _EPOCHS = (0.0002, 0.0005, 0.001, 0.002, 0.005), (1, 2, 4, 8)


class Strategy(BaseModel):
    """How to train on one task: augmentations (the first four for texts, the others for grids), loss, settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paraphrase: bool = Field(default=False, description="inputs in other words, written by the model")
    reorder: bool = Field(default=False, description="each pair asked about after others in three orders, not one")
    shorten: bool = Field(default=False, description="inputs with one word left out")
    substitute: bool = Field(default=False, description="a word both sides share gives way to another pair's")
    geometric: bool = Field(default=False, description="turned and flipped")
    size: bool = Field(default=False, description="doubled in height, width or both")
    chained: bool = Field(default=False, description="turned or flipped, then doubled")
    repeat: bool = Field(default=False, description="set side by side and one above the other")
    loss: Literal["output", "all"] = Field(
        default="output", description="tokens learned: of the output, or of all that is shown"
    )
    learning_rate: float = Field(default=0.002, ge=1e-5, le=1e-2)
    epochs: int = Field(default=8, ge=1, le=50)

    def refused(self, task: Task, count: Callable[[str], int]) -> str:
        """Why *task* is not trained so, or ""; *count* gives the tokens of a text."""
        if other := [name for name in (_TEXT if task.grids else FAMILIES) if getattr(self, name)]:
            return f"{', '.join(other)} is for {'texts' if task.grids else 'grids'}, which these pairs are not"
        cost = self.epochs * sum(tokens_at_most(self, task, count))
        return f"{cost} tokens over {self.epochs} epochs, at most {_CAP}" if cost > _CAP else ""

    def within(self, task: Task, count: Callable[[str], int]) -> Strategy | None:
        """The same with as many epochs as the cap allows for *task*, up to its own; None if it refuses one."""
        fewer = (epochs for epochs in reversed((*_EPOCHS, self.epochs)) if epochs <= self.epochs)
        tried = (self.model_copy(update={"epochs": epochs}) for epochs in fewer)
        return next((strategy for strategy in tried if not strategy.refused(task, count)), None)


def tokens_at_most(strategy: Strategy, task: Task, count: Callable[[str], int]) -> list[int]:
    """
    Tokens of each row that *strategy* makes of *task*, if no pair of texts refuses an augmentation. A text that was changed is
    counted as it was, in other words as long as these may become.
    """
    pairs = task.demonstrations
    if task.grids:  # what is doubled or repeated is longer; what grows too large is left out
        chosen = [transform for name, family in FAMILIES.items() if getattr(strategy, name) for transform in family]
        made = [pairs, *(done(transform, pairs) for transform in chosen)]
        rows = [tokens for of in made if len(of) > 1 for tokens in [_longest(of, count)] * len(of)]
    else:
        longest = _longest(pairs, count)
        times = (ORDERS if strategy.reorder else 1) + strategy.shorten + strategy.substitute
        rows = [longest] * (times * len(pairs)) + [longest + REWORDED] * (strategy.paraphrase * len(pairs))
    return sorted(rows)[-LARGEST:]


def _longest(pairs: Sequence[Pair], count: Callable[[str], int]) -> int:
    """Tokens of the longest row that leaves one of *pairs* out, in whatever order they are shown."""
    *shown, last = sorted(pairs, key=lambda pair: count(f"{pair.input} {pair.output}"))[-SHOWN - 1 :]
    return count(f"{asked(shown, last.input)} {last.output}\n")


def as_json(strategy: Strategy, grids: bool) -> str:
    """The fields that matter for such a task, as JSON."""
    return json.dumps({name: getattr(strategy, name) for name in _slots(grids)})


def question(task: Task) -> str:
    """What the model is asked: the task, and how to train on it."""
    pairs = "".join(f"Input: {pair.input}\nOutput: {pair.output}\n" for pair in task.demonstrations[:SHOWN])
    return f"A task:\n{pairs}\nThe best way to train on it, as JSON:\n"


def propose(learner: Learner, task: Task, writer: Path | None, count: int, seed: int) -> list[Strategy]:
    """*count* strategies for *task*, drawn from what the *writer* version finds likely; fewer if the cap refuses too many."""
    order = Random(seed)
    return _affordable(learner, task, count, lambda n: _drawn(learner, task, writer, n, order))


def _affordable(learner: Learner, task: Task, count: int, draw: Callable[[int], list[Strategy]]) -> list[Strategy]:
    found: list[Strategy] = []
    for _ in range(_DRAWS):
        found += [strategy for strategy in draw(count - len(found)) if not strategy.refused(task, learner.count)]
        if len(found) == count:
            break
    return found


def at_random(learner: Learner, task: Task, count: int, seed: int) -> list[Strategy]:
    """*count* strategies for *task*, all that the schema allows equally likely; fewer if the cap refuses too many."""
    order, slots = Random(seed), _slots(task.grids)

    def drawn() -> Strategy:
        return Strategy.model_validate({name: order.choice(values) for name, values in slots.items()})

    return _affordable(learner, task, count, lambda more: [drawn() for _ in range(more)])


def likeliest(learner: Learner, task: Task, writer: Path | None) -> Strategy | None:
    """
    What the *writer* version finds likeliest for *task*, field by field, with fewer epochs where the cap refuses so many; None if
    it refuses one.
    """
    (wanted,) = _drawn(learner, task, writer, 1, None)
    return wanted.within(task, learner.count)


def _drawn(learner: Learner, task: Task, writer: Path | None, count: int, order: Random | None) -> list[Strategy]:
    """
    *count* strategies, field by field, each value by its likelihood among those the schema allows; without *order* the
    likeliest.
    """
    slots, texts = _slots(task.grids), ["{"] * count
    before = question(task)
    for number, (name, values) in enumerate(slots.items()):
        end = "}" if number + 1 == len(slots) else ","
        starts = [f'{text}{" " if number else ""}"{name}":' for text in texts]
        options = [f" {json.dumps(value)}{end}" for value in values]
        scored = learner.score([(before + s, o) for s in dict.fromkeys(starts) for o in options], writer, raw=True)
        table = {
            start: [math.exp(logprob) for logprob, _ in scored[at * len(options) : (at + 1) * len(options)]]
            for at, start in enumerate(dict.fromkeys(starts))
        }
        texts = [start + _one(options, table[start], order) for start in starts]
    return [Strategy.model_validate_json(text) for text in texts]


def _one(options: Sequence[str], weights: Sequence[float], order: Random | None) -> str:
    """
    One of *options* drawn by *weights*, by equal ones where all are too small for a float; without *order* the heaviest.
    """
    if order is None:
        return options[max(range(len(options)), key=weights.__getitem__)]
    return order.choices(options, weights if sum(weights) > 0 else None)[0]


def _slots(grids: bool) -> dict[str, Sequence[bool | str | float | int]]:
    """The fields of a strategy for such a task, and the values a model may choose from."""
    return {
        **dict.fromkeys(FAMILIES if grids else _TEXT, (False, True)),
        "loss": ("output", "all"),
        "learning_rate": _RATES,
        "epochs": _EPOCHS,
    }
