"""
Text token by token, by a Llama-like block written out: many texts that begin alike at once, or one and several of its
tokens in a pass.

Promises: the greedy text that the model's own forward gives, up to the last bits of bf16, but where logits are equal in
bf16 the token that is likelier in fp32; what all texts begin with is held once, and what several begin with is computed
once; a draft copied from the text before is kept only as far as the model itself chooses it; weights are those in force
when the streams began.
Does not promise: every architecture. Where the logits differ (`exact`), the model's own forward goes on.

Sources: prompt lookup (Saxena, 2023), a draft without a draft model for speculative decoding (arXiv 2211.17192); shared
beginnings attended to once, Hydragen (arXiv 2402.05099).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import DynamicCache

from seal_agent.learning import fused
from seal_agent.learning.models import common
from seal_agent.learning.packing import alike

_DRAFT = 10  # tokens copied at once: on a CPU a pass over eleven tokens costs little more than one over one
_ALIKE = (3, 2, 1)  # last tokens that must stand earlier in the text, the longest first
_STEM = 0.5  # share of a prompt that it must have in common with the one beside it to be computed with it
_WORTH = 0.75  # rows that still run, below which those that ended are dropped from the cache

Choose = Callable[[torch.Tensor], torch.Tensor]
"""Logits [1, vocabulary] to a token [1]."""


def tokens(
    model: Any, prompt: Sequence[int], choose: Choose, limit: int, stops: Collection[int], drafts: bool
) -> Iterator[int]:
    """At most *limit* tokens after *prompt*, ending before one of *stops*; *drafts* only if *choose* is the likeliest."""
    stream = Streams(model, prompt, 1, limit + _DRAFT)
    known = list(prompt)
    logits = stream.last
    draft: list[int] = []
    while True:
        for at in range(len(draft) + 1):
            token = int(choose(logits[at : at + 1])[0])
            if token in stops:
                return
            known.append(token)
            yield token
            if len(known) == len(prompt) + limit:
                return
            if at == len(draft) or token != draft[at]:
                break
        stream.length = len(known) - 1 - len(prompt)  # what was drafted and not chosen is written over
        draft = _earlier(known) if drafts else []
        logits = stream.logits(stream.read([[token, *draft]])[0])


class Batch:
    """
    Several prompts and what follows each; all begin with *shared*, which is not empty, and have a token more.

    logits [rows, vocabulary]: what follows each row now.
    """

    @torch.inference_mode()
    def __init__(self, model: Any, shared: Sequence[int], prompts: Sequence[Sequence[int]], limit: int) -> None:
        rest = [list(prompt[len(shared) :]) for prompt in prompts]
        stems = _stems(rest)
        size = [len(stem) for stem, rows in stems for _ in rows]
        order = [row for _, rows in stems for row in rows]
        tails = [rest[row][begin:] for row, begin in zip(order, size, strict=True)]
        width = max(size)
        self._streams = Streams(model, shared, len(stems), width)
        if width:
            self._streams.read(*_padded([stem for stem, _ in stems]))
        owners = [number for number, (_, rows) in enumerate(stems) for _ in rows]
        self._streams.choose(owners, width + max(map(len, tails)) + limit)
        last = self._streams.read(*_padded(tails))[:, -1]
        self._slots = sorted(range(len(order)), key=order.__getitem__)  # the slot of each row
        self.logits = self._streams.logits(last[self._slots])

    @torch.inference_mode()
    def step(self, rows: Sequence[int], tokens: Sequence[int]) -> None:
        """Go on with *rows* only, a token more each; they are renumbered in the order given."""
        self._slots = [self._slots[row] for row in rows]
        if len(self._slots) < _WORTH * self._streams.rows:
            self._streams.choose(self._slots)
            self._slots = list(range(len(rows)))
        ids = [[0]] * self._streams.rows
        for slot, token in zip(self._slots, tokens, strict=True):
            ids[slot] = [token]
        self.logits = self._streams.logits(self._streams.read(ids)[self._slots, -1])


class Streams:
    """
    Texts that begin with *shared*, under *model* as it is now: its keys and values once, those of the rest by row.

    last [1, vocabulary]: what follows *shared*; length: columns of the rest that are written, at most *room*.
    """

    @torch.inference_mode()
    def __init__(self, model: Any, shared: Sequence[int], rows: int, room: int) -> None:
        where, self._begun = model.device, len(shared)
        cache = DynamicCache(config=model.config)
        ids = torch.tensor([list(shared)], device=where)
        self._body, self._head = model.model, _weight(model.lm_head)
        hidden = self._body(input_ids=ids, past_key_values=cache, use_cache=True).last_hidden_state[0, -1:]
        self.last = self.logits(hidden)
        self._blocks = [_Block(block) for block in self._body.layers]
        filled: list[Any] = list(cache.layers)
        if any(layer.is_sliding for layer in filled):
            raise TypeError("a sliding window forgets; this cache does not")
        self._shared = [(layer.keys[0], layer.values[0]) for layer in filled]
        self.length = 0
        # a CPU multiplies many small matrices far quicker in fp32 than in bf16
        exact = torch.float32 if where.type == "cpu" else hidden.dtype
        heads, _, width = self._shared[0][0].shape
        self._cache = torch.empty(2, len(filled), rows, heads, 0, width, dtype=exact, device=where)
        self._real = torch.zeros(rows, 0, dtype=torch.bool, device=where)
        self.choose(range(rows), room)

    @property
    def rows(self) -> int:
        """How many texts there are."""
        return self._cache.shape[2]

    @torch.inference_mode()
    def choose(self, rows: Sequence[int], room: int | None = None) -> None:
        """Go on with *rows*, each as often as it is named, and with *room* columns in all."""
        index = torch.tensor(list(rows), device=self._cache.device)
        _, layers, _, heads, columns, width = self._cache.shape
        columns = columns if room is None else room
        cache, real = self._cache, self._real
        self._cache = cache.new_empty(2, layers, len(index), heads, columns, width)
        self._real = real.new_zeros(len(index), columns)
        self._cache[:, :, :, :, : self.length] = cache[:, :, index, :, : self.length]
        self._real[:, : self.length] = real[index, : self.length]
        positions = torch.arange(self._begun + columns, device=index.device)[None]
        self._cos, self._sin = (turn[0, :, None] for turn in self._body.rotary_emb(self._shared[0][0], positions))

    @torch.inference_mode()
    def read(self, ids: Sequence[Sequence[int]], real: Sequence[Sequence[bool]] | None = None) -> torch.Tensor:
        """Append *ids* [rows, tokens], of which only the *real* ones are text; hidden states [rows, tokens, width]."""
        where = self._cache.device
        chosen = torch.tensor(ids, device=where)
        rows, count = chosen.shape
        begin, end = self.length, self.length + count
        self._real[:, begin:end] = True if real is None else torch.tensor(real, device=where)
        seen = self._real[:, :end]
        at = (self._begun - 1 + seen.cumsum(1)[:, begin:]).clamp(min=0).flatten()
        hidden = ~seen[:, None].expand(rows, count, end)
        if count > 1:
            hidden = hidden | torch.ones(count, end, dtype=torch.bool, device=where).triu(begin + 1)
        mask = torch.zeros(hidden.shape, dtype=self._cache.dtype, device=where).masked_fill_(hidden, float("-inf"))
        x = self._body.embed_tokens.weight[chosen.flatten()]
        cos, sin = self._cos[at], self._sin[at]
        for block, shared, own in zip(self._blocks, self._shared, self._cache.unbind(1), strict=True):
            x = block.forward(x, cos, sin, shared, own, begin, mask[:, None, None])
        self.length = end
        return _normed(self._body.norm, x).view(rows, count, -1)

    @torch.inference_mode()
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits of hidden states [n, width], [n, vocabulary], in fp32; the likeliest ones exact, so that they do not tie."""
        (weight, bias), out = self._head, _linear(hidden, self._head).float()
        # At 25 a bf16 logit has steps of 0.125: of tokens that share the highest, the lowest number would be chosen.
        row, token = (out == out.amax(-1, keepdim=True)).nonzero(as_tuple=True)
        out[row, token] = (hidden[row].float() * weight[token].float()).sum(-1)
        if bias is not None:
            out[row, token] += bias[token]
        return out


