"""
From a document to proved rows, with at least one wording of every fact kept back for checking.

Promises: a fact with a question of its own has one reserved before any other wording of it may be trained; a reserved
question is never equal to a trained one; refused rows come back too, with their reasons.
Does not promise: a check for a fact nobody found a question for.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from seal_agent.editing.proving import Embed, prove
from seal_agent.editing.spans import key_span
from seal_agent.parts import Passage, Style, Writer
from seal_agent.records import Check, SelfEdit, content_id

_CHECKABLE = (
    "questions",
    "asked",
    "interview",
)  # styles a check may be reserved from, the most natural wording first


def write(
    passages: Sequence[Passage], styles: Mapping[str, Style], writer: Writer, embed: Embed, seed: int
) -> tuple[list[SelfEdit], list[Check]]:
    """All rows of a document (proved and refused) and its checks."""
    edits: list[SelfEdit] = []
    checks: list[Check] = []
    for passage in passages:
        proposed = [edit for style in styles.values() for edit in style(passage, writer, seed)]
        proved = prove(proposed, passage, embed)
        kept = reserve(proved, seed)
        edits += kept
        checks += [_check(edit) for edit in kept if edit.reserved]
    return edits, checks


def reserve(edits: Sequence[SelfEdit], seed: int) -> list[SelfEdit]:
    """Mark one proved question of each fact as reserved, and give it the span that must be recalled."""
    order = random.Random(seed)
    chosen: set[str] = set()
    for fact in dict.fromkeys(edit.fact for edit in edits):
        for style in _CHECKABLE:
            options = [e for e in edits if e.fact == fact and e.style == style and not e.refused and _gold(e)]
            # a fact with one single question keeps it for training unless rows cut by rule can teach it as well
            if options:
                chosen.add(order.choice(options).id)
                break
    return [
        edit.model_copy(update={"reserved": True, "gold": _gold(edit)}) if edit.id in chosen else edit for edit in edits
    ]


def _gold(edit: SelfEdit) -> str:
    return key_span(edit.fact, f"{edit.prompt} {edit.title}")


def _check(edit: SelfEdit) -> Check:
    return Check(
        id=content_id("c", edit.document, edit.prompt, edit.gold),
        kind="fact",
        question=edit.prompt,
        gold=edit.gold,
        answer=edit.completion,
        document=edit.document,
    )
