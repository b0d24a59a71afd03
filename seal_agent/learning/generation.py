"""
Generation in batches: what all prompts begin with is computed once, rows that finished leave the batch.

Promises: greedy text of a row does not depend on its neighbours (up to the last bits of bf16); sampling depends only
on the seed, the prompts and their order, on one kind of device; stop tokens and stop strings end a row, and so does the end of
what the model can read; with many prompts the model is wanted in turns, so that others have it between two tokens.
Does not promise: a compiled decode step: on two cores compiling costs more than it saves.

Source: going on from each of the likeliest first tokens, CoT-decoding (arXiv 2402.10200).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unicodedata import normalize

import torch
from transformers import DynamicCache

from seal_agent.learning import decoding, devices
from seal_agent.learning.models import Base, common
from seal_agent.learning.packing import alike

_BATCH = 96  # rows decoded at once: beyond this two CPU cores gain little
_WAYS, _LIKELY = 5, 0.02  # ways at most to go on after a head, and how likely each must at least be
_MEANT = 0.02  # how likely a head that is asked about must be: 0.1 to 0.3 where it was learned, 1e-12 where it was not

Done = Callable[[Sequence[int]], bool]
"""The tokens of a text so far -> does it end with the last of them?"""
Turn = Callable[[], AbstractContextManager[object]]
"""A context within which the model is as it is wanted."""


def generate(
    base: Base,
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int = 32,
    temperature: float = 0.0,
    seed: int = 0,
    stop: Sequence[str] = (),
    lead: bool = False,
    written: bool = False,
    turn: Turn = nullcontext,
) -> list[str]:
    """
    A continuation of each prompt (token ids), in the order given; *written*: by the blocks of decoding.py. *model* is read in
    a *turn* only.

    temperature 0 is greedy; otherwise nucleus sampling at top-p 0.95. Text ends before the first *stop* string; if it may *lead*
    with blanks, not before there is any.
    """
    stopped = _stopped(base, stop, lead)

    def cut(ids: Sequence[int]) -> str:
        text = base.decode(ids)
        return _cut(text.lstrip() if lead else text, stop)

    if written and len(prompts) == 1:
        choose = _chooser(temperature, torch.Generator().manual_seed(seed * 1_000_003))
        with turn():
            ids = _single(base, model, prompts[0], max_new_tokens, choose, temperature <= 0, stopped)
        return [cut(ids)]
    texts = [""] * len(prompts)
    for at, chosen in _batches(base, prompts):
        source = torch.Generator().manual_seed(seed * 1_000_003 + at)
        given, choose = [prompts[i] for i in chosen], _chooser(temperature, source)
        rows, _ = _decode(base, model, given, [max_new_tokens] * len(given), choose, stopped, written, turn=turn)
        for index, ids in zip(chosen, rows, strict=True):
            texts[index] = cut(ids)
    return texts


def recite(
    base: Base,
    model: Any,
    prompts: Sequence[Sequence[int]],
    heads: Collection[str],
    *,
    meant: Sequence[str] = (),
    max_new_tokens: int = 32,
    stop: Sequence[str] = (),
    written: bool = False,
    turn: Turn = nullcontext,
) -> list[list[tuple[str, float]]]:
    """
    Of each prompt (token ids) whose greedy continuation begins with one of *heads* and a colon: the continuations that begin
    with each of the likeliest tokens after it, the likeliest first, each with its log-likelihood (nats) from there on; none
    that ends there. Where it begins otherwise, that head of *meant* (one a prompt, or "") is begun with if it is likely enough.
    Of any other prompt none, and little of it is computed. *max_new_tokens* counts what is begun with, too. *model* is read in a
    *turn* only.
    """
    named = sorted(normalize("NFC", f"{head}:") for head in heads)
    known, stopped = frozenset(named), _stopped(base, stop)

    def said(ids: Sequence[int]) -> str:
        # without what has just begun of a character
        return normalize("NFC", _cut(base.decode(ids), stop).strip().rstrip("\ufffd"))

    def settled(ids: Sequence[int]) -> bool:
        text = said(ids)
        longer = bisect_right(named, text)  # if any of them goes on from here, this one does
        return stopped(ids) or longer == len(named) or not named[longer].startswith(text)

    # a head may be longer than what is wanted of the continuation; no token is less than a byte
    limits = [max((len(name.encode()) for name in named), default=0)] * len(prompts)
    begun = [
        _longest(ids, said, known)
        for ids, _ in (_greedy(base, model, prompts, limits, settled, written, turn=turn) if named else [])
    ]
    for row, head in enumerate(meant):
        ids = base.answer(f"{head}:")[:-1] if head and not begun[row] else ()
        if ids and _likely_next(base, model, prompts[row], ids, turn):
            begun[row] = ids
    out: list[list[tuple[str, float]]] = [[] for _ in prompts]
    parting = [row for row, ids in enumerate(begun) if ids]
    parts = [[*prompts[row], *begun[row]] for row in parting]
    ways = [
        (row, token, likely)
        for row, of in zip(parting, _ways(base, model, parts, written, turn), strict=True)
        for token, likely in of
        if token not in base.stops
    ]
    asked = [[*prompts[row], *begun[row], token] for row, token, _ in ways]
    # each by its own limit: how likely a text is must not depend on what is asked beside it
    left = [max(1, max_new_tokens - 1 - len(begun[row])) for row, _, _ in ways]
    ended = _greedy(base, model, asked, left, stopped, written, scored=True, turn=turn)
    for (row, token, likely), (rest, more) in zip(ways, ended, strict=True):
        ids = [*begun[row], token, *rest][:max_new_tokens]
        out[row].append((_cut(base.decode(ids), stop), likely + more))
    return out


def _likely_next(base: Base, model: Any, prompt: Sequence[int], ids: Sequence[int], turn: Turn) -> bool:
    """Are these *ids* after *prompt* likely enough?"""
    if _room(base, prompt, len(ids) + 1) <= len(ids):
        return False
    given = torch.tensor([[*prompt, *ids]], device=base.model.device)
    with turn(), torch.inference_mode():
        logits = model(input_ids=given, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
    likely = logits.log_softmax(-1).gather(1, given[0, len(prompt) :, None].to(logits.device))
    return float(likely.sum()) >= math.log(_MEANT)


def _longest(ids: Sequence[int], said: Callable[[Sequence[int]], str], known: Set[str]) -> Sequence[int]:
    """The beginning of *ids* that says the longest of what is *known*, or none: a title may begin another one."""
    found: dict[str, Sequence[int]] = {}
    for end in range(1, len(ids) + 1):
        found.setdefault(said(ids[:end]), ids[:end])
    best = max(known & found.keys(), key=len, default="")
    return found[best] if best else ()


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
    choose, limit = _chooser(temperature, source), _room(base, prompt, max_new_tokens)
    if written:
        yield from decoding.tokens(model, prompt, choose, limit, base.stops, temperature <= 0)
        return
    batch = _Cached(model, [], [list(prompt)], limit)
    for number in range(1, limit + 1):
        token = int(choose(batch.logits)[0])
        if token in base.stops:
            return
        yield token
        if number < limit:
            batch.step([0], [token])


def _single(
    base: Base, model: Any, prompt: Sequence[int], limit: int, choose: decoding.Choose, greedy: bool, done: Done
) -> list[int]:
    """Token ids after one prompt, by decoding.py: copied ahead of where the text repeats itself, if *greedy*."""
    ids: list[int] = []
    for token in decoding.tokens(model, prompt, choose, _room(base, prompt, limit), base.stops, greedy):
        ids.append(token)
        if done(ids):
            break
    return ids


def _greedy(
    base: Base,
    model: Any,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    done: Done,
    written: bool,
    scored: bool = False,
    turn: Turn = nullcontext,
) -> list[tuple[list[int], float]]:
    """
    The likeliest token ids after each prompt, at most its limit; if *scored* with their log-likelihood, the end's included, else
    0.
    """
    if written and len(prompts) == 1 and not scored:
        with turn():
            return [(_single(base, model, prompts[0], limits[0], _likeliest, True, done), 0.0)]
    out: list[tuple[list[int], float]] = [([], 0.0)] * len(prompts)
    for _, chosen in _batches(base, prompts):
        given = [prompts[i] for i in chosen]
        most = [limits[i] for i in chosen]
        rows, sums = _decode(base, model, given, most, _likeliest, done, written, scored, turn)
        for index, ids, total in zip(chosen, rows, sums, strict=True):
            out[index] = ids, total
    return out


def _ways(
    base: Base, model: Any, prompts: Sequence[Sequence[int]], written: bool, turn: Turn
) -> list[list[tuple[int, float]]]:
    """The likeliest next tokens of each prompt, each with its log-likelihood."""
    out: list[list[tuple[int, float]]] = [[] for _ in prompts]
    for _, chosen in _batches(base, prompts):
        with turn():
            logits = _begin(model, [prompts[i] for i in chosen], 1, written).logits
        likely, tokens = logits.float().log_softmax(-1).topk(min(_WAYS, logits.shape[-1]))
        for index, values, ids in zip(chosen, likely.tolist(), tokens.tolist(), strict=True):
            pairs = list(zip(ids, values, strict=True))
            out[index] = pairs[:1] + [(token, value) for token, value in pairs[1:] if value >= math.log(_LIKELY)]
    return out


def _batches(base: Base, prompts: Sequence[Sequence[int]]) -> Iterator[tuple[int, list[int]]]:
    """Prompts of like length, by their places, and how many there were before them."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    # the padding before a short row would push what it asks out of a window that slides
    size = devices.at_once(_BATCH) if base.sees_all else 1
    for at in range(0, len(order), size):
        yield at, order[at : at + size]