class _Block:
    """One block's weights as they are in force: attention with rotary positions, then a gated MLP."""

    def __init__(self, block: Any) -> None:
        attention, mlp = block.self_attn, block.mlp
        self.first, self.second = block.input_layernorm, block.post_attention_layernorm
        self.query, self.key, self.value, self.out = (_weight(getattr(attention, f"{n}_proj")) for n in "qkvo")
        self.gate, self.up, self.down = (_weight(getattr(mlp, f"{n}_proj")) for n in ("gate", "up", "down"))
        self.size, self.scale, self.activation = attention.head_dim, attention.scaling, mlp.act_fn

    def forward(
        self, x: Any, cos: Any, sin: Any, shared: tuple[Any, Any], own: torch.Tensor, begin: int, mask: torch.Tensor
    ) -> torch.Tensor:
        """x [rows · tokens, width]; shared keys and values [heads, S, size]; own, of both, [2, rows, heads, room, size]."""
        rows, kv, count = own.shape[1], own.shape[2], mask.shape[3]
        end = begin + count
        h = _normed(self.first, x)
        query, key, value = (_linear(h, w).view(len(x), -1, self.size) for w in (self.query, self.key, self.value))
        own[0, :, :, begin:end] = _turned(key, cos, sin).view(rows, count, kv, -1).transpose(1, 2)
        own[1, :, :, begin:end] = value.view(rows, count, kv, -1).transpose(1, 2)
        # heads that share a key stand below one another: [rows, kv heads, heads of each · tokens, size]
        asked = (_turned(query, cos, sin) * self.scale).view(rows, count, kv, -1, self.size).permute(0, 2, 3, 1, 4)
        asked = asked.reshape(rows, kv, -1, self.size)
        of_shared = _together(asked, shared[0].transpose(1, 2)).to(own.dtype)
        of_own = asked.to(own.dtype) @ own[0, :, :, :end].transpose(2, 3)
        of_own = (of_own.view(rows, kv, -1, count, end) + mask).view(of_own.shape)
        weights = torch.cat([of_shared, of_own], -1).softmax(-1)
        before = weights.shape[-1] - end
        seen = (weights[..., before:] @ own[1, :, :, :end]).to(x.dtype)
        seen += _together(weights[..., :before].to(x.dtype), shared[1])
        seen = seen.view(rows, kv, -1, count, self.size).permute(0, 3, 1, 2, 4)
        x = x + _linear(seen.reshape(len(x), -1), self.out)
        h = _normed(self.second, x)
        out: torch.Tensor = x + _linear(self.activation(_linear(h, self.gate)) * _linear(h, self.up), self.down)
        return out


