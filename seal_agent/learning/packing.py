"""
Many short rows in one forward pass: one flat row of segments that share the prompt's preamble.

Promises: the logits of a row are those it would have alone (checked when a model is loaded, see `exact`); no
padding is computed but in attention, where rows are as wide as the widest of about their length; the preamble that a
section's questions share is computed once.
Does not promise: this for architectures that ignore a 4-D mask or position ids; those fall back to one row each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from seal_agent.learning.fused import Layout, Segments, arrange, attends_by_row, laid
from seal_agent.learning.models import Base


@dataclass(frozen=True)
class Row:
    """Token ids and the index from which they are targets (1 ≤ start < len(ids))."""

    ids: tuple[int, ...]
    start: int

    def __post_init__(self) -> None:
        if not 1 <= self.start < len(self.ids):
            raise ValueError(f"a row of {len(self.ids)} tokens with targets from {self.start} has nothing to learn")

    @property
    def targets(self) -> tuple[int, ...]:
        return self.ids[self.start :]


@dataclass(frozen=True)
class Pack:
    """
    Rows laid out flat, in sections that share nothing. Shapes: ids, positions [1, T]; keep, targets [labels].

    Attention follows *layout* where the model is fused, else the additive *mask* [1, 1, T, T].
    """

    ids: torch.Tensor
    positions: torch.Tensor
    keep: torch.Tensor
    targets: torch.Tensor
    counts: tuple[int, ...]
    sections: tuple[int, ...]
    layout: Layout | None
    mask: torch.Tensor | None

    def logits(self, model: Any, names: Sequence[str] = (), lower: torch.Tensor | None = None) -> torch.Tensor:
        """
        Logits at the labelled positions, [labels, vocabulary].

        *names*: the adapter of each section (none: the active one acts on all). *lower* [1, T, width]: what the blocks
        under the lowest adapter gave, for a *model* that begins above them.
        """
        given = {"input_ids": self.ids} if lower is None else {"inputs_embeds": lower}
        with laid(self.layout, Segments(tuple(names), self.sections) if names else None):
            out = model(
                **given,
                position_ids=self.positions,
                attention_mask=self.mask,
                use_cache=False,  # with a cache, packed attention is silently off
                logits_to_keep=self.keep,
            )
        # squeezed, not indexed: the gradient of an index is a copy of all logits among zeros
        return cast(torch.Tensor, out.logits.squeeze(0))


def pack(base: Base, *sections: Sequence[Row]) -> Pack:
    """Lay rows out flat, *sections* one after another, the preamble that a section's rows share once at its head."""
    ids, positions, keep, targets = [], [], [], []  # type: list[int], list[int], list[int], list[int]
    lengths: list[int] = []
    reads: list[int | None] = []
    sizes: list[int] = []
    for rows in sections:
        began = len(ids)
        head: int | None = None
        if any(_shares(base, row) for row in rows):
            head = len(lengths)
            ids += base.preamble
            positions += range(len(base.preamble))
            lengths.append(len(base.preamble))
            reads.append(None)
        for row in rows:
            shared = _shares(base, row)
            skip = len(row.ids) - own(base, row)
            offset = len(ids) - skip
            ids += row.ids[skip:]
            positions += range(skip, len(row.ids))
            lengths.append(len(row.ids) - skip)
            reads.append(head if shared else None)
            # the token before a target predicts it
            keep += range(offset + row.start - 1, offset + len(row.ids) - 1)
            targets += row.targets
        sizes.append(len(ids) - began)
    like = base.embeddings
    layout = arrange(lengths, reads, len(base.preamble) if any(r is not None for r in reads) else 0, like)
    by_row = attends_by_row(base.model)
    return Pack(
        torch.tensor([ids], device=like.device),
        torch.tensor([positions], device=like.device),
        torch.tensor(keep, device=like.device),
        torch.tensor(targets, device=like.device),
        tuple(len(row.targets) for rows in sections for row in rows),
        tuple(sizes),
        layout if by_row else None,
        like.new_zeros(1, 1, 1, 1) if by_row else _dense(lengths, reads, like) if sum(map(len, sections)) > 1 else None,
    )


def batches(base: Base, rows: Sequence[Row], tokens: int) -> Iterator[list[int]]:
    """Indices of *rows* in packs of at most *tokens* computed tokens, longest first."""
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i].ids))
    room, current = tokens, []  # type: int, list[int]
    for index in order:
        size = own(base, rows[index])
        if current and size > room:
            yield current
            room, current = tokens, []
        current.append(index)
        room -= size
    if current:
        yield current


def exact(base: Base) -> bool:
    """Does this architecture give packed rows the logits they have alone?"""
    if not base.sees_all:
        return False
    a, b = base.question("What colour is the sky?"), base.start + base.text(12 * "The harbour was quiet that day. ")
    b = b[: int(min(len(b), base.window))]
    rows = [
        Row((*a, *base.answer("Blue")), len(a)),
        Row(tuple(b), max(1, len(b) - 4)),
        Row((*a, *base.answer("Grey")), len(a)),
    ]
    with torch.inference_mode():
        try:
            packed = pack(base, rows).logits(base.model)
        except (AttributeError, RuntimeError, TypeError, ValueError):  # what is fused or packed does not fit it
            return False
        return alike(packed, torch.cat([_plain(base, row) for row in rows]), base.model.dtype)


def alike(logits: torch.Tensor, plain: torch.Tensor, computed: torch.dtype) -> bool:
    """Are these the same logits, up to the rounding of the format they were *computed* in?"""
    # bf16 noise is about 2 % of the spread, fp32's less than 0.01 %; a position that is ignored is at least 6 %
    noise = 0.05 if computed == torch.bfloat16 else 1e-3
    return bool((logits.float() - plain.float()).abs().mean() < noise * plain.float().std())


def _plain(base: Base, row: Row) -> torch.Tensor:
    ids = torch.tensor([row.ids], device=base.model.device)
    logits: torch.Tensor = base.model(input_ids=ids, use_cache=False).logits
    return logits[0, row.start - 1 : -1].float()


def own(base: Base, row: Row) -> int:
    """How many tokens of *row* a pack computes for it alone."""
    return len(row.ids) - (len(base.preamble) if _shares(base, row) else 0)


def _shares(base: Base, row: Row) -> bool:
    size = len(base.preamble)
    return size > 0 and row.start > size and row.ids[:size] == base.preamble


def _dense(lengths: Sequence[int], reads: Sequence[int | None], like: torch.Tensor) -> torch.Tensor:
    number = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    preamble = torch.tensor([-1 if r is None else r for r in reads])[number]
    allowed = (number[:, None] == number[None, :]) | (preamble[:, None] == number[None, :])
    allowed &= torch.ones(len(number), len(number), dtype=torch.bool).tril()
    mask = torch.zeros(allowed.shape, dtype=like.dtype).masked_fill(~allowed, torch.finfo(like.dtype).min)
    return mask[None, None].to(like.device)
