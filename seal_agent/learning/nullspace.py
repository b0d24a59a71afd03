"""
Where general text lives: the directions its activations use, of which an adapter learns to read nothing.

Promises: for each layer an adapter acts on, the strongest directions of what the untouched base feeds it on general rows, as an
orthonormal [in, k] matrix; k is the same share of the model's width everywhere; layers with the same input share one matrix.
Does not promise: that general answers stay as they are. Weaker directions are used by them too; the anchors see to those.

Source: learning in the null space of what must stay, Adam-NSCL (arXiv 2103.07113), GPM (2103.09762), AlphaEdit (2410.02355).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from peft.tuners.lora import LoraLayer

from seal_agent.learning.models import Base

Directions = dict[str, torch.Tensor]
"""By a layer's path in the model, orthonormal directions of its inputs, [in, k]."""

T = TypeVar("T")
_ROOM = 4 << 30  # bytes of second moments; larger models learn without


def watched(base: Base, model: Any, share: float, look: Callable[[], T]) -> tuple[T, Callable[[], Directions]]:
    """
    What *look* returns, which runs *model* as it is (the untouched base) on general rows without gradients, and what computes the
    directions of every layer with adapters meanwhile: *share* of the model's width. None where there would be no room for them.
    """
    wanted: dict[str, Any] = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    count = int(share * base.embeddings.shape[1])
    if not count or sum(module.in_features**2 * 4 for module in wanted.values()) > _ROOM:
        return look(), dict
    moments: dict[str, torch.Tensor] = {}
    same: dict[str, str] = {}
    fed: deque[tuple[str, torch.Tensor]] = deque(maxlen=4)  # layers with the same input follow one another

    def watching(name: str) -> Any:
        def watch(module: Any, given: tuple[Any, ...]) -> None:
            if name not in same:
                same[name] = next((same[other] for other, x in fed if x is given[0]), name)
            fed.append((name, given[0]))
            if same[name] == name:
                flat = given[0].reshape(-1, given[0].shape[-1]).float()
                moments[name] = moments.get(name, 0.0) + flat.t() @ flat

        return watch

    hooks = [module.register_forward_pre_hook(watching(name)) for name, module in wanted.items()]
    try:
        seen = look()
    finally:
        for hook in hooks:
            hook.remove()

    def strongest() -> Directions:
        found = {name: torch.linalg.eigh(moment)[1][:, -count:].contiguous() for name, moment in moments.items()}
        return {name: found[first] for name, first in same.items()}

    return seen, strongest
