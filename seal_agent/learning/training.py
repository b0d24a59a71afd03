"""
The training loop: new rows and rehearsed rows by cross-entropy, general rows by staying close to the base; one
adapter, or several candidates at once over the same frozen base.

Promises: logits only where there are labels; no padding in the layers; the base's weights get no gradient; blocks under
the lowest adapter are computed once per row; a candidate trained beside others is the one it would be alone; a
loss that is not finite ends its candidate and is reported as such; the order of rows comes from the seed.
Does not promise: bit-equal results across machines or numbers of threads, or from run to run on a GPU.

Sources: rehearsal and self-distillation against forgetting, arXiv 1606.09282 (Learning without Forgetting) and
2601.19897 (SDFT); rates and targets for LoRA from "LoRA Without Regret" (2025); candidates over one base as in mLoRA
(2312.02515).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from seal_agent.learning.flat import Trainable
from seal_agent.learning.frozen import Frozen
from seal_agent.learning.losses import Targets, certain, divergence, joined, likely
from seal_agent.learning.models import Base
from seal_agent.learning.packing import Pack, Row, pack
from seal_agent.parts import OLD_TURNS, silent

Leave = Callable[[dict[int, int]], Collection[int]]
"""Asked when epochs end: lessons by number and their epochs done; answers which of them train no further."""

_TOP = 48  # base probabilities kept per position; the rest is one bucket
# In the last quarter of the epochs, where the rate is low, each step has this many times the anchors, at this many times the
# weight: general answers come back to where they were before the run (0.15 to 0.11 nats from the base, on prompts never
# rehearsed), and no fact is lost.
_RECOVERY = 4
_LOOK = 8  # steps between two looks at the losses: each look makes a GPU wait


@dataclass(frozen=True)
class Anchor:
    """A row whose distribution must stay the base's: its likeliest tokens at each label."""

    row: Row
    targets: Targets


@dataclass(frozen=True)
class Recipe:
    """
    How to train. learning_rate is the peak, from which it *falls* along a cosine to a tenth, or stays; in a lesson of more than
    *long* steps (0: never) it is lower by the root of how many times as long it is. kl weighs the anchors beside a step's rows; a
    step's loss is the mean over its rows, so that a long one counts no more than a short one, or over all labels, *by_token*.

    Every fourth anchor is not trained: where the median of these loses more than *drift* nats per token against the base, the
    adapter keeps less of what it changes, until it does not (arXiv 2109.01903, interpolation of weights).
    Where there are anchors, the strongest directions of what layers are fed on them, the share *clear* of the model's width, are
    kept out of what is learned: the adapter reads nothing of them (nullspace.py).
    A lesson of few rows gets more epochs, up to least_steps steps. The last quarter of the epochs has more anchors; a lesson
    whose loss is below stop_loss before that goes straight to it, or ends if it has no anchors.
    """

    epochs: int = 4
    least_steps: int = 90
    learning_rate: float = 2e-3
    kl: float = 2.0
    rows_per_step: int = 8
    anchors_per_step: int = 3
    stop_loss: float = 0.02
    falls: bool = True
    by_token: bool = False
    drift: float = 0.09
    clear: float = 0.35
    long: int = 160

    def peak(self, steps: int) -> float:
        """The highest learning rate of a lesson of *steps*."""
        # At the full rate a lesson of 1,100 steps moves general answers by 0.04 nats a token, at two fifths of it by 0.01, and
        # as much is learned.
        return self.learning_rate * math.sqrt(min(1.0, self.long / steps) if self.long else 1.0)


@dataclass(frozen=True)
class Lesson:
    """What one candidate is trained on: its adapter's name and weights, new rows, old rows, anchors."""

    name: str
    weights: Trainable
    rows: Sequence[Row]
    anchors: Sequence[Anchor] = ()
    old: Sequence[Row] = ()
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0


@dataclass(frozen=True)
class TrainingLog:
    """What training did: steps, tokens with gradients, the last epoch's loss per label, whether it stayed finite."""

    steps: int
    tokens: int
    loss: float
    kl: float
    finite: bool
    epochs: float
    anchors_drawn: int


def anchors(base: Base, model: Any, rows: Sequence[Row], packs: Sequence[Sequence[int]]) -> list[Anchor]:
    """Anchor *rows* to the distribution *model* has now (the untouched base), computed in *packs* of their indices."""
    made: dict[int, Anchor] = {}
    with torch.inference_mode():
        for indices in packs:
            laid = pack(base, [rows[i] for i in indices])
            whole = likely(laid.logits(model), _TOP)
            at = 0
            for index, count in zip(indices, laid.counts, strict=True):
                of = slice(at, at + count)
                made[index] = Anchor(
                    rows[index],
                    Targets(whole.tokens[of].clone(), whole.probabilities[of].clone(), whole.rest[of].clone()),
                )
                at += count
    return [made[i] for i in range(len(rows))]