def _begin(model: Any, prompts: Sequence[Sequence[int]], limit: int, written: bool) -> decoding.Batch | _Cached:
    rows = [list(prompt) for prompt in prompts]
    shared = _shared(rows)
    make = decoding.Batch if written and shared else _Cached
    return make(model, shared, rows, limit)


def _decode(
    base: Base,
    model: Any,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    choose: decoding.Choose,
    done: Done,
    written: bool,
    scored: bool = False,
    turn: Turn = nullcontext,
) -> tuple[list[list[int]], list[float]]:
    """What follows each prompt, at most its limit, and if *scored* its log-likelihood, the end's included."""
    most = max(limits)
    with turn():
        batch = _begin(model, prompts, most, written)
    out: list[list[int]] = [[] for _ in prompts]
    sums = [0.0] * len(prompts)
    alive = list(range(len(prompts)))
    for _ in range(most):
        logits = batch.logits.float()
        chosen = choose(logits)
        tokens = chosen.tolist()
        if scored:
            likely = logits.log_softmax(-1).gather(1, chosen.to(logits.device)[:, None])[:, 0]
            for row, value in zip(alive, likely.tolist(), strict=True):
                sums[row] += value
        going = []
        for slot, (row, token) in enumerate(zip(alive, tokens, strict=True)):
            if token in base.stops:
                continue
            out[row].append(token)
            if len(out[row]) < _room(base, prompts[row], limits[row]) and not done(out[row]):
                going.append(slot)
        if not going:
            break
        alive = [alive[slot] for slot in going]
        with turn() if isinstance(batch, _Cached) else nullcontext():  # the other has its weights by itself
            batch.step(going, [tokens[slot] for slot in going])
    return out, sums


