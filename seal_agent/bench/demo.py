"""
The main job, shown: an invented corpus streamed in waves, each consolidated, with recall and retention before and after.

Promises: the measured questions are read here and nowhere else; nothing is routed to the base but in the line that says so;
what is printed is what was measured, a rejected wave included.
Does not promise: the figures on other documents. `observe`, `consolidate` and `quiz` measure those.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seal_agent import agent as agents
from seal_agent.bench.drawing import panels
from seal_agent.bench.shipped import corpus, general, items
from seal_agent.errors import ConfigError
from seal_agent.judging.quiz import quiz, seen
from seal_agent.judging.statistics import paired_interval, share_interval
from seal_agent.parts import Say, silent
from seal_agent.records import Document

UNWRITTEN = ("facts", "asked", "interview")  # the styles without a row that the model wrote
_WAVES = {False: (6, 3), True: (24, 6)}  # documents and waves, without and with --full


def run(
    home: Path,
    full: bool = False,
    seed: int = 0,
    model: str | None = None,
    picture: Path | None = None,
    say: Say = silent,
    say_line: Callable[[str], None] = silent,
    **settings: Any,
) -> dict[str, Any]:
    """The whole demo in *home*; *say_line* gets a line for people now and then. Returns the document of `demo --json`."""
    count, number = _WAVES[full]
    documents = corpus("invented")[:count]
    size = count // number
    waves = [documents[at : at + size] for at in range(0, count, size)]
    clock = Clock()
    with agents.open(home, model=model, say=say, seed=seed, **settings) as agent:
        if agent.status()["documents"]["total"]:
            raise ConfigError(f"{home} has read documents already; the demo needs a new --home")
        with clock("measuring"):
            asked = general()
            say_line("asking the untouched base")
            base_general = quiz(agent, asked, version=0)
            before = quiz(agent, items(documents), version=0)
            open_book = quiz(agent, items(documents), version=0, open_book=True)
        matrix, story = [], []
        for index, wave in enumerate(waves):
            story.append(_wave(agent, index, wave, clock, say_line))
            with clock("measuring"):
                matrix.append([quiz(agent, items(w), _live(agent))["accuracy"] for w in waves[: index + 1]])
            say_line("recall by wave: " + " ".join(f"{value:.0%}" for value in matrix[-1]))
        with clock("measuring"):
            # a version that is named answers everything itself; where none is, the base answers what names nothing learned
            after = quiz(agent, items(documents), _live(agent))
            after_general, scoped = quiz(agent, asked, _live(agent)), quiz(agent, asked)
        titles = [item["title"] for item in items(documents)]
        result = {
            "recall": {
                "before": before["accuracy"],
                "after": after["accuracy"],
                "interval": share_interval([row["correct"] for row in after["rows"]], titles),
                "open_book": open_book["accuracy"],
                "n": after["n"],
                "f1": after["f1"],
                "shuffled": after["shuffled"],
                "seen_wordings": sum(seen(items(documents), agent.journal.memories.prompts())),
            },
            "general": _kept(base_general, after_general),
            "general_scoped": _kept(base_general, scoped),
            "matrix": matrix,
            "waves": story,
            "versions": [v.model_dump(mode="json", exclude={"report"}) for v in agent.versions()],
            "token_share": _share(story),
            "seconds": {**clock.seconds, "total": clock.total()},
            "seed": seed,
            "rows": after["rows"],
        }
    if picture:
        draw(result, picture)
    return result


def _live(agent: agents.SealAgent) -> int:
    return int(agent.status()["live"])


def _wave(
    agent: agents.SealAgent,
    index: int,
    wave: Sequence[dict[str, Any]],
    clock: Clock,
    say_line: Callable[[str], None],
) -> dict[str, Any]:
    receipts = []
    with clock("reading and writing"):
        for item in wave:
            receipts.append(agent.observe(Document(text=item["text"], title=item["title"])))
            last = receipts[-1]
            say_line(
                f"wave {index + 1}: {item['title']}: {last.decision.action}, {last.edits} edits, {last.refused} refused"
            )
    started = time.monotonic()
    done = agent.consolidate()
    training = done.report.training if done.report else {}
    spent = float(training.get("seconds", 0.0))
    clock.add("training", spent)
    clock.add("remembering and judging", time.monotonic() - started - spent)
    say_line(f"wave {index + 1}: {done.outcome}: {done.reason}")
    return {
        "decisions": [receipt.decision.action for receipt in receipts],
        "edits": sum(receipt.edits for receipt in receipts),
        "refused": sum(receipt.refused for receipt in receipts),
        "outcome": done.outcome,
        "reason": done.reason,
        "training": training,
    }


def _kept(base: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """General answers before and after; *kept* is the share of what the base had right that is still right."""
    pairs = [(b["correct"], a["correct"]) for b, a in zip(base["rows"], after["rows"], strict=True)]
    low, high = paired_interval([float(a) - float(b) for b, a in pairs])
    had = [a for b, a in pairs if b]
    return {
        "base": base["accuracy"],
        "after": after["accuracy"],
        "n": len(pairs),
        "difference": after["accuracy"] - base["accuracy"],
        "interval": [low, high],
        "base_right": len(had),
        "kept": sum(had) / max(1, len(had)),
    }


def _share(story: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Share of all trained tokens by origin."""
    trained = [(wave["training"].get("tokens", 1), wave["training"]["origin"]) for wave in story if wave["training"]]
    every = sum(tokens for tokens, _ in trained)
    names = sorted({name for _, share in trained for name in share})
    return {name: sum(tokens * share.get(name, 0.0) for tokens, share in trained) / every for name in names}


