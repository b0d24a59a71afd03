"""
The blocks under the lowest adapter: they never change, so what they give is computed once per row and training.

Promises: the same hidden states a whole forward pass would have at that depth; checked when it is made, and not used
where the architecture adds something to its inputs (learned positions) or there are no such blocks.
Does not promise: rows beyond a gigabyte of states; those are trained from the ground up.

Source: frozen activations kept across epochs, AutoFreeze (arXiv 2102.01386).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from seal_agent.learning.devices import at_once
from seal_agent.learning.models import Base
from seal_agent.learning.packing import Pack, Row, alike, batches, own, pack

_MOST = 1 << 30  # bytes of hidden states held
_PACK = 1000  # tokens of one forward pass through the lower blocks


class Frozen:
    """Hidden states [tokens, width] below block *first* of *model*, by row; the preamble's once."""

    def __init__(self, base: Base, model: nn.Module, blocks: str, first: int) -> None:
        self.base, self._model, self._first = base, model, first
        self._parent, _, self._name = blocks.rpartition(".")
        self._block = model.get_submodule(f"{blocks}.{first}")
        self._states: dict[Row, torch.Tensor] = {}
        self._preamble: torch.Tensor | None = None

    def exact(self) -> bool:
        """Does the model, begun above, work on these very states, and end at the logits of the whole model?"""
        asked = self.base.question("What colour is the sky?")
        row = Row((*asked, *self.base.answer("Blue")), len(asked))
        with torch.inference_mode():
            laid = pack(self.base, [row])
            whole = laid.logits(self._model)
            try:
                with self.of([row]):
                    states = self.lower([row])
                with self.above(), self._noting() as entered:
                    same = alike(laid.logits(self._model, lower=states), whole, self.base.model.dtype)
                return same and torch.equal(entered[0], states)
            except (TypeError, ValueError, RuntimeError, AttributeError):  # an architecture without inputs_embeds
                return False

    def fits(self, rows: Sequence[Row]) -> bool:
        """Is there room for the states of *rows*?"""
        weight = self.base.embeddings
        tokens = sum(len(row.ids) for row in set(rows))
        return tokens * weight.shape[1] * weight.element_size() < _MOST

    @contextmanager
    def of(self, rows: Sequence[Row], turn: Callable[[], AbstractContextManager[Any]] = nullcontext) -> Iterator[None]:
        """
        Inside, the states of *rows* are held, computed now; *turn* is entered anew for each pack. Afterwards none: between
        trainings a process needs its memory for other things.
        """
        fresh = list(dict.fromkeys(rows))
        try:
            for indices in batches(self.base, fresh, at_once(_PACK)):
                chosen = [fresh[i] for i in indices]
                with turn():
                    self._keep(chosen, self._below(pack(self.base, chosen)))
            yield
        finally:
            self._states, self._preamble = {}, None  # the latter a view of a whole pack

    def lower(self, *sections: Sequence[Row]) -> torch.Tensor:
        """The states of a pack of these sections, [1, T, width]."""
        parts: list[torch.Tensor] = []
        for rows in sections:
            if self._preamble is not None and any(own(self.base, row) < len(row.ids) for row in rows):
                parts.append(self._preamble)
            parts += [self._states[row] for row in rows]
        return torch.cat(parts)[None]

    def above(self) -> AbstractContextManager[None]:
        """Inside, the model begins at the lowest adapter."""
        return self._only(slice(self._first, None))

    def _below(self, laid: Pack) -> torch.Tensor:
        """The states that enter block *first*, [T, width]."""
        # one block more than needed is computed, and no other: the note is taken before it
        with self._only(slice(0, self._first + 1)), self._noting() as entered, torch.inference_mode():
            laid.logits(self._model)
        return entered[0][0].clone()

    @contextmanager
    def _only(self, chosen: slice) -> Iterator[None]:
        holder = self._model.get_submodule(self._parent)
        blocks = getattr(holder, self._name)
        setattr(holder, self._name, nn.ModuleList(list(blocks)[chosen]))
        try:
            yield
        finally:
            setattr(holder, self._name, blocks)

    @contextmanager
    def _noting(self) -> Iterator[list[torch.Tensor]]:
        """What enters block *first*, whichever blocks are in the model."""
        entered: list[torch.Tensor] = []

        def note(block: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            entered.append(given[0] if given else named["hidden_states"])

        handle = self._block.register_forward_pre_hook(note, with_kwargs=True)
        try:
            yield entered
        finally:
            handle.remove()

    def _keep(self, rows: Sequence[Row], states: torch.Tensor) -> None:
        sizes = [own(self.base, row) for row in rows]
        ahead = states.shape[0] - sum(sizes)
        if ahead:
            self._preamble = states[:ahead]
        for row, piece in zip(rows, states[ahead:].split(sizes), strict=True):
            self._states[row] = piece
