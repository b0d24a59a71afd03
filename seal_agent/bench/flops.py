"""
How many floating-point operations the work needs: what `bench speed` divides by, and what tests hold the engine to.

Promises: formulas for blocks of linear layers, grouped-query attention and a head, LoRA in the upper blocks; a
multiplication and an addition are two operations.
Does not promise: element-wise work (norms, activations, softmax), which is left out on purpose: it should cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from seal_agent.learning.models import Base


@dataclass(frozen=True)
class Shape:
    """Multiplications a token needs: in each block's linear layers, in the head, in each block's LoRA of this rank."""

    blocks: int
    first: int
    block: int
    head: int
    lora: int
    attention: int  # heads times their size


def shape(base: Base, blocks: str, first: int, rank: int) -> Shape:
    """The shape of *base* with LoRA of *rank* on all linear layers from block *first* on; *blocks*: their path."""
    holder = base.model.get_submodule(blocks)
    named = next(holder.children()).named_modules()
    layers = [m for name, m in named if isinstance(m, nn.Linear) and "lora_" not in name]
    config = base.model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Shape(
        blocks=len(list(holder.children())),
        first=first,
        block=sum(m.in_features * m.out_features for m in layers),
        head=base.embeddings.numel(),
        lora=sum(rank * (m.in_features + m.out_features) for m in layers),
        attention=config.num_attention_heads * size,
    )


def training(of: Shape, tokens: int, labels: int, pairs: int, kept: bool = True) -> int:
    """
    One step: forward, and backward to the lowest adapter. *pairs*: (query, key) pairs of the tokens that see each other;
    *kept*: the blocks below were computed before.
    """
    upper = of.blocks - of.first
    below = 0 if kept else 2 * tokens * of.block * of.first + 4 * pairs * of.attention * of.first
    body = 4 * tokens * of.block * upper
    lora = 6 * tokens * of.lora * upper
    return below + body + lora + 12 * pairs * of.attention * upper + 4 * labels * of.head


def scoring(of: Shape, tokens: int, labels: int, pairs: int) -> int:
    """One forward pass without gradients, adapters merged: labels are the only tokens that reach the head."""
    return 2 * tokens * of.block * of.blocks + 4 * pairs * of.attention * of.blocks + 2 * labels * of.head
