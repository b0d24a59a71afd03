"""
Attention for packed rows: each row looks at the shared preamble and at itself, and nothing else is computed.

Promises: the same numbers as a dense block mask, without the blocks that are masked out (a third of a training step at
400 tokens). Outside `within` a model attends as transformers' sdpa does.
Does not promise: models that do not take their attention from transformers' interface; they keep the dense mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "seal_packed"


@dataclass(frozen=True)
class Layout:
    """Where the rows of a flat row lie. index [rows, longest] of positions, real the same shape, mask additive 4-D."""

    preamble: int
    index: torch.Tensor
    real: torch.Tensor
    mask: torch.Tensor


_layout: ContextVar[Layout | None] = ContextVar("layout", default=None)


def layout(preamble: int, sizes: Sequence[int], shares: Sequence[bool], dtype: torch.dtype, where: torch.device) -> Layout:
    """The layout of rows of *sizes* tokens behind a preamble that those with *shares* look at."""
    longest = max(sizes)
    index = torch.zeros(len(sizes), longest, dtype=torch.long)
    real = torch.zeros(len(sizes), longest, dtype=torch.bool)
    start = preamble
    for row, size in enumerate(sizes):
        index[row, :size] = torch.arange(start, start + size)
        real[row, :size] = True
        start += size
    own = torch.ones(longest, longest, dtype=torch.bool).tril() & real[:, None, :]
    own |= torch.eye(longest, dtype=torch.bool)  # padding looks at itself: a row of nothing would be not a number
    before = torch.tensor(shares)[:, None, None].expand(-1, longest, preamble)
    allowed = torch.cat([before, own], 2)[:, None]
    mask = torch.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)
    return Layout(preamble, index.to(where), real.to(where), mask.to(where))


@contextmanager
def within(chosen: Layout) -> Iterator[None]:
    """Attention follows *chosen* inside the block."""
    token = _layout.set(chosen)
    try:
        yield
    finally:
        _layout.reset(token)


def use(model: Any) -> bool:
    """Make *model* take its attention from here; False if its architecture does not let itself be told."""
    try:
        model.set_attn_implementation(NAME)
    except (ValueError, AttributeError, NotImplementedError):
        return False
    return True


def _packed(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **given: Any
) -> tuple[torch.Tensor, None]:
    """query [1, heads, T, d], key and value [1, kv heads, T, d] → [1, T, heads, d]."""
    chosen = _layout.get()
    if chosen is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **given)
    scale, grouped = given.get("scaling"), query.shape[1] != key.shape[1]
    head, out = chosen.preamble, torch.empty_like(query)
    if head:
        out[:, :, :head] = F.scaled_dot_product_attention(
            query[:, :, :head], key[:, :, :head], value[:, :, :head], is_causal=True, scale=scale, enable_gqa=grouped
        )
    rows = len(chosen.index)
    queries = query[0, :, chosen.index].transpose(0, 1)
    keys, values = (
        torch.cat([whole[:, :, :head].expand(rows, -1, -1, -1), whole[0, :, chosen.index].transpose(0, 1)], 2)
        for whole in (key, value)
    )
    found = F.scaled_dot_product_attention(
        queries, keys, values, attn_mask=chosen.mask, scale=scale, enable_gqa=grouped
    )
    flat = found.transpose(1, 2)[chosen.real]
    whole = torch.cat([out[0, :, :head].transpose(0, 1), flat.to(out.dtype)])
    return whole[None], None


AttentionInterface.register(NAME, _packed)
AttentionMaskInterface.register(NAME, sdpa_mask)
