"""
Which memories to rehearse beside new rows.

Promises: a pure function of its arguments; the same seed and memories give the same choice; never more than asked.
Does not promise: that the choice is the best one; shares are set by one dial and measured, not derived.

Sources: similarity-weighted replay favours old rows near new ones (complementary learning systems); a random share
keeps the rest alive (reservoir replay); general rows hold what the base knew (arXiv 2605.26097, self-generated replay).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seal_agent.parts import OLD_TURNS, Example
from seal_agent.records import Memory

NEAR_SHARE = 0.4  # of the rehearsed rows; the rest is drawn at random from everything learned


def choose(learned: Sequence[Memory], near: Sequence[str], count: int, seed: int) -> list[Memory]:
    """
    At most *count* learned memories: up to 40 % of them from *near* (ids, nearest first), the rest spread evenly.

    Spread evenly means: documents take turns, so that a long document does not crowd out a short one.
    """
    order = random.Random(seed)
    by_id = {memory.id: memory for memory in learned}
    chosen = dict.fromkeys(name for name in near if name in by_id)
    picked = list(chosen)[: round(count * NEAR_SHARE)]
    taken = set(picked)
    piles: dict[str, list[str]] = {}
    for memory in sorted(learned, key=lambda m: m.id):
        if memory.id not in taken:
            piles.setdefault(memory.document, []).append(memory.id)
    for pile in piles.values():
        order.shuffle(pile)
    turns = list(piles.values())
    order.shuffle(turns)
    while turns and len(picked) < count:
        turns = [pile for pile in turns if pile]
        for pile in turns:
            if len(picked) < count:
                picked.append(pile.pop())
    return [by_id[name] for name in picked]


def token_share(examples: Sequence[Example], count: Callable[[str], int], log: Mapping[str, Any]) -> dict[str, float]:
    """
    Share of the training tokens (prompt and completion, by *count*) by origin, each row as often as *log* says it was trained.
    """
    size = dict.fromkeys(("verbatim", "cut", "written", "rehearsal"), 0.0)
    anchors = max(1, sum(example.anchor for example in examples))
    epochs = float(log.get("epochs", 1))
    often = {"new": epochs, "old": epochs / OLD_TURNS, "anchor": log.get("anchors_drawn", anchors) / anchors}
    for example in examples:
        kind = "anchor" if example.anchor else "old" if example.old else "new"
        size[example.origin] += often[kind] * count(f"{example.prompt} {example.completion}")
    total = max(1, sum(size.values()))
    return {origin: tokens / total for origin, tokens in size.items()}
