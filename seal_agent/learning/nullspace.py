"""
Where general text lives: the directions its activations use, of which an adapter learns to read nothing.

Promises: for each layer an adapter acts on, the strongest directions of what the untouched base feeds it on general rows, as an
orthonormal [in, k] matrix; k is the same share of the model's width everywhere; layers with the same input share one matrix.
Does not promise: that general answers stay as they are. Weaker directions are used by them too; the anchors see to those.

Source: learning in the null space of what must stay, Adam-NSCL (arXiv 2103.07113), GPM (2103.09762), AlphaEdit (2410.02355).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.lora import LoraLayer

from seal_agent.learning.models import Base
from seal_agent.learning.packing import Row, pack

Directions = dict[str, torch.Tensor]
"""By a layer's path in the model, orthonormal directions of its inputs, [in, k]."""

_ROOM = 4 << 30  # bytes of second moments; larger models learn without


def directions(base: Base, model: Any, rows: Sequence[Row], packs: Sequence[Sequence[int]], share: float) -> Directions:
    """
    The directions of every layer with adapters on *rows*, computed in *packs* of their indices under *model* as it is (the
    untouched base): *share* of the model's width. Empty where there would be no room to compute them.
    """
    wanted: dict[str, Any] = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    if sum(module.in_features**2 * 4 for module in wanted.values()) > _ROOM:
        return {}
    moments: dict[str, torch.Tensor] = {}
    same: dict[str, str] = {}
    fed: list[tuple[str, torch.Tensor]] = []  # what layers were fed in this pass, the last few

    def watching(name: str) -> Any:
        def watch(module: Any, given: tuple[Any, ...]) -> None:
            if name not in same:
                same[name] = next((other for other, x in fed if x is given[0]), name)
            fed.append((name, given[0]))
            if same[name] == name:
                flat = given[0].reshape(-1, given[0].shape[-1]).float()
                moments[name] = moments.get(name, 0.0) + flat.t() @ flat

        return watch

    hooks = [module.register_forward_pre_hook(watching(name)) for name, module in wanted.items()]
    try:
        with torch.inference_mode():
            for indices in packs:
                fed.clear()
                pack(base, [rows[i] for i in indices]).logits(model)
    finally:
        for hook in hooks:
            hook.remove()
    count = max(1, int(share * base.embeddings.shape[1]))
    found = {name: torch.linalg.eigh(moment)[1][:, -count:].contiguous() for name, moment in moments.items()}
    return {name: found[first] for name, first in same.items()}
