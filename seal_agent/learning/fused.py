"""
The same arithmetic in fewer passes over memory: LoRA layers, RMS norms, rotary positions, attention row by row.

Promises: a model fused here gives the logits it gave before (`packing.exact` compares them when a model is loaded, and
what differs is taken off again); base weights get no gradient; only this model's own instances change, never
the library's classes or functions.
Does not promise: every architecture. A module of a shape not known here keeps its own forward.

Sources: LoRA (arXiv 2106.09685) over contiguous segments, as mLoRA and Punica lay them out (2312.02515, 2310.18547).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, cast

import torch
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer
from torch import nn

from seal_agent.learning import flat

_SAVED = 20_000  # query-key pairs that padding would add, from which a group of rows apart costs less

# What a forward pass is about, for the modules deep inside: set around it, read there, per thread.
_layout: ContextVar[Layout | None] = ContextVar("layout", default=None)
_segments: ContextVar[Segments | None] = ContextVar("segments", default=None)


@dataclass(frozen=True)
class Segments:
    """Which adapter acts on which contiguous tokens of a flat row: names and token counts, in order."""

    names: tuple[str, ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Rows:
    """
    R rows of about one length, padded to width m, for attention.

    spread [R·m]: the flat token in each slot (the row's first where padded); flat [n]: the slot of each of their n tokens;
    before [R·ahead]: the flat tokens that each row reads before itself (its own first, unread, where there are none);
    mask [R, 1, m, ahead + m].
    """

    width: int
    ahead: int
    spread: torch.Tensor
    flat: torch.Tensor
    before: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True)
class Layout:
    """A flat row of T tokens seen as groups of rows; order [T]: where in the groups' tokens each flat token stands."""

    groups: tuple[Rows, ...]
    order: torch.Tensor


@contextmanager
def laid(layout: Layout | None, segments: Segments | None = None) -> Iterator[None]:
    """Inside, fused modules attend as *layout* says and apply the adapters of *segments* (None: the active one)."""
    marks = _layout.set(layout), _segments.set(segments)
    try:
        yield
    finally:
        _layout.reset(marks[0])
        _segments.reset(marks[1])


def fuse(model: nn.Module) -> Callable[[], None]:
    """Give the modules of known shape in *model* their fused forward; returns what takes it off again."""
    changed: list[nn.Module] = []
    for module in model.modules():
        make = next((make for known, make in _SHAPES if known(module)), None)
        if make is not None:
            module.forward = make(module)
            changed.append(module)

    def undo() -> None:
        for module in changed:
            del module.forward

    return undo


def merge(model: nn.Module, name: str) -> None:
    """
    Keep W + s·B·A of adapter *name* beside each layer, for answers: a forward pass without gradients is then as quick as
    the base's. Rounded to the base's format, as every product of it is; training never reads it.
    """
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, LoraLinear) and "forward" in vars(module) and name in module.lora_A:
                lora, base = cast(Any, module), cast(nn.Linear, module.base_layer)
                added = lora.lora_B[name].weight @ lora.lora_A[name].weight * lora.scaling[name]
                merged(module)[name] = (base.weight.float() + added).to(base.weight.dtype)


def unmerge(model: nn.Module, name: str) -> None:
    """Let go of what `merge` kept for *name*."""
    for module in model.modules():
        merged(module).pop(name, None)


def merged(module: nn.Module) -> dict[str, torch.Tensor]:
    """What `merge` kept in *module*, by adapter."""
    held: dict[str, torch.Tensor] = vars(module).setdefault("_seal_merged", {})
    return held


def attends_by_row(model: nn.Module) -> bool:
    """Has every attention module of *model* a fused forward? Only then may a pack come without a dense mask."""
    attention = [m for m in model.modules() if type(m).__name__.endswith("Attention")]
    return bool(attention) and all(_is_attention(m) and "forward" in vars(m) for m in attention)


def keeps_apart(model: nn.Module) -> bool:
    """Can *model* apply one adapter here and another there, with nothing passing between, not even times zero?"""
    return attends_by_row(model) and all("forward" in vars(m) for m in model.modules() if isinstance(m, LoraLayer))


def _is_lora(module: nn.Module) -> bool:
    return isinstance(module, LoraLinear) and isinstance(module.base_layer, nn.Linear)


def _is_norm(module: nn.Module) -> bool:
    parameters = dict(module.named_parameters(recurse=False))
    return (
        type(module).__name__.endswith("RMSNorm")
        and set(parameters) == {"weight"}
        and hasattr(module, "variance_epsilon")
    )


