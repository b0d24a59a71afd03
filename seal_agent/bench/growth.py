"""
Does a consolidation get slower as a home grows? Everything around the model's own work, on homes of growing history.

Promises: real SQLite, the real mix, gate and publishing; what the model would be given is counted (rows to train, questions
to ask), since that is what its time follows. Figures are medians of a few repetitions.
Does not promise: the model's seconds; `bench speed` has them. Rows and answers here are made up.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seal_agent.agent import SealAgent
from seal_agent.parts import Say, silent
from seal_agent.records import Candidate, Check, Decision, Document, GateReport, SelfEdit, content_id
from seal_agent.testing import FakeEmbedder, FakeLearner, fake_agent

DOCUMENTS = (100, 500, 1500)  # the last makes 100,000 memories
_TOGETHER = 10  # documents of one consolidation
_FACTS, _QUESTIONS = 6, 10  # sentences of a document, questions about each
_EDIT = Decision(action="edit", reason="made up")


class Counting(FakeLearner):
    """Answers nothing and learns nothing, at once; counts what it is asked."""

    asked = 0

    def answer(self, questions: Sequence[str], adapter: Path | None, *given: Any, **how: Any) -> list[str]:
        self.asked += len(questions)
        return [""] * len(questions)

    def score(
        self, pairs: Sequence[tuple[str, str]], adapter: Path | None, *, raw: bool = False
    ) -> list[tuple[float, int]]:
        return [(-1.0, 1)] * len(pairs)


def run(documents: Sequence[int] = DOCUMENTS, say: Say = silent) -> Any:
    """
    At each size of *documents*: seconds of mixing, gating and publishing ten more, and what the model is given.

    slope_seconds: by how much these seconds together grow per 100 documents.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="seal-growth-") as scratch:
        learner = Counting()
        with fake_agent(Path(scratch), learner) as agent:
            done = 0
            for size in documents:
                while done < size:
                    _consolidated(agent, _taught(agent, done))
                    done += _TOGETHER
                    say("growing", done / max(documents))
                rows.append({"documents": done, **_measured(agent, learner, done)})
                done += 3 * _TOGETHER
    spent = [sum(row[key] for key in ("mix_seconds", "gate_seconds", "publish_seconds")) for row in rows]
    hundreds = (rows[-1]["documents"] - rows[0]["documents"]) / 100
    return {"rows": rows, "slope_seconds": (spent[-1] - spent[0]) / hundreds if hundreds else 0.0}


def _measured(agent: SealAgent, learner: Counting, done: int) -> dict[str, float]:
    """Three consolidations more, timed part by part."""
    parts: dict[str, list[float]] = {"mix_seconds": [], "gate_seconds": [], "publish_seconds": []}
    for turn in range(3):
        edits = _taught(agent, done + turn * _TOGETHER)
        began = time.perf_counter()
        examples = agent.rooms.mix(edits, agent.journal)
        mixed = time.perf_counter()
        learner.asked = 0
        names = list(dict.fromkeys(edit.document for edit in edits))
        agent.rooms.judge(learner, agent.journal, names, None, Path("candidate"), agent.say)
        judged = time.perf_counter()
        _consolidated(agent, edits)
        for key, seconds in zip(parts, (mixed - began, judged - mixed, time.perf_counter() - judged), strict=True):
            parts[key].append(seconds)
    counted = {
        "memories": agent.journal.memories.count(),
        "versions": len(agent.journal.versions.all()),
        "rows_trained": sum(not e.anchor for e in examples),
        "questions_asked": learner.asked,
    }
    return {**{key: statistics.median(seconds) for key, seconds in parts.items()}, **counted}


def _taught(agent: SealAgent, first: int) -> list[SelfEdit]:
    """Ten more documents in the journal, decided and written."""
    rows: list[SelfEdit] = []
    for number in range(first, first + _TOGETHER):
        said = [f"Place {number} has thing {fact} of kind {number * _FACTS + fact}." for fact in range(_FACTS)]
        document = Document(text=" ".join(said), title=f"Place {number}")
        edits = [_row(document, fact, "") for fact in said]
        edits += [_row(document, fact, f"Question {q} about {fact}?") for fact in said for q in range(_QUESTIONS)]
        checks = [
            Check(id=content_id("c", fact), kind="fact", question=f"Which {fact}?", gold="x", document=document.id)
            for fact in said
        ]
        agent.journal.record(document, _EDIT, edits, checks)
        rows += edits
    return rows


def _row(document: Document, fact: str, prompt: str) -> SelfEdit:
    return SelfEdit(
        document=document.id,
        style="grown",
        origin="written" if prompt else "verbatim",
        prompt=prompt,
        completion=fact,
        fact=fact,
        title=document.title,
    )


def _consolidated(agent: SealAgent, edits: Sequence[SelfEdit]) -> None:
    """What waits becomes a version, as if trained and accepted."""
    number = len(agent.journal.versions.all())
    run = content_id("r", str(number))
    candidate = Candidate(run=run, path=f"adapters/{run}", digest=run, parent=agent.journal.versions.live_number())
    memories = agent.rooms.memories(edits)
    fence, _ = agent.journal.buffer.claim(run)
    report = GateReport(outcome="accepted", reason="made up")
    agent.journal.publish(candidate, report, run, fence, memories, FakeEmbedder.fingerprint)
