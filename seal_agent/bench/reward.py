"""
Does the reward rank edits? How well it agrees with itself, with what is really answered, and with mere length.

Promises: edits of one passage are compared with each other only, after training with the same seeds for as many rows each, as
the outer loop trains them; the questions people asked are never trained, and never seen by the reward. What the loop takes off
for forgetting is left out: being the same for all questions of an edit, it would agree with itself on any half of them.
Does not promise: the same figures for another writer or another model.

Source: split-half reliability with the Spearman-Brown correction; SEAL's published rewards have 0.32 and 0.17 so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from seal_agent import agent as agents
from seal_agent.bench import keeping
from seal_agent.bench.squad import Passage, passages
from seal_agent.editing import rewards
from seal_agent.editing.improving import rewarded
from seal_agent.errors import SealError
from seal_agent.judging.grading import correct, wording
from seal_agent.parts import Say, silent
from seal_agent.records import Check, content_id

_SPLITS = 200


def run(
    out: Path,
    data: Path,
    n: int = 10,
    samples: int = 5,
    seeds: int = 2,
    model: str | None = None,
    say: Say = silent,
    say_line: Callable[[str], None] = silent,
) -> dict[str, Any]:
    """*samples* edits of each of *n* passages, each trained with *seeds* seeds. Finished passages are kept in *out*."""
    out.mkdir(parents=True, exist_ok=True)
    chosen = passages(data, n)
    with tempfile.TemporaryDirectory(prefix="seal-reward-") as scratch:
        agent = agents.open(Path(scratch), model=model, say=say)
        found = []
        for number, one in enumerate(chosen):
            name = keeping.named(f"reward-{number}-{samples}-{seeds}", model, passage=[one.document, one.items])
            found.append(keeping.once(out / f"{name}.json", partial(_measured, agent, one, samples, seeds)))
            say_line(f"passage {number + 1} of {n}")
        agent.close()
    found = [one for one in found if one["likelihood"] and len(one["likelihood"][0][0]) > 1]
    if not found:
        raise SealError(
            f"none of {n} passages has two questions that the model answers with the passage in view; give more"
        )
    return {**told_apart(found), "n": len(found), "samples": samples, "seeds": list(range(seeds))}


def told_apart(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """
    Of passages with {"likelihood", "accuracy": [seed][edit][question], "true": [seed][edit][question], "length", "rubric":
    [edit]}: reliability of each reward, and its rank correlation, edits of one passage against each other, with the rest.
    """
    true = _centred([np.mean(one["true"], axis=(0, 2)) for one in found])
    reward = {name: _centred([np.mean(one[name], axis=(0, 2)) for one in found]) for name in ("likelihood", "accuracy")}
    others = {name: _centred([np.array(one[name]) for one in found]) for name in ("rubric", "length")}
    return {
        "reliability": {
            over: {name: _reliability(found, name, axis) for name in reward}
            for over, axis in (("seeds", 0), ("questions", 2))
        },
        "with_true_accuracy": {name: _rank(of, true) for name, of in {**reward, **others}.items()},
        "with_length": {name: _rank(of, others["length"]) for name, of in reward.items()},
    }


def _measured(agent: agents.SealAgent, one: Passage, samples: int, seeds: int) -> dict[str, Any]:
    """Rewards and right answers of several edits of a passage, by seed, edit and question."""
    learner, rooms = agent.learner, agent.rooms
    (passage, *_) = rooms.passages(one.document)
    own = rooms.asked(passage, learner)
    asked = [
        Check(
            id=content_id("c", item["question"]),
            kind="fact",
            question=f"Topic: {item['title']}\n{item['question']}",
            gold=item["answer"],
        )
        for item in one.items
    ]
    apart = {wording(item["question"]) for item in one.items}
    edits = [
        [row for row in rooms.compose(learner, passage, None, seed)[0] if wording(row.prompt) not in apart]
        for seed in range(samples)
    ]
    measured = {
        "likelihood": (rewards.likelihood, own),
        "accuracy": (rewards.accuracy(correct), own),
        "true": (rewards.accuracy(correct), asked),
    }
    found: dict[str, list[Any]] = {name: [] for name in measured}
    for seed in range(seeds if own else 0):
        all_scores = rewarded(learner, edits, [*measured.values()], seed, level=True)
        for name, scores in zip(measured, all_scores, strict=True):
            found[name].append(scores)
    length = [sum(learner.count(f"{e.prompt} {e.completion}") for e in rows if not e.refused) for rows in edits]
    return {**found, "length": length, "rubric": [rewards.rubric(rows) for rows in edits]}


def _reliability(found: Sequence[dict[str, Any]], name: str, axis: int) -> float:
    """How well half of the seeds (*axis* 0) or of the questions (2) agrees with the other half, corrected to the whole."""
    draw, out = np.random.default_rng(0), []
    for _ in range(_SPLITS):
        halves: list[list[np.ndarray]] = [[], []]
        for one in found:
            scores = np.array(one[name])  # [seed, edit, question]
            order = draw.permutation(scores.shape[axis])
            for half in (0, 1):
                halves[half].append(scores.take(order[half::2], axis).mean(axis=(0, 2)))
        one_half, other = (_centred(half) for half in halves)
        out.append(float(np.corrcoef(one_half, other)[0, 1]) if one_half.std() and other.std() else 0.0)
    r = max(0.0, float(np.mean(out)))  # below zero halves have nothing in common, and the correction runs away
    return 2 * r / (1 + r)


def _centred(of: Sequence[np.ndarray]) -> np.ndarray:
    """All values, each less the mean of its passage."""
    return np.concatenate([values - values.mean() for values in of])


def _rank(one: np.ndarray, other: np.ndarray) -> float:
    return float(stats.spearmanr(one, other).statistic) if one.std() and other.std() else 0.0


def told(result: dict[str, Any]) -> str:
    """The result as lines for people."""
    parts = {f"reliable over {over}": of for over, of in result["reliability"].items()}
    parts |= {"with right answers": result["with_true_accuracy"], "with length": result["with_length"]}
    lines = [f"{result['n']} passages, {result['samples']} edits of each, {result['seeds']} seeds"]
    lines += [
        f"{title:24}" + "  ".join(f"{name} {value:+.2f}" for name, value in of.items()) for title, of in parts.items()
    ]
    return "\n".join(lines)
