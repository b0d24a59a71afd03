"""
Many short rows in one forward pass: one flat row of segments that share the prompt's preamble.

Promises: the logits of a row are those it would have alone (checked when a model is loaded, see `exact`); no
padding is computed; the preamble that all questions share is computed once per pack.
Does not promise: this for architectures that ignore a 4-D mask or position ids; those fall back to one row each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

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
    """Rows laid out flat. Shapes: ids, positions [1, T]; mask [1, 1, T, T] additive; keep, targets [labels]."""

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    keep: torch.Tensor
    targets: torch.Tensor
    counts: tuple[int, ...]

    def logits(self, model: Any) -> torch.Tensor:
        """Logits at the labelled positions, [labels, vocabulary]."""
        out = model(
            input_ids=self.ids,
            position_ids=self.positions,
            attention_mask=self.mask,
            use_cache=False,  # with a cache, packed attention is silently off
            logits_to_keep=self.keep,
        )
        return cast(torch.Tensor, out.logits[0])


def pack(base: Base, rows: Sequence[Row]) -> Pack:
    """Lay *rows* out flat, the shared preamble first, once."""
    preamble = base.preamble if any(_shares(base, row) for row in rows) else ()
    ids: list[int] = list(preamble)
    positions = list(range(len(preamble)))
    segment = [-1] * len(preamble)
    reads_preamble = [True] * len(preamble)
    keep: list[int] = []
    targets: list[int] = []
    for number, row in enumerate(rows):
        shared = _shares(base, row)
        skip = len(preamble) if shared else 0
        offset = len(ids) - skip
        ids += row.ids[skip:]
        positions += range(skip, len(row.ids))
        segment += [number] * (len(row.ids) - skip)
        reads_preamble += [shared] * (len(row.ids) - skip)
        # the token before a target predicts it
        keep += range(offset + row.start - 1, offset + len(row.ids) - 1)
        targets += row.targets
    where = base.model.device
    return Pack(
        torch.tensor([ids], device=where),
        torch.tensor([positions], device=where),
        _mask(segment, reads_preamble, base.model.dtype).to(where),
        torch.tensor(keep, device=where),
        torch.tensor(targets, device=where),
        tuple(len(row.targets) for row in rows),
    )


def batches(base: Base, rows: Sequence[Row], tokens: int) -> Iterator[list[int]]:
    """Indices of *rows* in packs of at most *tokens* computed tokens, longest first."""
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i].ids))
    room, current = tokens, []  # type: int, list[int]
    for index in order:
        size = len(rows[index].ids) - (len(base.preamble) if _shares(base, rows[index]) else 0)
        if current and size > room:
            yield current
            room, current = tokens, []
        current.append(index)
        room -= size
    if current:
        yield current


def exact(base: Base) -> bool:
    """Does this architecture give packed rows the logits they have alone?"""
    a, b = base.question("What colour is the sky?"), base.start + base.text("The harbour was quiet that day.")
    rows = [
        Row((*a, *base.answer("Blue")), len(a)),
        Row(tuple(b), max(1, len(b) - 4)),
        Row((*a, *base.answer("Grey")), len(a)),
    ]
    with torch.inference_mode():
        together = pack(base, rows).logits(base.model).float()
        plain = torch.cat([_plain(base, row) for row in rows])
    # bf16 noise is about 2 % of the spread; a mask or a position that is ignored moves logits by its whole size
    return bool((together - plain).abs().mean() < 0.1 * plain.std())


def _plain(base: Base, row: Row) -> torch.Tensor:
    ids = torch.tensor([row.ids], device=base.model.device)
    logits: torch.Tensor = base.model(input_ids=ids, use_cache=False).logits
    return logits[0, row.start - 1 : -1].float()


def _shares(base: Base, row: Row) -> bool:
    size = len(base.preamble)
    return size > 0 and row.start > size and row.ids[:size] == base.preamble


def _mask(segment: list[int], reads_preamble: list[bool], dtype: torch.dtype) -> torch.Tensor:
    row = torch.tensor(segment)
    reads = torch.tensor(reads_preamble)
    allowed = (row[:, None] == row[None, :]) | ((row[None, :] == -1) & reads[:, None])
    allowed &= torch.ones(len(segment), len(segment), dtype=torch.bool).tril()
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)[None, None]
