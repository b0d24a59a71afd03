"""
Two versions side by side: which answers differ, and which consolidation changed one.

Promises: `diff` asks both versions every check the journal holds; `bisect` finds a consolidation after which the
question is answered as it is now and before which it was not, in about log₂ of the versions.
Does not promise: the only one. An answer may have changed to and fro; bisect finds one of the changes, as git does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seal_agent.errors import SealError
from seal_agent.judging.grading import correct, normalise

if TYPE_CHECKING:
    from seal_agent.agent import SealAgent


def diff(agent: SealAgent, older: int, newer: int) -> dict[str, Any]:
    """
    Which checks versions *older* and *newer* (0 is the base) answer in other words, as rows {question, gold, kind, before,
    after, was_right, is_right}, and how many became right or wrong (general checks have no gold and are never right).
    Raises SealError for a version that cannot be served.
    """
    checks = [check for kind in ("fact", "user", "general") for check in agent.journal.checks(kind)]
    said = [agent.ask_all([check.question for check in checks], number) for number in (older, newer)]
    rows = []
    for check, before, after in zip(checks, *said, strict=True):
        right = correct(check.gold, before.text), correct(check.gold, after.text)
        if normalise(before.text) != normalise(after.text):
            row = {"question": check.question, "gold": check.gold, "kind": check.kind, "before": before.text}
            rows.append({**row, "after": after.text, "was_right": right[0], "is_right": right[1]})
    gained, lost = (sum(r["is_right"] is now and r["was_right"] is not now for r in rows) for now in (True, False))
    return {"older": older, "newer": newer, "n": len(checks), "gained": gained, "lost": lost, "changed": rows}


def bisect(agent: SealAgent, question: str) -> dict[str, Any]:
    """
    The version that changed the answer to *question* into the one given now: {version, before, after, documents, asked}.
    version is 0, and documents is empty, if the untouched base says the same. Raises SealError on an empty question.
    """
    if not question.strip():
        raise SealError("there is no question to bisect; give one in quotes")
    line = [0, *(version.number for version in agent.journal.line())]
    asked: dict[int, str] = {}

    def say(number: int) -> str:
        if number not in asked:
            asked[number] = agent.ask(question, number).text
        return asked[number]

    def as_now(number: int) -> bool:
        return normalise(say(number)) == normalise(say(line[-1]))

    low, high = 0, len(line) - 1
    if as_now(line[low]):
        high = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if as_now(line[middle]) else (middle, high)
    return {
        "question": question,
        "version": line[high],
        "before": say(line[low]),
        "after": say(line[-1]),
        "documents": agent.journal.learned_by(line[high]),
        "asked": len(asked),
        "versions": len(line),
    }
