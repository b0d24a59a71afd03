"""
One stream, token by token: a Llama-like block written out, and several tokens looked at in one pass.

Promises: the greedy text that the model's own forward gives, up to the last bits of bf16; a draft copied from the text
before is kept only as far as the model itself chooses it; weights are those in force when the stream began.
Does not promise: every architecture. Where `fits` says no, or the logits differ (`exact`), the model's own forward goes on.

Source: prompt lookup (Saxena, 2023), a draft without a draft model for speculative decoding (arXiv 2211.17192).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import DynamicCache

from seal_agent.learning import fused

_DRAFT = 10  # tokens copied at once: on a CPU a pass over eleven tokens costs little more than one over one
_ALIKE = (3, 2, 1)  # last tokens that must stand earlier in the text, the longest first

Choose = Callable[[torch.Tensor], torch.Tensor]
"""Logits [1, vocabulary] to a token [1]."""


def tokens(
    model: Any, prompt: Sequence[int], choose: Choose, limit: int, stops: Collection[int], drafts: bool
) -> Iterator[int]:
    """At most *limit* tokens after *prompt*, ending before one of *stops*; *drafts* only if *choose* is the likeliest."""
    stream = Stream(model, prompt, limit + _DRAFT)
    known = list(prompt)
    logits = stream.last
    draft: list[int] = []
    while True:
        for at in range(len(draft) + 1):
            token = int(choose(logits[at : at + 1])[0])
            if token in stops or len(known) == len(prompt) + limit:
                return
            known.append(token)
            yield token
            if at == len(draft) or token != draft[at]:
                break
        stream.length = len(known) - 1  # what was drafted and not chosen is written over
        draft = _earlier(known) if drafts else []
        logits = stream.logits([token, *draft])


class Stream:
    """The cache of one text under *model* as it is now, with room for *room* tokens more than *prompt* has."""

    @torch.inference_mode()
    def __init__(self, model: Any, prompt: Sequence[int], room: int) -> None:
        where, self.length = model.device, len(prompt)
        cache = DynamicCache(config=model.config)
        ids = torch.tensor([list(prompt)], device=where)
        end = torch.tensor([len(prompt) - 1], device=where)  # an index: the head on a slice copies the vocabulary
        self.last = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=end).logits[0]
        body = model.model
        self._embed, self._norm, self._head = body.embed_tokens.weight, body.norm, _weight(model.lm_head)
        self._blocks = [_Block(block) for block in body.layers]
        filled: list[Any] = list(cache.layers)
        if any(layer.is_sliding for layer in filled):
            raise TypeError("a sliding window forgets; this cache does not")
        _, heads, size, width = filled[0].keys.shape
        shape = (len(self._blocks), heads, size + room, width)
        self._keys, self._values = (self.last.new_empty(shape) for _ in range(2))
        for number, layer in enumerate(filled):
            self._keys[number, :, :size], self._values[number, :, :size] = layer.keys[0], layer.values[0]
        positions = torch.arange(size + room, device=where)[None]
        self._cos, self._sin = (turn[0, :, None] for turn in body.rotary_emb(self.last, positions))

    @torch.inference_mode()
    def logits(self, ids: Sequence[int]) -> torch.Tensor:
        """Append *ids* and return the logits after each of them, [tokens, vocabulary]."""
        begin, end = self.length, self.length + len(ids)
        x = self._embed[torch.tensor(ids, device=self._embed.device)]
        cos, sin = self._cos[begin:end], self._sin[begin:end]
        ahead = x.new_full((len(ids), end), torch.finfo(x.dtype).min).triu(begin + 1) if len(ids) > 1 else None
        for block, keys, values in zip(self._blocks, self._keys, self._values, strict=True):
            x = block.forward(x, cos, sin, keys, values, begin, ahead)
        self.length = end
        return _linear(_normed(self._norm, x), self._head)


class _Block:
    """One block's weights as they are in force: attention with rotary positions, then a gated MLP."""

    def __init__(self, block: Any) -> None:
        attention, mlp = block.self_attn, block.mlp
        self.first, self.second = block.input_layernorm, block.post_attention_layernorm
        self.query, self.key, self.value, self.out = (_weight(getattr(attention, f"{n}_proj")) for n in "qkvo")
        self.gate, self.up, self.down = (_weight(getattr(mlp, f"{n}_proj")) for n in ("gate", "up", "down"))
        self.size, self.scale, self.activation = attention.head_dim, attention.scaling, mlp.act_fn

    def forward(
        self, x: Any, cos: Any, sin: Any, keys: Any, values: Any, begin: int, ahead: torch.Tensor | None
    ) -> torch.Tensor:
        count, end, kv = len(x), begin + len(x), len(keys)
        h = _normed(self.first, x)
        query, key, value = (_linear(h, w).view(count, -1, self.size) for w in (self.query, self.key, self.value))
        keys[:, begin:end] = _turned(key, cos, sin).transpose(0, 1)
        values[:, begin:end] = value.transpose(0, 1)
        # heads that share a key stand below one another: [kv heads, heads of each · tokens, size]
        asked = (_turned(query, cos, sin) * self.scale).view(count, kv, -1, self.size).permute(1, 2, 0, 3)
        weights = asked.reshape(kv, -1, self.size) @ keys[:, :end].transpose(1, 2)
        if ahead is not None:
            weights = (weights.view(kv, -1, count, end) + ahead).view(kv, -1, end)
        seen = (weights.softmax(-1) @ values[:, :end]).view(kv, -1, count, self.size).permute(2, 0, 1, 3)
        x = x + _linear(seen.reshape(count, -1), self.out)
        h = _normed(self.second, x)
        out: torch.Tensor = x + _linear(self.activation(_linear(h, self.gate)) * _linear(h, self.up), self.down)
        return out


