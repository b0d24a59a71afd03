"""
Generation in batches: what all prompts begin with is computed once, rows that finished leave the batch.

Promises: greedy text of a row does not depend on its neighbours (up to the last bits of bf16); sampling depends only
on the seed, the prompts and their order, on one kind of device; stop tokens and stop strings end a row.
Does not promise: a compiled decode step: on two cores compiling costs more than it saves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from seal_agent.learning import decoding, devices
from seal_agent.learning.models import Base, common

_BATCH = 96  # rows decoded at once: beyond this two CPU cores gain little


def generate(
    base: Base,
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int = 32,
    temperature: float = 0.0,
    seed: int = 0,
    stop: Sequence[str] = (),
    written: bool = False,
) -> list[str]:
    """
    A continuation of each prompt (token ids), in the order given; *written*: by the blocks of decoding.py.

    temperature 0 is greedy; otherwise nucleus sampling at top-p 0.95. Text ends before the first *stop* string.
    """
    texts = [""] * len(prompts)
    if written and len(prompts) == 1:
        source = torch.Generator().manual_seed(seed * 1_000_003)
        ids: list[int] = []
        for token in decoding.tokens(
            model, prompts[0], _chooser(temperature, source), max_new_tokens, base.stops, temperature <= 0
        ):
            ids.append(token)
            if stop and any(s in base.decode(ids[-8:]) for s in stop):
                break
        return [_cut(base.decode(ids), stop)]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    size = devices.at_once(_BATCH)
    for at in range(0, len(order), size):
        chosen = order[at : at + size]
        source = torch.Generator().manual_seed(seed * 1_000_003 + at)
        rows = _decode(
            base, model, [list(prompts[i]) for i in chosen], max_new_tokens, temperature, source, stop, written
        )
        for index, ids in zip(chosen, rows, strict=True):
            texts[index] = _cut(base.decode(ids), stop)
    return texts


def stream(
    base: Base,
    model: Any,
    prompt: Sequence[int],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    written: bool = False,
) -> Iterator[int]:
    """Token ids of one continuation as they come; *written*: by decoding.py."""
    source = torch.Generator().manual_seed(seed)
    choose = _chooser(temperature, source)
    if written:
        yield from decoding.tokens(model, prompt, choose, max_new_tokens, base.stops, temperature <= 0)
        return
    cache = DynamicCache(config=model.config)
    ids = torch.tensor([list(prompt)], device=base.model.device)
    for _ in range(max_new_tokens):
        with torch.inference_mode():
            out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=_last(ids))
            token = int(choose(out.logits[:, -1])[0])
        if token in base.stops:
            return
        yield token
        ids = torch.tensor([[token]], device=base.model.device)


def _decode(
    base: Base,
    model: Any,
    prompts: list[list[int]],
    limit: int,
    temperature: float,
    source: torch.Generator,
    stop: Sequence[str],
    written: bool,
) -> list[list[int]]:
    shared = _shared(prompts)
    make = decoding.Batch if written and shared else _Cached
    batch: decoding.Batch | _Cached = make(model, shared, prompts, limit)
    out: list[list[int]] = [[] for _ in prompts]
    alive = list(range(len(prompts)))
    for _ in range(limit):
        tokens = _choose(batch.logits.float(), temperature, source).tolist()
        going = []
        for slot, (row, token) in enumerate(zip(alive, tokens, strict=True)):
            if token in base.stops:
                continue
            out[row].append(token)
            if len(out[row]) < limit and not (stop and any(s in base.decode(out[row][-8:]) for s in stop)):
                going.append(slot)
        if not going:
            break
        alive = [alive[slot] for slot in going]
        batch.step(going, [tokens[slot] for slot in going])
    return out


class _Cached:
    """Like decoding.Batch, by the model's own forward: prompts padded from the left, one cache for all."""

    @torch.inference_mode()
    def __init__(self, model: Any, shared: list[int], prompts: list[list[int]], limit: int) -> None:
        where, self._model = model.device, model
        self._cache = DynamicCache(config=model.config)
        if shared:
            ids = torch.tensor([shared], device=where)
            model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
            self._cache.batch_repeat_interleave(len(prompts))
        rest = [prompt[len(shared) :] for prompt in prompts]
        width = max(map(len, rest))
        real = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rest], device=where)
        self._seen = torch.cat([real.new_ones(len(rest), len(shared)), real], 1)
        self._positions = (self._seen.cumsum(1) - 1).clamp(min=0)[:, len(shared) :]
        self._forward([[0] * (width - len(row)) + row for row in rest])

    @torch.inference_mode()
    def step(self, rows: list[int], tokens: list[int]) -> None:
        """Go on with *rows* only, a token more each."""
        if len(rows) < len(self._seen):
            keep = torch.tensor(rows, device=self._seen.device)
            self._cache.batch_select_indices(keep)
            self._seen, self._positions = self._seen[keep], self._positions[keep]
        self._seen = torch.cat([self._seen, self._seen.new_ones(len(rows), 1)], 1)
        self._positions = self._positions[:, -1:] + 1
        self._forward([[token] for token in tokens])

    def _forward(self, rows: list[list[int]]) -> None:
        ids = torch.tensor(rows, device=self._seen.device)
        self.logits = self._model(
            input_ids=ids,
            attention_mask=self._seen,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=_last(ids),
        ).logits[:, -1]


def _chooser(temperature: float, source: torch.Generator) -> decoding.Choose:
    return lambda logits: _choose(logits.float(), temperature, source)


def _choose(logits: torch.Tensor, temperature: float, source: torch.Generator) -> torch.Tensor:
    if temperature <= 0:
        return logits.argmax(-1)
    top, index = (logits / temperature).softmax(-1).cpu().topk(64)
    top[(top.cumsum(-1) - top) > 0.95] = 0.0  # nucleus: what stands behind 95 % of the mass is dropped
    return index.gather(1, torch.multinomial(top, 1, generator=source))[:, 0]


def _last(ids: torch.Tensor) -> torch.Tensor:
    # An index, not a slice: the head on a strided slice makes torch copy the whole vocabulary matrix per row.
    return torch.tensor([ids.shape[1] - 1], device=ids.device)


def _shared(prompts: list[list[int]]) -> list[int]:
    """The longest beginning all prompts have in common; each keeps at least one token of its own."""
    first, last = min(prompts), max(prompts)
    return common(first, last)[: min(map(len, prompts)) - 1]


def _cut(text: str, stop: Sequence[str]) -> str:
    for mark in stop:
        text = text.split(mark, 1)[0]
    return text.strip()
