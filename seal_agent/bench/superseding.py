"""
Newer texts of documents that were learned: is the new value given, is the old one still, does what did not change stay?

Promises: the questions asked of a document before and after are the same, and nobody else reads them; near misses are
questions of the same kind about the same document whose answer did not change; an answer is stale that gives the old value
and not the new one; nothing is routed to the base; a finished step is kept.
Does not promise: values that changed in other words than the older text's. The newer texts differ in five values each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seal_agent.bench import keeping
from seal_agent.bench.arms import MAKERS, Arm
from seal_agent.bench.shipped import corpus
from seal_agent.errors import ConfigError
from seal_agent.judging.grading import correct
from seal_agent.judging.quiz import Answerer
from seal_agent.judging.statistics import share_interval
from seal_agent.parts import Say, silent
from seal_agent.records import Document

ARMS = ("full", "store", "store_all")
_SHARES = ("old_before", "new", "stale", "kept_before", "kept_after", "kept_of_those_right")
_TRIES = 2  # consolidations of one step: what is refused once is tried once more


def run(
    out: Path,
    n: int = 10,
    arms: Sequence[str] = (),
    model: str | None = None,
    say: Say = silent,
    say_line: Callable[[str], None] = silent,
) -> dict[str, Any]:
    """*n* documents learned together, then their newer texts. Homes and finished steps are kept in *out*."""
    newer = corpus("superseding")
    if not 1 <= n <= len(newer):
        raise ConfigError(f"--n {n}: there are {len(newer)} documents with a newer text")
    arms = keeping.chosen(arms, ARMS)
    folder = out / keeping.named(f"superseding-{n}", model, newer=newer[:n])
    found = {name: _lived(name, newer[:n], folder, model, say, say_line) for name in arms}
    counted = {name: _counted(newer[:n], story) for name, story in found.items()}
    return {"arms": counted, "documents": n, "n": n, "seeds": [0]}


def _lived(
    name: str,
    newer: Sequence[dict[str, Any]],
    folder: Path,
    model: str | None,
    say: Say,
    say_line: Callable[[str], None],
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{name}.json"
    story: dict[str, Any] = keeping.read(kept, {})
    # a store that knows no names keeps both texts
    arm, named = MAKERS["store" if name == "store_all" else name](folder / name, model, say), name != "store_all"
    of = {one["id"]: one for one in corpus("invented")}
    steps = {
        "before": [_document(of[one["id"]], of[one["id"]]["text"], named) for one in newer],
        "after": [_document(of[one["id"]], one["text"], named) for one in newer],
    }
    for step, documents in steps.items():
        if step not in story:
            if "learned" not in story:  # what is learned is not learned again, whatever happens while it is asked about
                began = time.monotonic()
                outcomes = _learned(arm, documents)
                story["learned"] = {"outcomes": outcomes, "seconds": time.monotonic() - began}
                keeping.write(kept, story)
            story[step] = {**story.pop("learned"), "said": _said(arm.asked(), newer)}
            outcomes, spent = story[step]["outcomes"], story[step]["seconds"]
            keeping.write(kept, story)
            say_line(f"{name}, {step}: {', '.join(outcomes)} in {spent:.0f} s")
    return story


def _document(one: dict[str, Any], text: str, named: bool) -> Document:
    return Document(text=text, title=one["title"], external_id=one["id"] if named else "")


def _learned(arm: Arm, documents: Sequence[Document]) -> list[str]:
    outcomes = [arm.learn(documents)]
    while outcomes[-1] in ("rejected", "undecided") and len(outcomes) < _TRIES:
        outcomes.append(arm.learn([]))
    return outcomes


def _said(asked: Answerer, newer: Sequence[dict[str, Any]]) -> list[str]:
    questions = [fact["question"] for one in newer for fact in (*one["facts"], *one["kept"])]
    return [answer.text for answer in asked.ask_all(questions)]


def _counted(newer: Sequence[dict[str, Any]], story: dict[str, Any]) -> dict[str, Any]:
    """Shares of the superseded facts and of the near misses; in their intervals all questions of a document count together."""
    facts = [(one["id"], fact) for one in newer for fact in (*one["facts"], *one["kept"])]
    found: dict[str, list[tuple[str, bool]]] = {name: [] for name in _SHARES}
    for (document, fact), before, after in zip(facts, story["before"]["said"], story["after"]["said"], strict=True):
        new = correct(fact["answer"], after)
        if "stale" in fact:
            told = {"old_before": correct(fact["stale"], before), "new": new}
            told["stale"] = correct(fact["stale"], after) and not new
        else:
            told = {"kept_before": correct(fact["answer"], before), "kept_after": new}
            if told["kept_before"]:
                told["kept_of_those_right"] = new
        for name, right in told.items():
            found[name].append((document, right))
    return {
        **{name: _share(of) for name, of in found.items()},
        "outcomes": {step: story[step]["outcomes"] for step in ("before", "after")},
        "seconds": {step: story[step]["seconds"] for step in ("before", "after")},
    }


def _share(of: Sequence[tuple[str, bool]]) -> dict[str, Any]:
    rights = [right for _, right in of]
    low, high = share_interval(rights, [document for document, _ in of])
    return {"value": sum(rights) / max(1, len(rights)), "low": low, "high": high, "n": len(rights)}


def told(result: dict[str, Any]) -> str:
    """The result as a table for people."""
    lines = [" " * 10 + "".join(f"{name.replace('_', ' '):>22}" for name in _SHARES)]
    for name, arm in result["arms"].items():
        cells = [f"{arm[k]['value']:.0%} of {arm[k]['n']}" for k in _SHARES]
        lines.append(f"{name:10}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)
