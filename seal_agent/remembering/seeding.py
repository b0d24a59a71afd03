"""
General memories: what the base says of a wide variety of things, so that it can be rehearsed from the first day.

Promises: prompts that share no subject with any measurement; answers are the untouched base's own; a fixed part of the
prompts is kept back for the gate and never rehearsed.
Does not promise: that the answers are true. They are what the model was, and rehearsing them keeps it so.
"""

from __future__ import annotations

import json
from importlib.resources import files

from seal_agent.parts import Learner
from seal_agent.records import Check, Memory, content_id

_REHEARSED, _HELD = 390, 120  # prompts; answering them costs the first consolidation about 50 seconds
_TOKENS = 24
_SEPARATE = 4  # every fourth prompt is held back, so that both parts have all kinds


def prompts() -> list[str]:
    """The prompts shipped with the package: questions, instructions, openings of ordinary text."""
    return list(json.loads((files(__package__) / "general.json").read_text("utf-8"))["prompts"])


def seed(learner: Learner) -> tuple[list[Memory], list[Check]]:
    """General memories and general checks, written by the untouched base of *learner*."""
    everything = prompts()
    held = everything[::_SEPARATE][:_HELD]
    apart = set(everything[::_SEPARATE])
    free = [p for p in everything if p not in apart]
    step = max(1, len(free) // _REHEARSED)
    rehearsed = free[::step][:_REHEARSED]
    answers = learner.answer([*rehearsed, *held], None, max_new_tokens=_TOKENS)
    said = dict(zip([*rehearsed, *held], answers, strict=True))
    memories = [
        Memory(id=content_id("g", p, said[p]), kind="general", prompt=p, completion=said[p])
        for p in rehearsed
        if said[p]
    ]
    checks = [
        Check(id=content_id("c", "general", p), kind="general", question=p, gold="", answer=said[p])
        for p in held
        if said[p]
    ]
    return memories, checks