def fits(model: Any) -> bool:
    """Is *model* made of blocks of the known shape, with one matrix in force in each linear layer?"""
    if not fused.attends_by_row(model):
        return False
    try:
        Stream(model, [0, 1], 1)
    except (AttributeError, TypeError):
        return False
    return True


def exact(model: Any, prompt: Sequence[int]) -> bool:
    """Do the last tokens of *prompt*, given one by one and together, have the logits of the model's own forward?"""
    if not fits(model) or len(prompt) < 6:
        return False
    with torch.inference_mode():
        plain = model(input_ids=torch.tensor([list(prompt)], device=model.device), use_cache=False).logits[0, -4:]
    stream = Stream(model, prompt[:-4], 4)
    ours = torch.cat([stream.logits(prompt[-4:-3]), stream.logits(prompt[-3:])])
    return bool((ours.float() - plain.float()).abs().mean() < 0.1 * plain.float().std())


def _weight(layer: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The matrix in force in *layer*, adapters included, and its bias."""
    if isinstance(layer, nn.Linear):
        return layer.weight, layer.bias
    if layer.disable_adapters:
        return layer.base_layer.weight, layer.base_layer.bias
    (name,) = layer.active_adapters
    return fused.merged(layer)[name], layer.base_layer.bias


def _linear(x: torch.Tensor, layer: tuple[torch.Tensor, torch.Tensor | None]) -> torch.Tensor:
    weight, bias = layer
    if len(x) > 1 or bias is not None or weight.device.type != "cpu":
        return F.linear(x, weight, bias)
    return torch.mv(weight, x[0])[None]  # a third faster than linear for a single token


def _normed(norm: Any, x: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = fused.rescaled(x, norm.variance_epsilon)[0].mul_(norm.weight)
    return out


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


def _earlier(known: list[int]) -> list[int]:
    """What followed when the last tokens of *known* stood in it before, the latest time; [] if they never did."""
    for size in _ALIKE:
        last = known[-size:]
        for at in range(len(known) - size - 1, -1, -1):
            if known[at] == last[0] and known[at : at + size] == last:
                return known[at + size : at + size + _DRAFT]
    return []
