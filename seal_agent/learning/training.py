"""
The training loop: new rows and rehearsed rows by cross-entropy, general rows by staying close to the base.

Promises: logits only where there are labels; no padding; the base's weights get no gradient; a loss that is not
finite stops at once and is reported as such; the order of rows comes from the seed.
Does not promise: several candidates at once (the engine's next storey).

Sources: rehearsal and self-distillation against forgetting, arXiv 1606.09282 (Learning without Forgetting) and
2601.19897 (SDFT); rates and targets for LoRA from "LoRA Without Regret" (2025).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from seal_agent.learning.models import Base
from seal_agent.learning.packing import Pack, Row, pack
from seal_agent.parts import OLD_TURNS

_TOP = 48  # base probabilities kept per position; the rest is one bucket


@dataclass(frozen=True)
class Anchor:
    """A row whose distribution must stay the base's: log-probabilities [labels, 48] of its likeliest tokens."""

    row: Row
    tokens: torch.Tensor
    logprobs: torch.Tensor


@dataclass(frozen=True)
class Recipe:
    """
    How to train. learning_rate is the peak; kl weighs the anchors beside each step's rows.

    A lesson of few rows gets more epochs, up to least_steps steps.
    """

    epochs: int = 4
    least_steps: int = 90
    learning_rate: float = 2e-3
    kl: float = 2.0
    rows_per_step: int = 8
    anchors_per_step: int = 3
    stop_loss: float = 0.02


@dataclass(frozen=True)
class Progress:
    """One step of training, for whoever draws the bar."""

    step: int
    steps: int
    loss: float


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
            logprobs, tokens = laid.logits(model).float().log_softmax(-1).topk(_TOP)
            for index, lp, tk in zip(indices, logprobs.split(laid.counts), tokens.split(laid.counts), strict=True):
                made[index] = Anchor(rows[index], tk.clone(), lp.clone())
    return [made[i] for i in range(len(rows))]


def train(
    base: Base,
    model: Any,
    parameters: Sequence[torch.nn.Parameter],
    rows: Sequence[Row],
    held: Sequence[Anchor],
    recipe: Recipe,
    seed: int,
    *,
    old: Sequence[Row] = (),
    packed: bool = True,
    turn: Callable[[], AbstractContextManager[Any]] = nullcontext,
    progress: Callable[[Progress], None] = lambda step: None,
) -> TrainingLog:
    """
    Train *parameters* on *rows*, keeping *held* where the base had them. *turn* is entered anew for each step; without
    *packed* each row is computed alone (for architectures that ignore packing).

    Raises ValueError if there is no row: nothing trained must never look like success.
    """
    if not rows:
        raise ValueError("no row to train on")
    order = random.Random(seed)
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=0.0, fused=True)
    rehearsed = math.ceil(len(old) / OLD_TURNS)
    per_epoch = math.ceil((len(rows) + rehearsed) / recipe.rows_per_step)
    epochs = max(recipe.epochs, math.ceil(recipe.least_steps / per_epoch))
    again = _endless(len(old), order)  # old rows take turns over the epochs: many a little, not few often
    plan = [
        chunk
        for _ in range(epochs)
        for chunk in _chunks([*rows, *(old[next(again)] for _ in range(rehearsed))], recipe.rows_per_step, order)
    ]
    draw = _endless(len(held), order)
    tokens, drawn, losses, drifts = 0, 0, [], []  # type: int, int, list[float], list[float]
    for step, chunk in enumerate(plan):
        beside = [held[next(draw)] for _ in range(recipe.anchors_per_step)] if held and recipe.kl else []
        joined = [*chunk, *(a.row for a in beside)]
        laid = [pack(base, joined)] if packed else [pack(base, [row]) for row in joined]
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step, len(plan))
        with turn():
            loss, drift = _step(model, laid, len(chunk), beside)
            (loss + recipe.kl * drift).backward()
            norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            value = float(loss.detach())
            if not (math.isfinite(value) and bool(torch.isfinite(norm))):
                return TrainingLog(step, tokens, value, float(drift.detach()), False, step / per_epoch, drawn)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        tokens += sum(one.ids.shape[1] for one in laid)
        drawn += len(beside)
        losses.append(value)
        drifts.append(float(drift.detach()))
        progress(Progress(step + 1, len(plan), value))
        if (step + 1) % per_epoch == 0 and _mean(losses[-per_epoch:]) < recipe.stop_loss:
            break
    done = len(losses)
    final, drifted = _mean(losses[-per_epoch:]), _mean(drifts[-per_epoch:])
    return TrainingLog(done, tokens, final, drifted, True, done / per_epoch, drawn)


def _step(model: Any, laid: Sequence[Pack], learn: int, beside: Sequence[Anchor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss of the first *learn* rows and the mean divergence of the anchors after them."""
    # fp32 adapters over a bf16 base: autocast multiplies them in bf16, a third faster than casting activations up
    with torch.autocast(laid[0].ids.device.type, torch.bfloat16, enabled=model.dtype == torch.bfloat16):
        logits = torch.cat([one.logits(model) for one in laid]).float()
    counts = [count for one in laid for count in one.counts]
    targets = torch.cat([one.targets for one in laid])
    split = sum(counts[:learn])
    each = F.cross_entropy(logits[:split], targets[:split], reduction="none").split(counts[:learn])
    loss = torch.stack([row.mean() for row in each]).mean()
    if not beside:
        return loss, loss.new_zeros(())
    kept = torch.cat([a.tokens for a in beside])
    target = torch.cat([a.logprobs for a in beside])
    return loss, divergence(target, logits[split:].log_softmax(-1).gather(1, kept))


def divergence(base: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """KL(base ‖ now) in nats per position over the kept tokens and one bucket for the rest."""
    rest = (1 - base.exp().sum(1)).clamp(min=1e-6)
    rest_now = (1 - now.exp().sum(1)).clamp(min=1e-6)
    return ((base.exp() * (base - now)).sum(1) + rest * (rest.log() - rest_now.log())).mean()


def _chunks(rows: list[Row], size: int, order: random.Random) -> list[list[Row]]:
    order.shuffle(rows)
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def _endless(count: int, order: random.Random) -> Any:
    while count:
        shuffled = list(range(count))
        order.shuffle(shuffled)
        yield from shuffled


def _schedule(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / 6)
    return warm * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / max(1, steps))))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