def told(result: dict[str, Any]) -> str:
    """The result as a table for people."""
    recall, general = result["recall"], result["general"]
    low, high = general["interval"]
    lines = [
        f"recall, {recall['n']} unseen wordings   before {recall['before']:.0%}   after {recall['after']:.0%}   "
        f"(open book {recall['open_book']:.0%}, against shuffled answers {recall['shuffled']:.0%}, F1 {recall['f1']:.2f})",
        f"general, {general['n']} questions         base {general['base']:.1%}   after {general['after']:.1%}   "
        f"(difference {100 * general['difference']:+.1f} points, 95 % from {100 * low:+.1f} to {100 * high:+.1f}; "
        f"of {general['base_right']} the base had right {general['kept']:.0%} still are)",
        f"general, where the base answers what names nothing learned: {result['general_scoped']['after']:.1%} "
        f"(difference {100 * result['general_scoped']['difference']:+.1f} points)",
        "recall of each wave after each consolidation:",
        *("   " + " ".join(f"{value:5.0%}" for value in row) for row in result["matrix"]),
        "training tokens: " + ", ".join(f"{name} {share:.0%}" for name, share in result["token_share"].items()),
        "seconds: " + ", ".join(f"{stage} {spent:.0f}" for stage, spent in result["seconds"].items()),
    ]
    return "\n".join(lines)


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.monotonic()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.add(stage, time.monotonic() - started)

    def add(self, stage: str, seconds: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def total(self) -> float:
        return time.monotonic() - self._started


def draw(result: dict[str, Any], picture: Path) -> None:
    """Recall before and after, recall of each wave after each later wave, general questions: one PNG."""
    recall, general, matrix = result["recall"], result["general"], result["matrix"]
    with panels(picture, 3, (11, 3.4)) as (_, (left, middle, right)):
        bars = left.bar(
            ["before", "after", "open book"],
            [100 * recall[k] for k in ("before", "after", "open_book")],
            color=["#bbb", "#2a7", "#79b"],
        )
        left.bar_label(bars, fmt="%.0f %%")
        left.set(title=f"Recall, {recall['n']} unseen wordings", ylim=(0, 112), ylabel="right, %")
        waves = range(1, len(matrix) + 1)
        for wave in waves:
            middle.plot(
                range(wave, len(matrix) + 1),
                [100 * row[wave - 1] for row in matrix[wave - 1 :]],
                marker="o",
                label=f"wave {wave}",
            )
        middle.set(title="Each wave after later ones", xlabel="consolidations", ylim=(0, 112), xticks=list(waves))
        middle.legend(fontsize=8)
        bars = right.bar(["base", "after"], [100 * general["base"], 100 * general["after"]], color=["#bbb", "#2a7"])
        right.bar_label(bars, fmt="%.1f %%")
        right.set(title=f"General questions, n = {general['n']}", ylim=(0, 112))
