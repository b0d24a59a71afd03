"""
Does it know what is worth learning? A stream of 70 documents after 20 were learned, decided on one by one.

Promises: "decide_shown" is for measuring only, "decide_tuning" for choosing thresholds; nothing of the stream is
learned meanwhile, so every decision faces the same weights.
Does not promise: the same shares on another base or another kind of text.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from seal_agent import agent as agents
from seal_agent.bench import shipped
from seal_agent.errors import ConfigError, SealError
from seal_agent.judging.statistics import interval
from seal_agent.parts import Say, silent
from seal_agent.records import Document

_TRIES = 2  # consolidations: what is refused once is tried once more
NEW, OLD = ("new", "changed"), ("reworded", "duplicate", "noise")


def run(
    home: Path,
    which: str = "decide_shown",
    model: str | None = None,
    say: Say = silent,
    **settings: Any,
) -> dict[str, Any]:
    """Learn the corpus' 20 documents in *home*, decide on its stream, roll back and decide on the reworded ones again."""
    texts = shipped.corpus(which)
    started = time.monotonic()
    with agents.open(home, model=model, say=say, **settings) as agent:
        if not agent.versions():
            for item in texts["learned"]:
                agent.observe(_document(item))
        elif not all(agent.journal.document(_document(item).id) for item in texts["learned"]):
            raise ConfigError(f"{home} has learned something else than {which}; give a --home of its own")
        left = [version.number for version in agent.versions() if version.status == "retired"]
        if left and not agent.status()["live"]:  # a run that was killed while the base was live
            agent.rollback(left[-1])
        if not (live := agent.status()["live"]):
            live = _learned(agent)
        rows = []
        for number, item in enumerate(texts["stream"]):
            say("deciding", number / len(texts["stream"]))
            document = _document(item)
            known = agent.journal.attest(document)
            decision = agent.decide(document)
            action = "skip" if known else decision.action
            rows.append(
                {
                    "id": item["id"],
                    "kind": item["kind"],
                    "action": action,
                    "numbers": decision.numbers,
                    "reason": decision.reason,
                }
            )
        agent.rollback(0)
        reworded = [agent.decide(_document(item)).action for item in texts["stream"] if item["kind"] == "reworded"]
        agent.rollback(live)
    found = [row["action"] != "skip" for row in rows if row["kind"] in NEW]
    skipped = [row["action"] == "skip" for row in rows if row["kind"] in OLD]
    return {
        "corpus": which,
        "n": len(rows),
        "seeds": [agent.settings.seed],
        "new_found": [sum(found), len(found)],
        "old_skipped": [sum(skipped), len(skipped)],
        "intervals": {
            "new_found": interval(sum(found), len(found)),
            "old_skipped": interval(sum(skipped), len(skipped)),
        },
        "by_kind": {kind: dict(Counter(r["action"] for r in rows if r["kind"] == kind)) for kind in (*NEW, *OLD)},
        "reworded_after_rollback": dict(Counter(reworded)),
        "live": live,
        "seconds": time.monotonic() - started,
        "rows": rows,
    }


def _learned(agent: agents.SealAgent) -> int:
    """The version that learned what waits; SealError if none does. What is refused once is tried once more."""
    for _ in range(_TRIES):
        done = agent.consolidate()
        if done.outcome == "accepted":
            return done.version
    raise SealError(
        f"nothing was learned that a decision could rest on ({done.outcome}: {done.reason}); take another --home"
    )


def _document(item: dict[str, Any]) -> Document:
    return Document(text=item["text"], title=item["title"], source=item.get("source", "stream"))
