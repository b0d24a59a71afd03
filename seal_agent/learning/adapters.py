"""
LoRA adapters over one frozen base: which one is in force, starting one, writing one, reading one back.

Promises: inside a block exactly the named adapter is in force, or none; an adapter is read from
safetensors only, with exactly the expected tensors, all finite; it keeps its rank, and so does what continues from it,
whatever rank new ones get; the base is never merged into.
Does not promise: thread safety; whoever calls holds the learner's lock (peft's switches are global state).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from seal_agent.errors import ConfigError, SealError
from seal_agent.learning import fused
from seal_agent.learning.flat import Trainable
from seal_agent.learning.models import Base

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_DOWN = "lora_A.weight"  # [rank, in]
# Beside fused experts: peft 0.21 takes the shared one for the experts themselves, and a router gives more than a tensor.
_ROUTES = re.compile(r"\.mlp\..*shared_expert|router$")
_KEPT = 3  # adapters held in memory: the live one, its parent, a candidate
_ROOM = 2 << 30  # bytes that merged weights of those may take; larger models answer through their LoRA layers


class Adapters:
    """The adapters of one base; *rank* is that of new ones. Inside peft, which matches substrings, names are of fixed width."""

    def __init__(self, base: Base, rank: int) -> None:
        self.base = base
        targets, self._blocks, self._lowest = _targets(base)
        self._config = LoraConfig(
            r=rank,
            lora_alpha=2 * rank,
            lora_dropout=0.0,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )
        try:
            self._model: PeftModel = get_peft_model(base.model, self._config, adapter_name=_name("start"))
        except ValueError as error:
            raise ConfigError(f"peft cannot put LoRA on the model {base.name!r}: {error}") from error
        self._held: dict[str, Path] = {}  # by name; the one longest held first
        weights = sum(p.numel() * p.element_size() for p in base.model.parameters())
        self.merges = weights * _KEPT < _ROOM
        self._trains = self._off = False
        self._model.eval()

    @property
    def model(self) -> torch.nn.Module:
        """The base with its LoRA layers; which adapter acts depends on `using`."""
        return self._model.get_base_model()

    @property
    def frozen(self) -> tuple[str, int]:
        """The list of blocks (a module's path) and how many of them lie under the lowest adapter."""
        return self._blocks, self._lowest

    def step(self, names: Sequence[str]) -> None:
        """Before each training step: adapters *names* in force and trainable, since answers may be given between steps."""
        if not self._trains:
            self._train(names)

    @contextmanager
    def using(self, adapter: Path | None) -> Iterator[torch.nn.Module]:
        """The model as it is under *adapter* (a folder), or the untouched base for None."""
        if adapter is None:
            with self._none():
                yield self.model
            return
        name = self._load(adapter)
        self._model.set_adapter(name, inference_mode=True)
        self._trains = False
        yield self.model

    @contextmanager
    def _none(self) -> Iterator[None]:
        """As PeftModel.disable_adapter, without its look at the state of every layer, which costs more than a token."""
        tuner: Any = self._model.base_model
        within, self._off = self._off, True
        if not within:
            tuner.disable_adapter_layers()
        try:
            yield
        finally:
            self._off = within
            if not within:
                tuner.enable_adapter_layers()

    @contextmanager
    def training(self, parent: Path | None, seeds: Sequence[int]) -> Iterator[dict[str, Trainable]]:
        """
        New adapters, one for each seed, that start from *parent*'s weights, or from nothing, by name.

        What an adapter starts from depends on its seed alone, not on how many there are.
        """
        names = [_name(f"training-{number}-{seed}") for number, seed in enumerate(seeds)]
        begun = None if parent is None else read(parent)
        config = self._shaped(begun or {})
        made: dict[str, Trainable] = {}
        try:
            for name, seed in zip(names, seeds, strict=True):
                with torch.random.fork_rng():
                    torch.manual_seed(seed)
                    self._model.add_adapter(name, config)
                if begun is not None:
                    self._fill(name, begun, parent)
            self._train(names)
            made.update((name, Trainable(self.model, name)) for name in names)
            yield made
        finally:
            for trainable in made.values():
                trainable.release()
            self._trains = False
            self._model.set_adapter(_name("start"), inference_mode=True)
            for name in names:
                if name in self._model.peft_config:  # all of them, unless adding one failed
                    self._model.delete_adapter(name)

    def _train(self, names: Sequence[str]) -> None:
        tuner: Any = self._model.base_model  # the tuner takes several names, PeftModel one
        tuner.set_adapter(list(names))
        self._trains = True

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        """The tensors of adapter *name*, as they are written to disk (fp32, on the CPU)."""
        state = get_peft_model_state_dict(self._model, adapter_name=name, save_embedding_layers=False)
        return {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}

    def write(self, weights: dict[str, torch.Tensor], folder: Path) -> None:
        """Write *weights* and the adapter's configuration into *folder*, which exists and is empty."""
        save_file(weights, folder / WEIGHTS)
        config = self._shaped(weights).to_dict()
        config["target_modules"] = sorted(config["target_modules"])
        config["base_model_name_or_path"] = self.base.name
        config["inference_mode"] = True
        (folder / CONFIG).write_text(json.dumps(config, indent=1, default=sorted, sort_keys=True))

    def _load(self, adapter: Path) -> str:
        name = _name(str(adapter.absolute()))
        if name in self._held:
            return name
        weights = read(adapter)
        while len(self._held) >= _KEPT:
            self._drop(next(iter(self._held)))
        self._model.add_adapter(name, self._shaped(weights))
        try:
            self._fill(name, weights, adapter)
        except SealError:
            self._model.delete_adapter(name)
            raise
        self._held[name] = adapter
        if self.merges:
            fused.merge(self.model, name)
        return name

    def drop_removed(self) -> None:
        """Hold no adapter whose folder is gone: another one may be written there, and must not be taken for it."""
        for name in [name for name, folder in self._held.items() if not folder.exists()]:
            self._drop(name)

    def _drop(self, name: str) -> None:
        self._model.set_adapter(_name("start"), inference_mode=True)  # it may be the one in force
        self._trains = False
        fused.unmerge(self.model, name)
        self._model.delete_adapter(name)
        del self._held[name]

    def _shaped(self, weights: dict[str, torch.Tensor]) -> LoraConfig:
        """The configuration of an adapter of the rank that *weights* have; of a new one where there are none."""
        rank = next((len(value) for key, value in weights.items() if key.endswith(_DOWN)), self._config.r)
        return replace(self._config, r=rank, lora_alpha=2 * rank)

    def _fill(self, name: str, weights: dict[str, torch.Tensor], folder: Path | None) -> None:
        """Put *weights*, which come from *folder*, into adapter *name*. SealError if they are not of its form."""
        wanted, given = ({key: value.shape for key, value in of.items()} for of in (self.weights(name), weights))
        if odd := sorted(key for key in {*wanted, *given} if wanted.get(key) != given.get(key)):
            raise SealError(
                f"the adapter in {folder} does not fit this base: {len(odd)} tensors differ, first {odd[0]}; run `seal-agent"
                f" verify`, and open the home with the model it was made with"
            )
        set_peft_model_state_dict(self._model, weights, adapter_name=name)


def read(adapter: Path) -> dict[str, torch.Tensor]:
    """The tensors in folder *adapter*. SealError if the file is missing or holds a number that is not finite."""
    file = adapter / WEIGHTS
    if not file.is_file():
        raise SealError(f"no {WEIGHTS} in {adapter}; run `seal-agent verify` to see which versions are sound")
    try:
        weights = load_file(file)
    except SafetensorError as error:
        raise SealError(f"{file} cannot be read: {error}; run `seal-agent verify`") from error
    broken = [key for key, value in weights.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise SealError(f"{file} holds numbers that are not finite, in {len(broken)} tensors, first {broken[0]}")
    return weights


def _targets(base: Base) -> tuple[list[str], str, int]:
    """
    Every linear layer of the upper two thirds of the blocks, the path of the blocks, and the lowest of the chosen.

    All linear layers, not attention alone ("LoRA Without Regret", 2025); SEAL's inner loop has q and v only.
    """
    names = [name for name, module in base.model.named_modules() if isinstance(module, (nn.Linear, Conv1D))]
    found = {name: place for name in names if (place := re.match(r"(.+?)\.(\d+)\.", name))}
    lowest = (max((int(place[2]) for place in found.values()), default=0) + 1) // 3
    chosen = [name for name, place in found.items() if int(place[2]) >= lowest and not _ROUTES.search(name)]
    if not chosen:
        raise ConfigError(f"{base.name!r} has no linear layers in numbered blocks; LoRA has nothing to adapt there")
    return chosen, found[chosen[0]][1], lowest


def _name(key: str) -> str:
    return "a" + hashlib.sha256(key.encode()).hexdigest()[:15]
