"""
Documents in a row: what is known of all of them after each, for our policy, for parts of it, for SEAL's, for a vector store.

Promises: every arm sees the same documents in the same order and is asked the same questions, which nobody else reads;
nothing is routed to the base but in the arm that says so; a finished step is kept in the folder and not done again.
Does not promise: SEAL at its own size. Its policy (a fresh adapter for each document, trained on the implications the model
writes, merged, nothing rehearsed, nothing judged) runs on the same model and engine as ours.

Source: the continual self-edit protocol of SEAL (arXiv 2506.10943, section 4.3), with questions of all documents so far.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from seal_agent.bench import keeping
from seal_agent.bench.arms import MAKERS, Arm
from seal_agent.bench.drawing import panels
from seal_agent.bench.shipped import corpus, general, items
from seal_agent.errors import ConfigError
from seal_agent.judging.quiz import Item, by_passage, quiz, seen
from seal_agent.judging.statistics import paired_interval
from seal_agent.parts import Say, silent
from seal_agent.records import Document
from seal_agent.remembering import metrics

SCOPED = "full_scoped"  # the full arm again, asked with scope after each step
ARMS = (*MAKERS, SCOPED)
_QUICK, _FEW = ("full", "store"), 2  # arms and documents of a quick look,
_SPARSE = 8  # and of the general questions one in so many
_ONE_BY_ONE = 20  # documents up to which each is consolidated by itself; beyond that ten at a time, as in daily use


@dataclass(frozen=True)
class Lesson:
    """A document and the questions about it."""

    document: Document
    items: tuple[Item, ...]


def lessons(data: Path | None, n: int, seed: int) -> list[Lesson]:
    """*n* documents in an order of their own for each *seed*: built-in invented ones, or SEAL's passages in *data*."""
    if data is None:
        told_of = [*corpus("invented"), *(corpus("invented_more") if n > len(corpus("invented")) else [])]
        found = [Lesson(Document(text=d["text"], title=d["title"]), tuple(items([d]))) for d in told_of]
    else:
        told = by_passage(data / "passages.json")
        found = [Lesson(Document(text=text, title=title), tuple(of)) for (title, text), of in told.items()]
    if n > len(found):
        raise ConfigError(f"--n {n}: there are {len(found)} documents; give a smaller number or another --data")
    return random.Random(seed).sample(found, n)


def run(
    out: Path,
    data: Path | None = None,
    n: int = 8,
    seeds: int = 1,
    arms: Sequence[str] = (),
    quick: bool = False,
    model: str | None = None,
    say: Say = silent,
    say_line: Callable[[str], None] = silent,
) -> dict[str, Any]:
    """
    The whole bench, some *arms* of it, or a *quick* look that shows that all runs and measures nothing; homes and finished
    steps are kept in *out*. Returns the document of `bench stream`.
    """
    arms, n = keeping.chosen(arms, ARMS, _QUICK if quick else ()), min(n, _FEW) if quick else n
    others = general()[:: _SPARSE if quick else 1]
    name = f"{data.name if data else 'invented'}-{n}{'-quick' if quick else ''}"
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
    homes = list(dict.fromkeys("full" if arm == SCOPED else arm for arm in arms))
    for seed in range(seeds):
        chosen = lessons(data, n, seed)
        folder = out / keeping.named(f"{name}-{seed}", model, lessons=chosen)
        folder.mkdir(parents=True, exist_ok=True)
        for home in homes:
            for arm, story in _lived(home, chosen, others, folder, model, data is not None, say, say_line).items():
                if arm in found:
                    found[arm].append(story)
    return {
        "arms": {arm: _summed(of) for arm, of in found.items()},
        "corpus": name,
        "n": n,
        "seeds": list(range(seeds)),
        "questions": sum(len(lesson.items) for seed in range(seeds) for lesson in lessons(data, n, seed)),
    }