def _room(base: Base, prompt: Sequence[int], limit: int) -> int:
    """How many of at most *limit* tokens the model can write after *prompt*."""
    return max(1, int(min(limit, base.window - len(prompt))))


class _Cached:
    """Like decoding.Batch, by the model's own forward: prompts padded from the left, one cache for all."""

    @torch.inference_mode()
    def __init__(self, model: Any, shared: list[int], prompts: list[list[int]], limit: int) -> None:
        where, self._model = model.device, model
        self._cache = DynamicCache(config=model.config)
        if shared:
            ids = torch.tensor([shared], device=where)
            model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
            if len(prompts) > 1:
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


def goes_on(model: Any, ids: Sequence[int]) -> bool:
    """Does *model*, given token *ids* piece by piece, say what it says of all of them at once?"""
    try:
        batch = _Cached(model, list(ids[:-3]), [list(ids[:-2])], 3)
        said = [batch.logits]
        for token in ids[-2:]:
            batch.step([0], [token])
            said.append(batch.logits)
        with torch.inference_mode():
            whole = model(input_ids=torch.tensor([list(ids)], device=model.device), use_cache=False).logits[0, -3:]
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return False
    return alike(torch.cat(said), whole, model.dtype)


def _chooser(temperature: float, source: torch.Generator) -> decoding.Choose:
    return lambda logits: _choose(logits.float(), temperature, source)


def _likeliest(logits: torch.Tensor) -> torch.Tensor:
    return logits.argmax(-1)


def _choose(logits: torch.Tensor, temperature: float, source: torch.Generator) -> torch.Tensor:
    if temperature <= 0:
        return _likeliest(logits)
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


def _stopped(base: Base, stop: Sequence[str], lead: bool = False) -> Done:
    def done(ids: Sequence[int]) -> bool:
        said = base.decode(ids).lstrip() if lead else base.decode(ids[-8:])
        return any(mark in said for mark in stop)

    return done if stop else lambda ids: False


def _cut(text: str, stop: Sequence[str]) -> str:
    for mark in stop:
        text = text.split(mark, 1)[0]
    return text.strip()