def _is_attention(module: nn.Module) -> bool:
    """Grouped-query attention with rotary positions and nothing else: Llama, Mistral, Qwen2 and their like."""
    children = {name for name, _ in module.named_children()}
    plain = children == {"q_proj", "k_proj", "v_proj", "o_proj"} and not dict(module.named_parameters(recurse=False))
    rotates = getattr(module, "use_rope", True)  # SmolLM3 has layers without
    # OLMo's clamp moves logits too little to be told from the noise of bf16
    clamps = getattr(getattr(module, "config", None), "clip_qkv", None)
    known = all(hasattr(module, name) for name in ("head_dim", "scaling", "num_key_value_groups"))
    return plain and rotates and known and not clamps


def _lora(module: Any) -> Callable[..., torch.Tensor]:
    plain = module.forward

    def forward(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if module.disable_adapters:
            out: torch.Tensor = module.base_layer(x)
            return out
        segments = _segments.get()
        names = segments.names if segments else tuple(module.active_adapters)
        if args or kwargs or module.merged or (segments is None and len(names) != 1):
            other: torch.Tensor = plain(x, *args, **kwargs)
            return other
        if segments is None and not torch.is_grad_enabled() and names[0] in merged(module):
            return torch.nn.functional.linear(x, merged(module)[names[0]], module.base_layer.bias)
        tokens = segments.tokens if segments else (x.numel() // x.shape[-1],)
        base, scale = module.base_layer, module.scaling[names[0]]
        x = x.to(base.weight.dtype)  # a GPU's autocast gives norms in fp32
        held = [flat.factors(module, name) for name in names]
        if None not in held:
            return _Lora.apply(x, base.weight, base.bias, tokens, scale, held, *(one.whole for one in held))  # type: ignore[no-any-return, no-untyped-call, union-attr]
        if torch.is_grad_enabled():
            trained: torch.Tensor = plain(x, *args, **kwargs)
            return trained
        pairs = [(module.lora_A[n].weight.to(x.dtype), module.lora_B[n].weight.to(x.dtype)) for n in names]
        return _added(x, base.weight, base.bias, tokens, scale, pairs)[0]

    return forward


def _added(
    x: torch.Tensor, weight: Any, bias: Any, tokens: Sequence[int], scale: float, pairs: Sequence[tuple[Any, Any]]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """x Wᵀ + s (x Aᵀ) Bᵀ, each pair (A, B) on its own segment of the tokens; and the narrow products x Aᵀ."""
    rows = x.reshape(-1, x.shape[-1])
    out = torch.nn.functional.linear(rows, weight, bias)
    narrow = [segment @ down.t() for segment, (down, _) in zip(rows.split(tokens), pairs, strict=True)]
    for part, thin, (_, up) in zip(out.split(tokens), narrow, pairs, strict=True):
        part.addmm_(thin, up.t(), alpha=scale)
    # not a view, which autograd lets nobody write on: some models add the next branch in place
    return torch.ops.aten._unsafe_view(out, [*x.shape[:-1], out.shape[-1]]), narrow


class _Lora(torch.autograd.Function):
    """
    `_added` with gradients: those of the factors go straight into their buffers, W gets none.

    *wholes* are the vectors the factors are views of: given so that autograd sees something to train.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, tokens: Any, scale: float, held: Any, *wholes: Any) -> Any:
        out, narrow = _added(x, weight, bias, tokens, scale, [(one.down, one.up) for one in held])
        ctx.save_for_backward(x.reshape(-1, x.shape[-1]), weight, *narrow)
        ctx.tokens, ctx.scale, ctx.held, ctx.shape = tokens, scale, held, x.shape
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        rows, weight, *narrow = ctx.saved_tensors
        grad = grads[0].reshape(-1, grads[0].shape[-1])
        into = grad @ weight if ctx.needs_input_grad[0] else None
        at = 0
        for size, one, thin in zip(ctx.tokens, ctx.held, narrow, strict=True):
            here = grad[at : at + size]
            narrowed = here @ one.up
            one.down_gradient.addmm_(narrowed.t(), rows[at : at + size], alpha=ctx.scale)
            one.up_gradient.addmm_(here.t(), thin, alpha=ctx.scale)
            if into is not None:
                into[at : at + size].addmm_(narrowed, one.down, alpha=ctx.scale)
            at += size
        return (into.view(ctx.shape) if into is not None else None, *[None] * (5 + len(ctx.held)))


def _norm(module: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            out: torch.Tensor = _Norm.apply(x, module.weight, module.variance_epsilon)  # type: ignore[no-untyped-call]
            return out
        return rescaled(x, module.variance_epsilon)[0].mul_(module.weight)

    return forward


def rescaled(x: torch.Tensor, epsilon: float) -> tuple[torch.Tensor, torch.Tensor]:
    """*x* divided by its root mean square over the last dimension, and one over that: computed in fp32, given as *x* is."""
    size = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    inverse = torch.rsqrt(size.square_().div_(x.shape[-1]).add_(epsilon)).to(x.dtype)
    return x * inverse, inverse


class _Norm(torch.autograd.Function):
    """Root-mean-square norm without fp32 copies of the activations. The frozen weight gets no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, epsilon: float) -> Any:
        unit, inverse = rescaled(x, epsilon)
        ctx.save_for_backward(unit, weight, inverse)
        return unit * weight

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        unit, weight, inverse = ctx.saved_tensors
        into = grads[0] * weight
        share = (into * unit).sum(-1, keepdim=True, dtype=torch.float32).div_(-unit.shape[-1])
        into = into.addcmul_(unit, share.to(unit.dtype))
        return into.mul_(inverse), None, None


class _Rotary(torch.autograd.Function):
    """Rotary positions (arXiv 2104.09864) on [1, heads, T, d]; backward is the rotation the other way."""

    @staticmethod
    def forward(ctx: Any, x: Any, cos: Any, sin: Any) -> Any:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, -1.0)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        cos, sin = ctx.saved_tensors
        return _turned(grads[0], cos, sin, 1.0), None, None


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, sign: float) -> torch.Tensor:
    half = x.shape[-1] // 2
    out = x * cos
    out[..., :half].addcmul_(x[..., half:], sin[..., :half], value=sign)
    out[..., half:].addcmul_(x[..., :half], sin[..., half:], value=-sign)
    return out


