"""
Where answers come from: which differ between two versions, which consolidation changed one, from what documents it may be.

Promises: `diff` asks both versions all that is checked now, and what was kept back of the documents that either learned;
`bisect` finds a consolidation after which the question is answered as it is now and before which it was not, in about log₂ of
the versions; `why` names sentences that a version in the live one's line was taught, and the version that learned them.
Does not promise: the only one. An answer may have changed to and fro; bisect finds one of the changes, as git does. Nor that
the model used the sentences that `why` names: they are the nearest to the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seal_agent.errors import SealError
from seal_agent.judging.grading import correct, normalise

if TYPE_CHECKING:
    from seal_agent.agent import SealAgent
    from seal_agent.journal import Journal
    from seal_agent.records import Answer


def diff(agent: SealAgent, older: int, newer: int) -> dict[str, Any]:
    """
    Which checks versions *older* and *newer* (0 is the base) answer in other words, as rows {question, gold, kind, before,
    after, was_right, is_right}, and how many became right or wrong (general checks have no gold and are never right).
    Raises SealError for a version that cannot be served.
    """
    journal = agent.journal
    learned = [document for number in (older, newer) for document in _learned(journal, number)]
    facts = {check.id: check for check in (*journal.checks.all("fact"), *journal.checks.of(learned))}
    checks = [*facts.values(), *journal.checks.all("user"), *journal.checks.all("general")]
    said = [agent.ask_all([check.question for check in checks], number) for number in (older, newer)]
    rows = []
    for check, before, after in zip(checks, *said, strict=True):
        right = correct(check.gold, before.text), correct(check.gold, after.text)
        if normalise(before.text) != normalise(after.text):
            row = {"question": check.question, "gold": check.gold, "kind": check.kind, "before": before.text}
            rows.append({**row, "after": after.text, "was_right": right[0], "is_right": right[1]})
    gained, lost = (sum(r["is_right"] is now and r["was_right"] is not now for r in rows) for now in (True, False))
    return {"older": older, "newer": newer, "n": len(checks), "gained": gained, "lost": lost, "changed": rows}


def _learned(journal: Journal, number: int) -> list[str]:
    """Ids of the documents that version *number* and its ancestors learned."""
    learned: list[str] = []
    at: int | None = number
    while at:
        learned += journal.versions.learned_by(at)
        at = journal.versions.one(at).parent
    return learned


def bisect(agent: SealAgent, question: str) -> dict[str, Any]:
    """
    The version that changed the answer to *question* into the one given now: {version, before, after, documents, asked}.
    version is 0, and documents is empty, if the untouched base says the same, or is the one who answers what names nothing
    that was learned. Raises SealError on an empty question.
    """
    now = _asked(agent, question)
    served = agent.journal.versions.line() if now.version else []
    line = [0, *(v.number for v in served if v.number <= now.version and not agent.problems_of(v))]
    asked = {line[-1]: now.text}

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
        "documents": agent.journal.versions.learned_by(line[high]),
        "asked": len(asked),
        "versions": len(line),
    }


def why(agent: SealAgent, question: str) -> dict[str, Any]:
    """
    The answer to *question* and where it may come from: {question, answer, version, documents}, the last as rows {document,
    title, sentence, likeness, version}: the taught sentence nearest to the answer (cosine), and the version that learned it.
    Without documents if the base answers. Raises SealError on an empty question.
    """
    now = _asked(agent, question)
    nearest = agent.nearest(now.text) if now.version else []
    versions = agent.journal.versions
    by = {document: one.number for one in versions.line() for document in versions.learned_by(one.number)}
    rows = [
        {
            "document": memory.document,
            "title": memory.title,
            "sentence": memory.completion,
            "likeness": likeness,
            "version": by.get(memory.document),
        }
        for memory, likeness in nearest
    ]
    return {"question": question, "answer": now.text, "version": now.version, "documents": rows}


def _asked(agent: SealAgent, question: str) -> Answer:
    if not question.strip():
        raise SealError("there is no question; give one in quotes")
    return agent.ask(question)