def train(
    base: Base,
    model: Any,
    lessons: Sequence[Lesson],
    *,
    packed: bool = True,
    frozen: Frozen | None = None,
    turn: Callable[[], AbstractContextManager[Any]] = nullcontext,
    leave: Leave = lambda epochs: (),
    progress: Callable[[float], None] = silent,
) -> list[TrainingLog]:
    """
    Train each lesson's adapter, all of them in the same forward passes. *turn* is entered anew for each step; without
    *packed* each row is computed alone (for architectures that ignore packing). Lessons that *leave* names stop there;
    *progress* gets the share of the steps that are done.

    Raises ValueError if a lesson has no row: nothing trained must never look like success.
    """
    if any(not lesson.rows for lesson in lessons):
        raise ValueError("no row to train on")
    runs = [_Run(lesson) for lesson in lessons]
    everything = [row for run in runs for step in run.plan for row in step.rows]
    frozen = frozen if frozen and frozen.fits(everything) else None
    longest = max(len(run.plan) for run in runs)
    with frozen.of(everything, turn) if frozen else nullcontext():
        for step in range(longest):
            for run in runs:
                run.look(step)
            alive = [run for run in runs if run.goes_on(step)]
            if not alive:
                break
            with turn():
                _forward_and_back(base, model, [(run, run.plan[step]) for run in alive], packed, frozen)
                for run in alive:
                    run.update(step)
                ended = {
                    n: (step + 1) // run.per_epoch for n, run in enumerate(runs) if run in alive and run.ends(step)
                }
                for number in leave(ended) if ended else ():
                    runs[number].leave()
            progress((step + 1) / longest)
    return [run.log() for run in runs]


@dataclass(frozen=True)
class _Step:
    """Step number *at* of what was planned: rows to learn, then anchors and what these weigh; is it on the way back?"""

    at: int
    learn: tuple[Row, ...]
    beside: tuple[Anchor, ...]
    kl: float
    recovers: bool

    @property
    def rows(self) -> tuple[Row, ...]:
        return (*self.learn, *(anchor.row for anchor in self.beside))

    def targets(self, where: torch.device) -> list[Targets]:
        """What each row's labels should be, in the order of the rows."""
        rows = [certain(torch.tensor(row.targets, device=where), _TOP) for row in self.learn]
        return [*rows, *(anchor.targets for anchor in self.beside)]


class _Run:
    """One lesson under way: its plan, its optimizer, what it lost so far."""

    def __init__(self, lesson: Lesson) -> None:
        self.lesson, self.recipe = lesson, lesson.recipe
        self.per_epoch, self.plan = _planned(lesson)
        self.tokens = self.drawn = 0
        self._steps = len(self.plan)
        self._optimizer = torch.optim.AdamW(
            lesson.weights.parameters, lr=self.recipe.peak(len(self.plan)), weight_decay=0.0, fused=True
        )
        self._losses: list[torch.Tensor] = []
        self._drifts: list[torch.Tensor] = []
        self._norms: list[torch.Tensor] = []
        self._finite = True

    def look(self, step: int) -> None:
        """Before step number *step*: is it learned already, where an epoch ended? Now and then: are the losses finite?"""
        if step and step % self.per_epoch == 0 and _mean(self._losses[-self.per_epoch :]) < self.recipe.stop_loss:
            # what is left is the way back to the base, without which a small lesson drifts as far as a large one
            self.plan = [*self.plan[:step], *(one for one in self.plan[step:] if one.recovers and one.beside)]
        if step % _LOOK == 0:
            self._check()

    def goes_on(self, step: int) -> bool:
        """Is there a step number *step*?"""
        return self._finite and len(self._losses) == step < len(self.plan)

    def ends(self, step: int) -> bool:
        """Is step number *step* the last of an epoch?"""
        return (step + 1) % self.per_epoch == 0

    def leave(self) -> None:
        """Train no further."""
        self.plan = self.plan[: len(self._losses)]

    def note(self, loss: torch.Tensor, drift: torch.Tensor, tokens: int, drawn: int) -> None:
        self._losses.append(loss.detach())
        self._drifts.append(drift.detach())
        self.tokens += tokens
        self.drawn += drawn

    def update(self, step: int) -> None:
        """One step of the optimizer, gradients clipped to norm 1 for this lesson alone."""
        weights = self.lesson.weights
        weights.gather()
        self._norms.append(torch.nn.utils.clip_grad_norm_(weights.parameters, 1.0))
        for group in self._optimizer.param_groups:
            share = _schedule(self.plan[step].at, self._steps) if self.recipe.falls else 1.0
            group["lr"] = self.recipe.peak(self._steps) * share
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        weights.spread()

    def log(self) -> TrainingLog:
        self._check()
        done = len(self._losses)
        loss, drift = _mean(self._losses[-self.per_epoch :]), _mean(self._drifts[-self.per_epoch :])
        return TrainingLog(done, self.tokens, loss, drift, self._finite, done / self.per_epoch, self.drawn)

    def _check(self) -> None:
        seen = [*self._losses[-_LOOK:], *self._norms[-_LOOK:]]
        self._finite = self._finite and (not seen or bool(torch.stack(seen).isfinite().all()))