class _Spread(torch.autograd.Function):
    """[1, heads, T, d] to the rows of each group, [R, heads, ahead + m, d], or without what they read *before*."""

    @staticmethod
    def forward(ctx: Any, x: Any, layout: Layout, before: bool) -> Any:
        ctx.layout, ctx.before, ctx.shape = layout, before, x.shape
        return tuple(_spread(x[0], rows, before and rows.ahead > 0) for rows in layout.groups)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        _, heads, _, size = ctx.shape
        parts = [
            grad[:, :, grad.shape[2] - rows.width :].transpose(0, 1).reshape(heads, -1, size).index_select(1, rows.flat)
            for grad, rows in zip(grads, ctx.layout.groups, strict=True)
        ]
        into = torch.cat(parts, 1).index_select(1, ctx.layout.order) if len(parts) > 1 else parts[0]
        for grad, rows in zip(grads, ctx.layout.groups, strict=True):
            if ctx.before and rows.ahead:
                read = grad[:, :, : rows.ahead].transpose(0, 1).reshape(heads, -1, size)
                into.index_add_(1, rows.before, read)
        return into[None], None, None


def _spread(x: torch.Tensor, rows: Rows, before: bool) -> torch.Tensor:
    heads, _, size = x.shape
    own = x.index_select(1, rows.spread).view(heads, -1, rows.width, size)
    if before:
        own = torch.cat([x.index_select(1, rows.before).view(heads, -1, rows.ahead, size), own], 2)
    return own.transpose(0, 1)


class _Flatten(torch.autograd.Function):
    """The rows of each group, [R, heads, m, d], to [1, T, heads, d]; the gradient of a padded slot is zero."""

    @staticmethod
    def forward(ctx: Any, layout: Layout, *groups: Any) -> Any:
        ctx.layout, ctx.shapes = layout, [x.shape for x in groups]
        parts = [
            x.transpose(1, 2).reshape(-1, x.shape[1], x.shape[3]).index_select(0, rows.flat)
            for x, rows in zip(groups, layout.groups, strict=True)
        ]
        return (torch.cat(parts).index_select(0, layout.order) if len(parts) > 1 else parts[0])[None]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        layout, flat = ctx.layout, grads[0][0]
        if len(layout.groups) > 1:
            flat = torch.empty_like(flat).index_copy_(0, layout.order, flat)
        pieces = flat.split([len(rows.flat) for rows in layout.groups])
        into = []
        for (count, heads, width, size), rows, piece in zip(ctx.shapes, layout.groups, pieces, strict=True):
            out = flat.new_zeros(count * width, heads, size)
            out[rows.flat] = piece
            into.append(out.view(count, width, heads, size).transpose(1, 2))
        return (None, *into)


