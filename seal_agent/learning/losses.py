"""
The loss: how far the model is from sparse target distributions, forward and backward in one pass over the logits.

Promises: for a label of one token, cross-entropy; for an anchor, KL(base ‖ now) over its likeliest tokens and one
bucket for the rest; both in nats, computed in fp32 from logits of any format.
Does not promise: a gradient for the targets.

Source: self-distillation against forgetting, arXiv 1606.09282 (Learning without Forgetting).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch

_CHUNK = 32  # labels looked at together: 6 MB of probabilities for a vocabulary of 49,152
_TINY = 1e-6  # least mass of the bucket for the rest


@dataclass(frozen=True)
class Targets:
    """Likeliest tokens [labels, k] and their probabilities [labels, k]; rest [labels]: the mass of all others."""

    tokens: torch.Tensor
    probabilities: torch.Tensor
    rest: torch.Tensor


def certain(tokens: torch.Tensor, width: int) -> Targets:
    """Targets that put everything on one token each, [labels], in rows of *width* like those of anchors."""
    spread = torch.zeros(len(tokens), width, dtype=torch.long, device=tokens.device)
    spread[:, 0] = tokens
    mass = torch.zeros(len(tokens), width, device=tokens.device)
    mass[:, 0] = 1.0
    return Targets(spread, mass, mass.new_zeros(len(tokens)))


def likely(logits: torch.Tensor, width: int) -> Targets:
    """The *width* likeliest tokens of *logits* [labels, vocabulary] and their probabilities."""
    mass, tokens = logits.float().softmax(-1).topk(min(width, logits.shape[-1]))
    return Targets(tokens.clone(), mass.clone(), (1 - mass.sum(1)).clamp(min=_TINY))


def joined(parts: list[Targets]) -> Targets:
    """*parts* one below another."""
    return Targets(
        torch.cat([p.tokens for p in parts]),
        torch.cat([p.probabilities for p in parts]),
        torch.cat([p.rest for p in parts]),
    )


def divergence(logits: torch.Tensor, targets: Targets) -> torch.Tensor:
    """
    KL(targets ‖ softmax(logits)) of each label, [labels], in nats.

    Logits that want a gradient are overwritten with it, and are not to be read again.
    """
    return cast(torch.Tensor, _Divergence.apply(logits, targets))  # type: ignore[no-untyped-call]  # torch's own method


class _Divergence(torch.autograd.Function):
    """A few labels at a time, so that their probabilities never leave the cache: the logits are half of a step's memory."""

    @staticmethod
    def forward(ctx: Any, logits: Any, targets: Targets) -> Any:
        parts = [
            _chunk(logits[at : at + _CHUNK], _cut(targets, at), ctx.needs_input_grad[0])
            for at in range(0, len(logits), _CHUNK)
        ]
        ctx.save_for_backward(logits)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (into,) = ctx.saved_tensors
        return into.mul_(grads[0][:, None].to(into.dtype)), None


def _cut(targets: Targets, at: int) -> Targets:
    chosen = slice(at, at + _CHUNK)
    return Targets(targets.tokens[chosen], targets.probabilities[chosen], targets.rest[chosen])


def _chunk(logits: torch.Tensor, targets: Targets, wanted: bool) -> torch.Tensor:
    """The divergence of a few labels; if *wanted*, their logits become the gradient of each one's own."""
    now = torch.softmax(logits, -1, dtype=torch.float32)
    kept = now.gather(1, targets.tokens)
    # a label of one token has rest 0, and with it nothing of this bucket counts
    left = (1 - (kept * (targets.rest > 0)[:, None]).sum(1)).clamp(min=_TINY)
    p, rest = targets.probabilities, targets.rest
    if wanted:
        ratio = torch.where(left > _TINY, rest / left, 0.0)[:, None]
        now.mul_(p.sum(1, keepdim=True) - ratio * kept.sum(1, keepdim=True))
        logits.copy_(now.scatter_add_(1, targets.tokens, ratio * kept - p))
    inside = torch.xlogy(p, p) - p * kept.clamp(min=1e-38).log()
    return inside.sum(1) + torch.xlogy(rest, rest) - rest * left.log()