def _together(x: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
    """x [rows, heads, n, a] times shared [heads, a, b], one product for each head: [rows, heads, n, b]."""
    rows, heads, n, _ = x.shape
    return (x.transpose(0, 1).reshape(heads, rows * n, -1) @ shared).view(heads, rows, n, -1).transpose(0, 1)


def exact(model: Any, prompt: Sequence[int]) -> bool:
    """Has *prompt* the logits of the model's own forward: its last tokens together, and beside a shorter prompt?"""
    if not fused.attends_by_row(model) or len(prompt) < 6:
        return False
    try:
        return _exact(model, list(prompt))
    except (AttributeError, RuntimeError, TypeError):  # an architecture with parts that are not known here
        return False


def _exact(model: Any, ids: list[int]) -> bool:
    with torch.inference_mode():
        plain = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0]
    stream = Streams(model, ids[:-3], 1, 3)
    together = stream.logits(stream.read([ids[-3:]])[0])
    batch = Batch(model, ids[:-4], [ids, ids[:-2], ids[:-1]], 1)
    beside = batch.logits
    batch.step([1], [ids[-2]])
    ours = torch.cat([stream.last, together, beside, batch.logits])
    wanted = plain[[-4, -3, -2, -1, -1, -3, -2, -2]]
    return alike(ours, wanted, model.dtype)


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


def _stems(rows: Sequence[Sequence[int]]) -> list[tuple[list[int], list[int]]]:
    """*rows* in groups that begin alike: what they begin with, never a whole row, and their numbers."""
    stems: list[tuple[list[int], list[int]]] = []
    for number in sorted(range(len(rows)), key=lambda n: list(rows[n])):
        row = list(rows[number])
        alike = common(stems[-1][0], row[:-1]) if stems else []
        if stems and len(alike) >= _STEM * len(row):
            stems[-1] = alike, [*stems[-1][1], number]
        else:
            stems.append((row[:-1], [number]))
    return stems


def _padded(rows: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[list[bool]]]:
    """*rows* as wide as the widest, filled up from the left, and which tokens are theirs."""
    width = max(map(len, rows))
    return [[0] * (width - len(row)) + list(row) for row in rows], [
        [False] * (width - len(row)) + [True] * len(row) for row in rows
    ]