def _attention(module: Any) -> Callable[..., tuple[torch.Tensor, None]]:
    plain = module.forward

    def forward(
        hidden_states: torch.Tensor, position_embeddings: Any = None, attention_mask: Any = None, **kwargs: Any
    ) -> Any:
        layout = _layout.get()
        if layout is None:  # generation, with its cache
            return plain(
                hidden_states=hidden_states,
                position_embeddings=position_embeddings,
                attention_mask=attention_mask,
                **kwargs,
            )
        shape = (*hidden_states.shape[:-1], -1, module.head_dim)
        cos, sin = position_embeddings
        query = _Rotary.apply(module.q_proj(hidden_states).view(shape).transpose(1, 2), cos, sin)  # type: ignore[no-untyped-call]
        key = _Rotary.apply(module.k_proj(hidden_states).view(shape).transpose(1, 2), cos, sin)  # type: ignore[no-untyped-call]
        value = module.v_proj(hidden_states).view(shape).transpose(1, 2)
        out = by_row(query, key, value, layout, module.scaling)
        return module.o_proj(out.reshape(*hidden_states.shape[:-1], -1)), None

    return forward


def by_row(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, scale: float) -> torch.Tensor:
    """
    Attention of each row to itself and to its preamble: work grows with the rows' lengths, not with T².

    query [1, heads, T, d], key and value [1, kv heads, T, d], positions applied; returns [1, T, heads, d].
    """
    spread = [
        _Spread.apply(x, layout, before)  # type: ignore[no-untyped-call]
        for x, before in ((query * scale, False), (key, True), (value, True))
    ]
    out = [_attended(*group) for group in zip(*spread, layout.groups, strict=True)]
    flat: torch.Tensor = _Flatten.apply(layout, *out)  # type: ignore[no-untyped-call]
    return flat


def _attended(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, group: Rows) -> torch.Tensor:
    rows, kv, columns, size = key.shape
    grouped = query.reshape(rows, kv, -1, size)  # the heads that share a key, below one another
    weights = (grouped @ key.transpose(-1, -2)).view(rows, -1, group.width, columns)
    weights = (weights + group.mask).softmax(-1)
    return (weights.view(rows, kv, -1, columns) @ value).view(rows, -1, group.width, size)


def arrange(lengths: Sequence[int], preambles: Sequence[int | None], ahead: int, like: torch.Tensor) -> Layout:
    """
    The layout of rows of *lengths* tokens, one after another; preambles[i] is the row that row i reads first (its
    first *ahead* tokens), or None. Tensors take the device and, for the mask, the dtype of *like*.
    """
    starts = [0, *accumulate(lengths)]
    read = [None if row is None else starts[row] for row in preambles]
    groups = [
        _group([starts[r] for r in rows], [lengths[r] for r in rows], [read[r] for r in rows], ahead, like)
        for rows in _alike(lengths, ahead)
    ]
    tokens = torch.cat([group.spread[group.flat] for group in groups])
    return Layout(tuple(groups), tokens.argsort())


def _alike(lengths: Sequence[int], ahead: int) -> list[list[int]]:
    """Rows in groups, the longest first: short ones go apart where that saves attention enough."""
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    groups = [[order[0]]]
    for place, row in enumerate(order[1:], 1):
        widest, length = lengths[groups[-1][0]], lengths[row]
        saved = (len(order) - place) * (widest * (ahead + widest) - length * (ahead + length))
        if 2 * length <= widest and saved > _SAVED:
            groups.append([row])
        else:
            groups[-1].append(row)
    return [sorted(group) for group in groups]


def _group(
    starts: Sequence[int], lengths: Sequence[int], read: Sequence[int | None], ahead: int, like: torch.Tensor
) -> Rows:
    width, rows = max(lengths), len(lengths)
    first, column = torch.tensor(starts)[:, None], torch.arange(width)
    real = column < torch.tensor(lengths)[:, None]
    # an empty slot repeats its own row's first token: nothing of one row may reach another, not even times zero
    spread = torch.where(real, first + column, first)
    allowed = torch.ones(width, width, dtype=torch.bool).tril().expand(rows, width, width)
    ahead = ahead if any(start is not None for start in read) else 0
    if ahead:
        reads = torch.tensor([start is not None for start in read])[:, None, None].expand(rows, width, ahead)
        allowed = torch.cat([reads, allowed], 2)
    before = [
        own if start is None else start + at for own, start in zip(starts, read, strict=True) for at in range(ahead)
    ]
    mask = torch.zeros(allowed.shape, dtype=like.dtype).masked_fill(~allowed, torch.finfo(like.dtype).min)
    return Rows(
        width,
        ahead,
        spread.flatten().to(like.device),
        real.flatten().nonzero()[:, 0].to(like.device),
        torch.tensor(before, dtype=torch.long).to(like.device),
        mask[:, None].to(like.device),
    )


_SHAPES: tuple[tuple[Callable[[nn.Module], bool], Callable[[Any], Callable[..., Any]]], ...] = (
    (_is_lora, _lora),
    (_is_norm, _norm),
    (_is_attention, _attention),
)
