"""
From a document to proved rows, with wordings kept back for checking.

Promises: a fact with questions to spare has one reserved before any other wording of it may be trained; a reserved
question is never equal to a trained one; refused rows come back too, with their reasons; what an older text of the same name
taught is asked again with the new answers.
Does not promise: a check for every fact. One with few questions needs them all to be learned.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from seal_agent.editing.contrast import changed, contrast
from seal_agent.editing.proving import Embed, prove
from seal_agent.editing.spans import key_span
from seal_agent.parts import Passage, Style, Writer
from seal_agent.records import Check, Memory, SelfEdit, content_id

_CHECKABLE = ("blanks", "questions", "asked", "interview")  # styles a check may come from, the most natural first
_TAUGHT = 12  # questions from which a fact is learned well: 4 to 7 left 30 % recalled, 8 to 11 63 %, 12 or more 90 %
_ROUNDS = 2  # how often the writer is asked again for facts that have fewer
_SPARE = 5  # questions a fact must have before one of them is kept back,
_CHECKS = 6  # unless the document would be left with fewer checks than this


def write(
    passages: Sequence[Passage],
    styles: Mapping[str, Style],
    writer: Writer,
    embed: Embed,
    seed: int,
    earlier: Sequence[Memory] = (),
) -> tuple[list[SelfEdit], list[Check]]:
    """All rows of a document (proved and refused) and its checks; *earlier* is what the text it replaces has taught."""
    edits: list[SelfEdit] = []
    checks: list[Check] = []
    was = changed(earlier, passages)
    for passage in passages:
        again = list(contrast(earlier, was, passage))
        kept = reserve(_proved(passage, styles, writer, embed, seed, again), seed, was)
        edits += kept
        checks += [_check(edit) for edit in kept if edit.reserved]
    return edits, checks


def _proved(
    passage: Passage, styles: Mapping[str, Style], writer: Writer, embed: Embed, seed: int, given: Sequence[SelfEdit]
) -> list[SelfEdit]:
    """All rows of *passage* and those *given*, proved; the writer is asked again where few questions ask for a sentence."""
    proposed = [edit for style in styles.values() for edit in style(passage, writer, seed)]
    sampled = {edit.style for edit in proposed if edit.origin == "written" and edit.prompt}
    proposed += given
    proved = prove(proposed, passage, embed)
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


def reserve(edits: Sequence[SelfEdit], seed: int, was: Mapping[str, str] | None = None) -> list[SelfEdit]:
    """
    Mark proved questions as reserved, and give them the span that must be recalled: one of each fact, and second ones of
    facts rich in questions where a passage, or what changed in it, would be left with too few to judge by. *was* says in
    whose place a fact stands: what must be recalled of it is what that one did not say.
    """
    was = was or {}
    order, asked = random.Random(seed), _asked(edits)
    facts = list(dict.fromkeys(edit.fact for edit in edits))
    richest = [fact for fact, _ in asked.most_common(_CHECKS)]
    chosen: dict[str, str] = {}

    def keep_back(fact: str) -> bool:
        for style in _CHECKABLE:
            options = [e for e in edits if e.fact == fact and e.style == style and not e.refused and _gold(e, was)]
            if free := [edit.id for edit in options if edit.id not in chosen]:
                chosen[order.choice(free)] = fact
                return True
        return False

    for fact in facts:
        if asked[fact] >= _SPARE or (asked[fact] >= 2 and fact in richest):  # else all are needed to teach it
            keep_back(fact)
    wanted = [fact for fact in facts if fact in was] or facts
    rich = [fact for fact in wanted if asked[fact] > _TAUGHT]
    while rich and sum(fact in wanted for fact in chosen.values()) < _CHECKS:
        rich = [fact for fact in rich if keep_back(fact)]
    return [
        edit.model_copy(update={"reserved": True, "gold": _gold(edit, was)})
        if edit.id in chosen and not edit.refused
        else edit
        for edit in edits
    ]


def _gold(edit: SelfEdit, was: Mapping[str, str]) -> str:
    return key_span(edit.fact, f"{edit.prompt} {edit.title} {was.get(edit.fact, '')}")


def _check(edit: SelfEdit) -> Check:
    return Check(
        id=content_id("c", edit.document, edit.prompt, edit.gold),
        kind="fact",
        question=edit.prompt,
        gold=edit.gold,
        answer=told(edit.title, edit.completion),
        document=edit.document,
    )
