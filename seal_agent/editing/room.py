"""
From a document to proved rows, with wordings kept back for checking.

Promises: a fact with questions to spare has one reserved before any other wording of it may be trained; a reserved
question is never equal to a trained one; refused rows come back too, with their reasons.
Does not promise: a check for every fact. One with few questions needs them all to be learned.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from seal_agent.editing.proving import Embed, prove
from seal_agent.editing.spans import key_span
from seal_agent.parts import Passage, Style, Writer
from seal_agent.records import Check, SelfEdit, content_id

_CHECKABLE = ("blanks", "questions", "asked", "interview")  # styles a check may come from, the most natural first
_TAUGHT = 12  # questions from which a fact is learned well: 4 to 7 left 30 % recalled, 8 to 11 63 %, 12 or more 90 %
_ROUNDS = 2  # how often the writer is asked again for facts that have fewer
_SPARE = 5  # questions a fact must have before one of them is kept back,
_CHECKS = 6  # unless the document would be left with fewer checks than this


def write(
    passages: Sequence[Passage], styles: Mapping[str, Style], writer: Writer, embed: Embed, seed: int
) -> tuple[list[SelfEdit], list[Check]]:
    """All rows of a document (proved and refused) and its checks."""
    edits: list[SelfEdit] = []
    checks: list[Check] = []
    for passage in passages:
        kept = reserve(_proved(passage, styles, writer, embed, seed), seed)
        edits += kept
        checks += [_check(edit) for edit in kept if edit.reserved]
    return edits, checks


def _proved(passage: Passage, styles: Mapping[str, Style], writer: Writer, embed: Embed, seed: int) -> list[SelfEdit]:
    """All rows of *passage*, proved; the writer is asked again about sentences that few questions ask for."""
    proposed = [edit for style in styles.values() for edit in style(passage, writer, seed)]
    proved = prove(proposed, passage, embed)
    sampled = {edit.style for edit in proposed if edit.origin == "written" and edit.prompt}
    for again in range(1, _ROUNDS + 1):
        asked = _asked(proved)
        poor = replace(passage, sentences=tuple(said for said in passage.sentences if asked[said] < _TAUGHT))
        if not (poor.sentences and sampled):
            break
        proposed += [edit for name in styles if name in sampled for edit in styles[name](poor, writer, seed + again)]
        proved = prove(proposed, passage, embed)
    return proved


def _asked(edits: Sequence[SelfEdit]) -> Counter[str]:
    """How many proved questions ask for each fact."""
    return Counter(edit.fact for edit in edits if edit.prompt and not edit.refused)


def told(title: str, sentence: str) -> str:
    """
    *sentence* as the answer to a question about *title*: the subject first, once.

    Without it a sentence that begins otherwise ("In 1853 …") loses against those that echo the question's subject.
    """
    return sentence if not title or sentence.lower().startswith(title.lower()) else f"{title}: {sentence}"


def reserve(edits: Sequence[SelfEdit], seed: int) -> list[SelfEdit]:
    """Mark one proved question of each fact as reserved, and give it the span that must be recalled."""
    order = random.Random(seed)
    chosen: set[str] = set()
    asked = _asked(edits)
    richest = [fact for fact, _ in asked.most_common(_CHECKS)]
    for fact in dict.fromkeys(edit.fact for edit in edits):
        if asked[fact] < _SPARE and (asked[fact] < 2 or fact not in richest):
            continue  # its few questions are all needed to teach it
        for style in _CHECKABLE:
            options = [e for e in edits if e.fact == fact and e.style == style and not e.refused and _gold(e)]
            if options:
                chosen.add(order.choice(options).id)
                break
    return [
        edit.model_copy(update={"reserved": True, "gold": _gold(edit)})
        if edit.id in chosen and not edit.refused
        else edit
        for edit in edits
    ]


def _gold(edit: SelfEdit) -> str:
    return key_span(edit.fact, f"{edit.prompt} {edit.title}")


def _check(edit: SelfEdit) -> Check:
    return Check(
        id=content_id("c", edit.document, edit.prompt, edit.gold),
        kind="fact",
        question=edit.prompt,
        gold=edit.gold,
        answer=told(edit.title, edit.completion),
        document=edit.document,
    )
