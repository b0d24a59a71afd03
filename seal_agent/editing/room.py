"""
From a document to proved rows, with wordings kept back for checking.

Promises: a fact with questions to spare has one reserved before any other wording of it may be trained, or more where there
would be few checks; a reserved question is never equal to a trained one, of this text or of an older one of the same name;
refused rows come back too, with their reasons; what the older text taught, or kept back for checking, is asked again with the
new answers, unless the question names what is said no more.
Does not promise: a check for every fact. One with few questions needs them all to be learned.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from seal_agent.editing.answering import answered
from seal_agent.editing.contrast import Was, changed, contrast, holds_still
from seal_agent.editing.proving import Embed, prove
from seal_agent.editing.spans import key_span, negated, stands
from seal_agent.judging.grading import wording
from seal_agent.parts import Example, Passage, Style, Writer
from seal_agent.records import Check, Memory, SelfEdit, content_id, sentences_of

_CHECKABLE = ("blanks", "questions", "asked", "interview")  # styles a check may come from, the most natural first
_TAUGHT = 12  # questions about a sentence that teach it: 4 to 7 left 30 % recalled, 8 to 11 63 %, 12 or more 90 %
_ROUNDS = 2  # how often the writer is asked again for facts that have fewer
_SPARE = 5  # questions a fact must have before one of them is kept back,
_RICHEST = 6  # unless it is one of so many that have most
# What cannot be judged is not learned either: facts with more questions left to teach them than the first number give second
# ones while the document has fewer checks than the second. With five the gate can judge, with eight it seldom refuses wrongly.
_GIVES = ((7, 8), (5, 5))


@dataclass(frozen=True)
class Earlier:
    """What older texts of the same name have taught, and what they kept back for checking."""

    rows: Sequence[Memory] = ()
    checks: Sequence[Check] = ()


def write(
    passages: Sequence[Passage],
    styles: Mapping[str, Style],
    writer: Writer,
    embed: Embed,
    seed: int,
    earlier: Earlier = Earlier(),
) -> tuple[list[SelfEdit], list[Check]]:
    """All rows of a document (proved and refused) and its checks; *earlier* is of the texts it replaces."""
    was = changed(earlier.rows, passages)
    proved = [
        _proved(passage, styles, writer, embed, seed, list(contrast(earlier.rows, was, passage)))
        for passage in passages
    ]
    often = Counter(wording(edit.prompt) for rows in proved for edit in rows if edit.prompt and not edit.refused)
    shown = {prompt for prompt, times in often.items() if times > 1} | {wording(row.prompt) for row in earlier.rows}
    edits = [edit for rows in proved for edit in reserve(rows, seed, was, shown)]
    taught = {wording(edit.prompt) for edit in edits if not edit.reserved}
    checks = [_check(edit, was) for edit in edits if edit.reserved]
    return edits, [*checks, *asked_again(passages, earlier, taught)]


def asked_again(passages: Sequence[Passage], earlier: Earlier, taught: Collection[str]) -> list[Check]:
    """The checks of the *earlier* texts with what *passages* say instead, but for questions that are *taught*."""
    found = _asked_again(passages, changed(earlier.rows, passages), earlier.checks)
    return [check for check in found if wording(check.question) not in taught]


def questions(edits: Sequence[SelfEdit]) -> list[Check]:
    """Every proved question among *edits* as a check; for questions that none of these rows will be trained for."""
    return [_check(edit, {}) for edit in edits if edit.prompt and not edit.refused and _gold(edit, {})]


def _asked_again(passages: Sequence[Passage], was: Was, checks: Sequence[Check]) -> Iterator[Check]:
    """*checks* of older texts with what must be recalled now."""
    for passage in passages:
        for sentence in passage.sentences:
            for check in checks:
                old = next((said for said in was.get(sentence, ()) if tells(check, passage.title, said)), "")
                asks = old and holds_still(check.question, old, passage)
                gold = key_span(sentence, f"{check.question} {passage.title} {old}") if asks else ""
                if gold:
                    answer = told(passage.title, sentence, gold)
                    yield _kept_back(passage.document, check.question, gold, answer)


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
        few = [said for said in passage.sentences if asked[said] < _TAUGHT * len(sentences_of(said))]
        poor = replace(passage, sentences=tuple(few))
        if not (poor.sentences and sampled):
            break
        proposed += [edit for name in styles if name in sampled for edit in styles[name](poor, writer, seed + again)]
        proved = prove(proposed, passage, embed)
    return answered(proved, embed)


def _asked(edits: Sequence[SelfEdit]) -> Counter[str]:
    """How many proved questions ask for each fact."""
    return Counter(edit.fact for edit in edits if edit.prompt and not edit.refused)


def told(title: str, sentence: str, short: str = "") -> str:
    """
    *sentence* as the answer to a question about *title*: the subject first, of every sentence alike; then the *short* answer, if
    there is one and the sentence does not begin with it; then the whole sentence, which is its proof.

    Without the subject a sentence that begins otherwise ("In 1853 …") loses against those that echo the question's. The short
    answer is of the kind the question asks for, which the base knows how to give: without it an unseen "Who …?" is answered
    with what stands in no other sentence's way, mostly the document's first.
    """
    first = "" if not short or sentence.startswith(short) else f"{short}. "
    return f"{title}: {first}{sentence}" if title else f"{first}{sentence}"


def tells(check: Check, title: str, sentence: str) -> bool:
    """Is the answer to *check* this *sentence* about *title*, whatever short answer stands before it?"""
    return check.answer == told(title, sentence) or check.answer.endswith(f". {sentence}")


def example(row: SelfEdit | Memory, old: bool = False) -> Example:
    """A row as it is trained."""
    said = told(row.title, row.completion, row.gold) if row.prompt else row.completion
    origin = row.origin if isinstance(row, SelfEdit) else "rehearsal"
    return Example(row.prompt, said, row.title, old=old, origin=origin)


def reserve(
    edits: Sequence[SelfEdit], seed: int, was: Was | None = None, shown: Collection[str] = ()
) -> list[SelfEdit]:
    """
    Reserve some proved questions as checks: one of each fact, and second ones of the facts that have most where a passage (of a
    newer text: what changed in it) would have too few to be judged by. *was* maps a sentence to the older ones it replaces; the
    gold answer must then be something these did not say. No wording in *shown* is reserved.
    """
    was = was or {}
    order, left = random.Random(seed), _asked(edits)
    facts = list(dict.fromkeys(edit.fact for edit in edits))
    richest = [fact for fact, _ in left.most_common(_RICHEST)]
    wanted = [fact for fact in facts if fact in was] or facts
    chosen: dict[str, str] = {}

    def keep_back(fact: str) -> bool:
        for style in _CHECKABLE:
            options = [e for e in edits if e.fact == fact and e.style == style and not e.refused and _gold(e, was)]
            if free := [e.id for e in options if e.id not in chosen and wording(e.prompt) not in shown]:
                chosen[order.choice(free)] = fact
                left[fact] -= 1
                return True
        return False

    for fact in facts:
        if left[fact] >= _SPARE or (left[fact] >= 2 and fact in richest):  # else all are needed to teach it
            keep_back(fact)
    for least, most in _GIVES:
        giving = set(wanted)
        while sum(fact in wanted for fact in chosen.values()) < most:
            giving = {fact for fact in giving if left[fact] > least}
            if not giving:
                break
            richest_left = max(giving, key=lambda fact: (left[fact], -facts.index(fact)))
            if not keep_back(richest_left):
                giving.remove(richest_left)
    return [
        edit.model_copy(update={"reserved": True}) if edit.id in chosen and not edit.refused else edit for edit in edits
    ]


def _gold(edit: SelfEdit, was: Was) -> str:
    """What an answer to *edit*'s question must hold: its short answer, unless an older text said that too; "" if unsure."""
    if not edit.gold and negated(edit.fact) and not negated(edit.prompt):
        return ""
    old = " ".join(was.get(edit.fact, ()))
    said_before = not edit.gold or stands(edit.gold, old)
    return key_span(edit.fact, f"{edit.prompt} {edit.title} {old}") if said_before else edit.gold


def _check(edit: SelfEdit, was: Was) -> Check:
    answer = told(edit.title, edit.completion, edit.gold)
    return _kept_back(edit.document, edit.prompt, _gold(edit, was), answer)


def _kept_back(document: str, question: str, gold: str, answer: str) -> Check:
    key = content_id("c", document, question, gold)
    return Check(id=key, kind="fact", question=question, gold=gold, answer=answer, document=document)
