"""
The LoRA factors of an adapter in training as one vector, so that a step of the optimizer is one operation and not 420.

Promises: the factors of peft's own modules stay what is trained (they become views of the vector); products read a copy
in the base's format that `spread` renews; gradients land in one buffer that `gather` hands to the optimizer.
Does not promise: this where a LoRA layer keeps its own forward; there parameters and gradients are peft's and autograd's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import nn

_HELD = "_seal_factors"


@dataclass(frozen=True)
class Factors:
    """One adapter in one layer: down [rank, in] and up [out, rank] in the base's format, and where their gradients go."""

    down: torch.Tensor
    up: torch.Tensor
    down_gradient: torch.Tensor
    up_gradient: torch.Tensor
    whole: nn.Parameter


class Trainable:
    """What an optimizer trains of adapter *name*: `parameters`, whose gradients are there after `gather`."""

    def __init__(self, model: nn.Module, name: str) -> None:
        self._name = name
        found = {path: m for path, m in model.named_modules() if isinstance(m, LoraLayer) and name in m.lora_A}
        self._paths, self._layers = list(found), list[Any](found.values())
        self._kept_clear: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self._flat = bool(self._layers) and all("forward" in vars(layer) for layer in self._layers)
        tensors = [p for layer in self._layers for p in (layer.lora_A[name].weight, layer.lora_B[name].weight)]
        self.parameters: list[nn.Parameter] = self._flattened(tensors) if self._flat else tensors

    def gather(self) -> None:
        """Before the optimizer's step: the gradients, in fp32, where it looks for them."""
        if self._flat:
            self.parameters[0].grad = self._gradient.to(torch.float32, copy=True)
            self._gradient.zero_()

    def keep_clear(self, directions: Mapping[str, torch.Tensor], fresh: bool) -> None:
        """
        From now on what is learned reads nothing of *directions* (by layer, orthonormal [in, k]); nor does what there is, if
        it is *fresh*. What an adapter has learned already stays.
        """
        for path, layer in zip(self._paths, self._layers, strict=True):
            if (of := directions.get(path)) is not None:
                down = layer.lora_A[self._name].weight.data
                start = torch.zeros_like(down) if fresh else down.clone()
                self._kept_clear.append((down, start, of))
        self.spread()

    def spread(self) -> None:
        """After the optimizer's step: products see the new weights."""
        for down, start, of in self._kept_clear:
            down.sub_(((down - start) @ of) @ of.t())
        if self._flat:
            self._low.copy_(self.parameters[0].data)

    def shrink(self, share: float) -> None:
        """Change the base by *share* of what the adapter changes now."""
        for layer in self._layers:
            layer.lora_B[self._name].weight.data.mul_(share)
        self.spread()

    def release(self) -> None:
        """The layers forget this adapter's factors."""
        for layer in self._layers:
            vars(layer).get(_HELD, {}).pop(self._name, None)

    def _flattened(self, tensors: list[nn.Parameter]) -> list[nn.Parameter]:
        device, low = tensors[0].device, self._layers[0].base_layer.weight.dtype
        whole = nn.Parameter(torch.cat([p.data.float().flatten() for p in tensors]))
        self._low = whole.data.to(low, copy=True)
        self._gradient = torch.zeros(whole.numel(), dtype=low, device=device)
        weights, lows, gradients = (_views(flat, tensors) for flat in (whole.data, self._low, self._gradient))
        for layer in self._layers:
            for factor in (layer.lora_A[self._name], layer.lora_B[self._name]):
                factor.weight.data = next(weights)
            into = next(gradients), next(gradients)
            vars(layer).setdefault(_HELD, {})[self._name] = Factors(next(lows), next(lows), *into, whole)
        return [whole]


def factors(layer: Any, name: str) -> Factors | None:
    """The factors of adapter *name* in *layer* while it is being trained flat."""
    held: dict[str, Factors] = vars(layer).get(_HELD, {})
    return held.get(name)


def _views(flat: torch.Tensor, like: list[nn.Parameter]) -> Iterator[torch.Tensor]:
    return (piece.view(p.shape) for piece, p in zip(flat.split([p.numel() for p in like]), like, strict=True))