def _planned(lesson: Lesson) -> tuple[int, list[_Step]]:
    """Steps per epoch, and all steps: which rows are learned in each, and which anchors stand beside them."""
    recipe, order = lesson.recipe, random.Random(lesson.seed)
    rehearsed = math.ceil(len(lesson.old) / OLD_TURNS)
    per_epoch = math.ceil((len(lesson.rows) + rehearsed) / recipe.rows_per_step)
    epochs = max(recipe.epochs, math.ceil(recipe.least_steps / per_epoch))
    again = _endless(len(lesson.old), order)  # old rows take turns over the epochs: many a little, not few often
    chunks = [
        (epoch, chunk)
        for epoch in range(epochs)
        for chunk in _chunks(
            [*lesson.rows, *(lesson.old[next(again)] for _ in range(rehearsed))], recipe.rows_per_step, order
        )
    ]
    draw = _endless(len(lesson.anchors), order)
    count = recipe.anchors_per_step if lesson.anchors and recipe.kl else 0
    recovers = epochs - max(1, epochs // 4)  # the epoch from which on it comes back to the base

    def step(at: int, epoch: int, learn: list[Row]) -> _Step:
        times = _RECOVERY if epoch >= recovers else 1
        beside = tuple(lesson.anchors[next(draw)] for _ in range(times * count))
        return _Step(at, tuple(learn), beside, times * recipe.kl, epoch >= recovers)

    return per_epoch, [step(at, epoch, chunk) for at, (epoch, chunk) in enumerate(chunks)]


def _forward_and_back(
    base: Base, model: Any, steps: Sequence[tuple[_Run, _Step]], packed: bool, frozen: Frozen | None
) -> None:
    """Gradients of each run's loss for its own parameters: one pass for all of them."""
    sections = [step.rows for _, step in steps]
    names = [run.lesson.name for run, _ in steps]
    total: Any = 0.0
    # fp32 adapters over a bf16 base: where a layer is not fused, autocast multiplies them in bf16
    with torch.autocast(base.model.device.type, torch.bfloat16, enabled=model.dtype == torch.bfloat16):
        logits, tokens = _logits(base, model, sections, names, packed, frozen)
    each = divergence(logits, joined([one for _, step in steps for one in step.targets(logits.device)]))
    parts = iter(each.split([len(row.targets) for rows in sections for row in rows]))
    for (run, step), size in zip(steps, tokens, strict=True):
        learn = [next(parts) for _ in step.learn]
        loss = torch.cat(learn if run.recipe.by_token else [one.mean()[None] for one in learn]).mean()
        beside = [next(parts) for _ in step.beside]
        drift = torch.cat(beside).mean() if beside else loss.new_zeros(())
        total = total + loss + step.kl * drift
        run.note(loss, drift, size, len(beside))
    total.backward()


def _logits(
    base: Base,
    model: Any,
    sections: Sequence[Sequence[Row]],
    names: Sequence[str],
    packed: bool,
    frozen: Frozen | None,
) -> tuple[torch.Tensor, Sequence[int]]:
    """Logits at all labels, and the tokens computed for each section."""
    if not packed:
        alone = [[pack(base, [row]) for row in rows] for rows in sections]
        logits = torch.cat([one.logits(model) for rows in alone for one in rows])
        return logits, [sum(one.ids.shape[1] for one in rows) for rows in alone]
    laid: Pack = pack(base, *sections)
    if frozen is None:
        return laid.logits(model, names), laid.sections
    with frozen.above():
        return laid.logits(model, names, frozen.lower(*sections)), laid.sections


def _chunks(rows: list[Row], size: int, order: random.Random) -> list[list[Row]]:
    order.shuffle(rows)
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def _endless(count: int, order: random.Random) -> Iterator[int]:
    while count:
        shuffled = list(range(count))
        order.shuffle(shuffled)
        yield from shuffled


def _schedule(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / 6)
    return warm * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / max(1, steps))))


def _mean(values: Sequence[torch.Tensor]) -> float:
    return float(torch.stack(list(values)).mean()) if values else math.nan