def _lived(
    home: str,
    chosen: Sequence[Lesson],
    others: Sequence[Item],
    folder: Path,
    model: str | None,
    topic: bool,
    say: Say,
    say_line: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """
    The story of one home through one stream, by arm: for the base and after each step a row of right answers by lesson; ahead:
    the same of each lesson just before it came.

    Two arms live in the home of "full": it is asked plainly, and with scope.
    """
    kept = folder / f"{home}.json"
    names = [home, SCOPED] if home == "full" else [home]
    new: dict[str, Any] = {"seconds": [], "rows": {name: [] for name in names}, "ahead": {name: [] for name in names}}
    story: dict[str, Any] = keeping.read(kept, new)
    size = 1 if len(chosen) <= _ONE_BY_ONE else 10
    arm = MAKERS[home](folder / home, model, say)

    def asked(of: Sequence[Lesson], name: str, version: int | None = None, shown: bool = False) -> list[list[bool]]:
        wanted = [item for lesson in of for item in lesson.items]
        given = quiz(arm.asked(name == SCOPED), wanted, version, open_book=shown, topic=topic)
        right = iter(row["correct"] for row in given["rows"])
        return [[next(right) for _ in lesson.items] for lesson in of]

    def keep(**more: Any) -> None:
        story.update(more)
        keeping.write(kept, story)

    if "base" not in story:
        before = [row["correct"] for row in quiz(arm.asked(), others, 0)["rows"]]
        keep(base=asked(chosen, home, 0), open_book=asked(chosen, home, 0, shown=True), general_before=before)
    for step in range(len(story["seconds"]), -(-len(chosen) // size)):
        if "learned" not in story:  # what is learned is not learned again, whatever happens while it is asked about
            coming = chosen[step * size : (step + 1) * size]
            for name, known in story.get("ahead", {}).items():  # an older version asked nothing ahead
                if len(known) == step * size:
                    known += asked(coming, name) if step else story["base"][:size]
            keep()
            began = time.monotonic()
            outcome = arm.learn([lesson.document for lesson in coming])
            keep(learned=[outcome, time.monotonic() - began])
        outcome, spent = story.pop("learned")
        seen = chosen[: (step + 1) * size]
        rows = {name: [*story["rows"][name], asked(seen, name)] for name in names}
        keep(rows=rows, seconds=[*story["seconds"], spent])
        shares = " ".join(f"{_mean([right]):.0%}" for right in rows[home][-1])
        say_line(f"{home}, step {step + 1}: {outcome} in {spent:.0f} s; {shares}")
    if "end" not in story:
        keep(end={name: _in_the_end(arm, name, chosen, others, topic) for name in names})
    same = {key: story[key] for key in ("base", "open_book", "general_before", "seconds")}
    same["documents"] = [lesson.document.id for lesson in chosen]  # SEAL's passages share their titles
    of = {
        name: {"rows": story["rows"][name], "ahead": story.get("ahead", {}).get(name), "size": size} for name in names
    }
    return {name: {**same, **story["end"][name], **of[name]} for name in names}


def _in_the_end(arm: Arm, name: str, chosen: Sequence[Lesson], others: Sequence[Item], topic: bool) -> dict[str, Any]:
    """General answers after everything, what an answer costs, and what else tells of the answers of the last row."""
    wanted = [item for lesson in chosen for item in lesson.items]
    began = time.monotonic()
    given = quiz(arm.asked(name == SCOPED), wanted, topic=topic)
    pace = (time.monotonic() - began) / len(wanted)
    right = [row["correct"] for row in quiz(arm.asked(name == SCOPED), others)["rows"]]
    return {
        "general_after": right,
        "seconds_per_answer": pace,
        "prompt_tokens": fmean([arm.prompt_tokens(item["question"]) for item in wanted]),
        "f1": given["f1"],
        "shuffled": given["shuffled"],
        "answers": [row["answer"] for row in given["rows"]],
        "seen": seen(wanted, arm.prompts()),
    }


def _summed(stories: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """
    One arm over its streams: means over questions, the matrix by step, an interval for what was gained.

    What is consolidated together is learned or refused as a whole, and streams share documents: an interval is the wider one of
    two, in which all questions of a consolidation or of a document count together. All streams are asked the same general
    questions: one counts once, however many ask it.
    """
    matrices = [_matrix(story["rows"], story["size"]) for story in stories]
    asked = [_asked(story) for story in stories]
    ways = (
        [story["documents"] for story in stories],
        [_together(number, story) for number, story in enumerate(stories)],
    )
    base = [_mean(story["base"]) for story in stories]
    gains = [
        float(after) - float(before)
        for story in stories
        for befores, afters in zip(story["base"], story["rows"][-1], strict=True)
        for before, after in zip(befores, afters, strict=True)
    ]
    general = [
        float(after) - float(before)
        for story in stories
        for before, after in zip(story["general_before"], story["general_after"], strict=True)
    ]
    return {
        "base_mean": fmean(base),
        "open_book_mean": fmean([_mean(story["open_book"]) for story in stories]),
        "just_learned_mean": fmean(map(metrics.plasticity, matrices, asked)),
        "final_mean": fmean(map(metrics.average_accuracy, matrices, asked)),
        "backward_transfer": fmean(map(metrics.backward_transfer, matrices, asked)),
        "forward_transfer": fmean(map(_forward, stories, asked)) if all(story["ahead"] for story in stories) else None,
        "forgetting": fmean(map(metrics.forgetting, matrices, asked)),
        "gain": fmean(gains),
        "gain_interval": max((list(paired_interval(gains, _by_question(stories, way))) for way in ways), key=_width),
        "general_before": fmean([_mean([story["general_before"]]) for story in stories]),
        "general_after": fmean([_mean([story["general_after"]]) for story in stories]),
        "general_interval": list(paired_interval(general, [*range(len(general) // len(stories))] * len(stories))),
        "general_n": len(general) // len(stories),
        "matrix": [[fmean(cells) for cells in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)],
        "prompt_tokens": fmean([story["prompt_tokens"] for story in stories]),
        "seconds_per_answer": fmean([story["seconds_per_answer"] for story in stories]),
        "seconds": [sum(story["seconds"]) for story in stories],
        "f1": fmean([story["f1"] for story in stories]),
        "shuffled": fmean([story["shuffled"] for story in stories]),
        "seen_wordings": sum(sum(story["seen"]) for story in stories),
        "seen_mean": [fmean([_mean(story["rows"][step]) for story in stories]) for step in range(len(matrices[0]))],
        **_slope(stories),
    }


def _slope(stories: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """
    What one more consolidation adds to the mean over all documents seen so far: a line through the steps, the mean of the
    streams; with the middle 95 % of 1,000 weighings (Bayesian bootstrap) of the documents, one in several streams alike, and of
    what was learned together. Of one step there is no line.
    """
    draw = np.random.default_rng(0)
    groups = [_together(number, story) for number, story in enumerate(stories)]
    drawn = sorted({name for story, of in zip(stories, groups, strict=True) for name in (*story["documents"], *of)})
    if len(stories[0]["rows"]) < 2:
        return {"slope": 0.0, "slope_interval": [-math.inf, math.inf]}
    slopes = [fmean([_line(story["rows"]) for story in stories])]
    for _ in range(1000):
        weights = dict(zip(drawn, draw.exponential(size=len(drawn)), strict=True))
        by_story = [
            [weights[one] * weights[group] for one, group in zip(story["documents"], of, strict=True)]
            if story["size"] > 1
            else [weights[one] for one in story["documents"]]
            for story, of in zip(stories, groups, strict=True)
        ]
        slopes.append(fmean([_line(story["rows"], of) for story, of in zip(stories, by_story, strict=True)]))
    return {"slope": slopes[0], "slope_interval": [float(edge) for edge in np.quantile(slopes, (0.025, 0.975))]}


def _line(rows: Sequence[Sequence[Sequence[bool]]], weights: Sequence[float] = ()) -> float:
    """The slope of a line through the means of *rows*, whose documents count by *weights* (none: all alike)."""
    often = np.array(weights or [1.0] * len(rows[-1]))
    right = [np.array([sum(of) for of in row]) @ often[: len(row)] for row in rows]
    asked = [np.array([len(of) for of in row]) @ often[: len(row)] for row in rows]
    return float(np.polyfit(range(len(rows)), np.divide(right, asked), 1)[0])


def _together(stream: int, story: dict[str, Any]) -> list[str]:
    """By lesson of *stream* a name for what was consolidated together; of a document alone that is the document."""
    names, size = story["documents"], story["size"]
    return [f"stream {stream}, step {number // size}" if size > 1 else name for number, name in enumerate(names)]


def _by_question(stories: Sequence[dict[str, Any]], names: Sequence[Sequence[str]]) -> list[str]:
    """*names* of each story's lessons, once for each question."""
    each = zip(stories, names, strict=True)
    return [name for story, of in each for name, right in zip(of, story["base"], strict=True) for _ in right]


def _width(interval: Sequence[float]) -> float:
    return interval[1] - interval[0]


def _matrix(rows: Sequence[Sequence[Sequence[bool]]], size: int) -> list[list[float]]:
    """Accuracies by step: the *size* lessons of one step count as one."""
    return [[_mean(row[at : at + size]) for at in range(0, len(row), size)] for row in rows]


def _asked(story: dict[str, Any]) -> list[int]:
    """How many questions each step's lessons have."""
    counts, size = [len(of) for of in story["base"]], story["size"]
    return [sum(counts[at : at + size]) for at in range(0, len(counts), size)]


def _forward(story: dict[str, Any], asked: Sequence[int]) -> float:
    """Forward transfer: what of each step's lessons was right just before it, against the base."""
    ahead, base = _matrix([story["ahead"], story["base"]], story["size"])
    return metrics.forward_transfer(ahead, base, asked)


def _mean(rights: Sequence[Sequence[bool]]) -> float:
    every = [right for of in rights for right in of]
    return sum(every) / len(every) if every else 0.0


# -- telling


def told(result: dict[str, Any]) -> str:
    """The result as a table for people."""
    lines = [f"{result['corpus']}: {result['n']} documents in a row, {len(result['seeds'])} streams"]
    lines.append("                  base open book   learned     final  (gain, 95 %)         backward   general")
    for name, arm in result["arms"].items():
        low, high = arm["gain_interval"]
        means = (arm[f"{kind}_mean"] for kind in ("base", "open_book", "just_learned", "final"))
        lines.append(
            f"{name:12}"
            + "".join(f"{mean:10.0%}" for mean in means)
            + f"  ({100 * arm['gain']:+.0f}, {100 * low:+.0f} to {100 * high:+.0f} points)"
            f" {100 * arm['backward_transfer']:+6.0f}    {arm['general_before']:.1%} to {arm['general_after']:.1%}"
        )
    for name, arm in result["arms"].items():
        lines.append(f"{name}, right of what was learned in each step, after each step:")
        lines += ["   " + " ".join(f"{share:5.0%}" for share in row) for row in arm["matrix"]]
        low, high = arm["slope_interval"]
        lines.append(
            f"{name}: {100 * arm['slope']:+.1f} points a consolidation ({100 * low:+.1f} to {100 * high:+.1f})"
        )
        lines.append(
            f"  F1 {arm['f1']:.2f}, against shuffled answers {arm['shuffled']:.0%}, in wordings that were trained:"
            f" {arm['seen_wordings']} of {result['questions']}"
        )
    return "\n".join(lines)


def draw(result: dict[str, Any], picture: Path) -> None:
    """The mean over all documents seen so far, step by step and arm by arm, and the first arm's matrix: one PNG."""
    with panels(picture, 2, (10, 3.8), width_ratios=(3, 2)) as (figure, (curves, cells)):
        for name, arm in result["arms"].items():
            steps = range(1, len(arm["seen_mean"]) + 1)
            curves.plot(steps, [100 * share for share in arm["seen_mean"]], marker="o", label=name.replace("_", " "))
        curves.set(
            title=f"Right on all documents so far ({result['corpus']}, {len(result['seeds'])} streams)",
            xlabel="consolidations",
            ylabel="%",
            ylim=(0, 105),
        )
        curves.legend(fontsize=8)
        first, arm = next(iter(result["arms"].items()))
        size = len(arm["matrix"])
        square = [[100 * row[at] if at < len(row) else float("nan") for at in range(size)] for row in arm["matrix"]]
        shown = cells.imshow(square, vmin=0, vmax=100, extent=(0.5, size + 0.5, size + 0.5, 0.5))
        cells.set(title=first.replace("_", " "), xlabel="what was learned in", ylabel="right after")
        figure.colorbar(shown, ax=cells, label="%")
