"""
Training on a few-shot task, and asking about it: a temporary adapter on the untouched base.

Promises: as many strategies as there is room for are tried in the same forward passes, each the adapter it would be alone;
nothing a home knows or serves is touched; an answer is the one most often given, over orders of the demonstrations or turns of
the grid.
Does not promise: better answers than the demonstrations alone give. Measure it on pairs of your own.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

from seal_agent.adapting import grids, texts
from seal_agent.adapting.strategy import LARGEST, REWORDED, Strategy, tokens_at_most
from seal_agent.adapting.tasks import ORDERS, SHOWN, Changed, Prompted, Task, asked, left_out, sources_left_out
from seal_agent.errors import ConfigError, SealError, legible
from seal_agent.parts import Example, Learner, Say, Trial, silent

_AT_ONCE = 4  # rows a step, fewer where they are long
_PASS = 6000  # tokens of a forward pass, which keeps some 0.6 MB of each: of six strategies on large grids 22 GB, without this
_REWORD = "Say the same in other words.\nSentence: {}\nThe same in other words:"


@dataclass(frozen=True)
class Adapted:
    """A learner adapted to one task. A context manager: the adapter is gone when it ends."""

    learner: Learner
    task: Task
    strategy: Strategy
    adapter: Path
    training: dict[str, Any]

    def ask(self, *inputs: str) -> list[str]:
        """The output for each input. SealError if one is no text, or once it is closed."""
        legible(inputs)
        if not self.adapter.is_dir():
            raise SealError("this adaptation is closed, and its adapter gone; adapt anew")
        return [ranked[0] for ranked in vote(self.learner, self.task, inputs, self.adapter)]

    def close(self) -> None:
        """Remove the adapter."""
        shutil.rmtree(self.adapter, ignore_errors=True)

    def __enter__(self) -> Adapted:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def adapt(
    learner: Learner,
    task: Task,
    strategies: Sequence[Strategy],
    seed: int = 0,
    say: Say = silent,
) -> list[Adapted]:
    """
    *learner* trained on *task* in each of these ways, side by side; what is not `finite` in its log cannot be asked.
    ConfigError if one costs more than is allowed.
    """
    if refused := [why for strategy in strategies if (why := strategy.refused(task, learner.count))]:
        raise ConfigError(f"this task cannot be trained so: {'; '.join(refused)}")
    folders = [Path(tempfile.mkdtemp(prefix="seal-adapted-")) for _ in strategies]
    try:
        longest = [tokens_at_most(strategy, task, learner.count)[-1] for strategy in strategies]
        steps = [max(1, min(_AT_ONCE, _PASS // tokens)) for tokens in longest]
        trials = [
            Trial(rows(task, strategy, seed, learner), folder, seed, strategy.epochs, strategy.learning_rate, step)
            for strategy, folder, step in zip(strategies, folders, steps, strict=True)
        ]
        sizes = [step * tokens for step, tokens in zip(steps, longest, strict=True)]
        logs = [log for few in _passes(trials, sizes) for log in learner.train_many(few, None, say)]
    except BaseException:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return [Adapted(learner, task, *made) for made in zip(strategies, folders, logs, strict=True)]


def _passes(trials: Sequence[Trial], sizes: Sequence[int]) -> list[list[Trial]]:
    """*trials* in their order, as many side by side as one pass has room for; each has as many tokens in it as *sizes* says."""
    out: list[list[Trial]] = []
    room = 0
    for trial, size in zip(trials, sizes, strict=True):
        if size > room:
            out.append([])
            room = _PASS
        out[-1].append(trial)
        room -= size
    return out


def rows(task: Task, strategy: Strategy, seed: int, learner: Learner) -> list[Example]:
    """What *strategy* makes of the demonstrations: leave-one-out questions about them and about what they were made into."""
    order = Random(seed)
    made = _of_grids(task, strategy, order) if task.grids else _of_texts(task, strategy, order, learner)
    chosen = order.sample(made, min(len(made), LARGEST))
    return [Example(one.prompt, f" {one.output}\n", whole=strategy.loss == "all", raw=True) for one in chosen]


def _of_texts(task: Task, strategy: Strategy, order: Random, learner: Learner) -> list[Prompted]:
    pairs = task.demonstrations
    changed: list[Changed] = []
    if strategy.paraphrase:
        changed += texts.paraphrased(pairs[:LARGEST], lambda inputs: _reworded(learner, inputs))
    if strategy.shorten:
        changed += texts.shortened(pairs, order)
    if strategy.substitute:
        changed += texts.substituted(pairs, order)
    plain = [row for _ in range(ORDERS) for row in left_out(pairs, order)] if strategy.reorder else left_out(pairs)
    return [*plain, *sources_left_out(changed, pairs, order)]


def _of_grids(task: Task, strategy: Strategy, order: Random) -> list[Prompted]:
    out = left_out(task.demonstrations)
    for name, family in grids.FAMILIES.items():
        for transform in family if getattr(strategy, name) else ():
            pairs = grids.recoloured(grids.done(transform, task.demonstrations), order)
            out += left_out(pairs, order) if len(pairs) > 1 else []
    return out


def vote(learner: Learner, task: Task, inputs: Sequence[str], adapter: Path | None) -> list[list[str]]:
    """
    For each of *inputs* the outputs given to it, that most often given first, ties as they came: asked after the
    demonstrations in three orders, or, of a grid, as it stands and turned, each answer turned back; what is no grid comes last.
    """
    views = _turned(task, inputs) if task.grids else _ordered(task, inputs)
    room = 8 + max(learner.count(pair.output) for pair in task.demonstrations) * (4 if task.grids else 2)
    prompts = [prompt for view in views for prompt, _ in view]
    said = learner.complete(prompts, adapter, max_new_tokens=room, stop=("\n",))
    flat = iter(said)
    votes: list[Counter[str]] = [Counter() for _ in inputs]
    for view in views:
        for number, (_, back) in enumerate(view):
            votes[number][back(next(flat).strip())] += 1
    return [_ranked(task, of) for of in votes]


def _ranked(task: Task, votes: Counter[str]) -> list[str]:
    """What was given, most often first; in a task of grids all grids come before what is none, however often that was given."""
    return sorted(votes, key=lambda text: (not task.grids or grids.read(text) is not None, votes[text]), reverse=True)


_View = list[tuple[str, Callable[[str], str]]]
"""For each input a question, and what turns the answer into an output."""


def _ordered(task: Task, inputs: Sequence[str]) -> list[_View]:
    order = Random(0)
    views: list[_View] = []
    for number in range(ORDERS):
        pairs = task.demonstrations if number == 0 else order.sample(task.demonstrations, len(task.demonstrations))
        views.append([(asked(pairs[:SHOWN], query), str) for query in inputs])
    return views


def _turned(task: Task, inputs: Sequence[str]) -> list[_View]:
    return [_seen(task, inputs, turn) for turn in (grids.AS_IT_IS, *grids.GEOMETRIC)]


def _seen(task: Task, inputs: Sequence[str], turn: grids.Transform) -> _View:
    pairs = grids.done(turn, task.demonstrations)
    return [
        (asked(pairs[:SHOWN], grids.changed(turn.do, query)), lambda text: grids.changed(turn.undo, text))
        for query in inputs
    ]


def _reworded(learner: Learner, inputs: Sequence[str]) -> list[str]:
    prompts = [_REWORD.format(text) for text in inputs]
    return learner.complete(prompts, None, max_new_tokens=REWORDED, temperature=0.7, seed=len(inputs), stop=("\n",))
