"""
Few-shot tasks: shown only, trained in one fixed way, trained as the model says before and after it learned what to say.

Promises: tasks the outer loop learned from are never measured, and no rule stands in both parts; every arm is asked the same
questions with the same votes; a finished task is kept in the folder and not done again.
Does not promise: that the oracle could be had. It is the best of all that was tried on a task, chosen by its own test.

Source: SEAL's few-shot part (arXiv 2506.10943, section 4.1); its tasks with *data*, tasks of text without.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, TypeVar

import numpy as np

from seal_agent.adapting import grids
from seal_agent.adapting.adapt import adapt, vote
from seal_agent.adapting.strategy import Strategy, as_json, at_random, likeliest, propose, question
from seal_agent.adapting.tasks import SHOWN, Pair, Task, asked, task_of
from seal_agent.bench import keeping
from seal_agent.bench.shipped import corpus
from seal_agent.errors import ConfigError, SealError
from seal_agent.judging.statistics import interval, paired_interval
from seal_agent.parts import Example, Learner, Say, Trial, silent
from seal_agent.records import content_id

ARMS = ("in_context", "default", "untrained", "trained", "bandit", "oracle")
_FIXED = frozenset({"in_context", "default"})  # arms that need no outer loop
_PAIRS = (
    ("trained", "default"),
    ("trained", "untrained"),
    ("bandit", "default"),
    ("bandit", "untrained"),
    ("default", "in_context"),
    ("oracle", "trained"),
    ("oracle", "bandit"),
)
_ROUNDS = 2  # of the outer loop; the second tries what the writer of the first proposes, as in SEAL
_TRIED = 3  # strategies of a task tried in a round that the model proposes, and as many drawn at random: it never proposes some
_KEPT = 2  # best ones of a task that the writer learns
_DOUBT = 2  # trials of the mean that a setting's own trials are weighed against: one lucky trial decides nothing
_LONGEST = 1500  # tokens of a task's demonstrations; longer ones are left out, and counted
_QUICK = 2  # tasks, the shortest, of each part of a quick look, which shows that all runs and measures nothing
_EPOCHS, _RATE, _AT_ONCE = 8, 1e-3, 4  # of the writer: it has some thirty short rows to learn from

Name = TypeVar("Name")  # what a way of training is called


@dataclass(frozen=True)
class Problem:
    """A task, and the pairs it is measured by. Of grids two outputs may be given, and all must be right."""

    name: str
    task: Task
    tests: tuple[Pair, ...]

    def score(self, given: Sequence[Sequence[str]]) -> float:
        """Of the ranked outputs *given* to each test: the share that is right; of grids 1 or 0."""
        if self.task.grids:
            return float(all(pair.output in ranked[:2] for pair, ranked in zip(self.tests, given, strict=True)))
        return fmean(ranked[0] == pair.output for pair, ranked in zip(self.tests, given, strict=True))


class Result(NamedTuple):
    """The share of a problem's tests that is right and, where that is equal, the log-probability of a token of their outputs."""

    score: float
    likelihood: float


def problems(data: Path | None, split: str) -> list[Problem]:
    """The tasks of *split*, "train" or "test": built-in ones of text, or ARC's in *data*."""
    if data is None:
        found = [one for one in corpus("fewshot") if one["split"] == split]
        return [Problem(one["name"], task_of(_pairs(one["train"])), tuple(_pairs(one["test"]))) for one in found]
    part = {"train": "training", "test": "evaluation"}[split]
    asked, solved = (_json(data / f"arc-{part}-{what}.json") for what in ("challenges", "solutions"))
    return [
        Problem(
            name,
            Task(tuple(Pair(_grid(p["input"]), _grid(p["output"])) for p in one["train"]), grids=True),
            tuple(Pair(_grid(p["input"]), _grid(out)) for p, out in zip(one["test"], solved[name], strict=True)),
        )
        for name, one in asked.items()
    ]


def run(
    out: Path,
    data: Path | None = None,
    model: str | None = None,
    seed: int = 0,
    arms: Sequence[str] = (),
    quick: bool = False,
    say: Say = silent,
    say_line: Callable[[str], None] = silent,
) -> dict[str, Any]:
    """
    The whole bench, some *arms* of it, or *quick*ly a few tasks; finished tasks are kept in *out*. Returns the document of
    `bench fewshot`. Without an arm that has learned, nothing is learned.
    """
    from seal_agent.learning.learner import LoraLearner

    named = keeping.chosen(arms, ARMS)
    every = {split: problems(data, split) for split in ("train", "test")}
    learner = LoraLearner(model or "smollm2-135m")
    fit = {split: [one for one in of if _length(learner, one.task) <= _LONGEST] for split, of in every.items()}
    if quick:
        fit = {split: sorted(of, key=lambda one: _length(learner, one.task))[:_QUICK] for split, of in fit.items()}
    # what the writer learned from depends on all tasks of the training part, so all of them are in the name
    beginning = f"{'arc' if data else 'text'}{'-quick' if quick else ''}-{seed}"
    folder = out / keeping.named(beginning, model, tasks=fit)
    folder.mkdir(parents=True, exist_ok=True)
    bench = _Bench(learner, folder, seed, say, say_line)
    if set(named) <= _FIXED:
        measured, learned = [bench.fixed(problem) for problem in fit["test"]], dict[str, Any]()
    else:
        measured, learned = _learned(bench, fit)
    pairs = [(one, other) for one, other in _PAIRS if {one, other} <= set(named)]
    solvable = [row for row in measured if row["scores"].get("oracle", [0])[0] > 0]
    return {
        "arms": {arm: _arm(measured, arm) for arm in named},
        "paired": {f"{one} - {other}": _paired(measured, one, other) for one, other in pairs},
        "solvable": {"n": len(solvable), "arms": {arm: _arm(solvable, arm) for arm in named}},
        "tasks": {split: {"n": len(fit[split]), "left_out": len(of) - len(fit[split])} for split, of in every.items()},
        "rows": measured,
        "n": len(measured),
        "seed": seed,
        "seeds": [seed],
        **learned,
    }


def _learned(bench: _Bench, fit: dict[str, list[Problem]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The test part measured after the outer loop on the training part, and what the loop found."""
    tried: list[list[dict[str, Any]]] = []
    writer, kept = None, []
    for number in range(1, _ROUNDS + 1):
        tried.append([bench.tried(problem, writer, number) for problem in fit["train"]])
        writer, count = bench.writer(fit["train"], tried)
        kept.append(count)
    best = _best([one for of in tried for one in of])
    measured = [bench.measured(problem, writer, best) for problem in fit["test"]]
    return measured, {"kept": kept, "bandit": best.model_dump()}


@dataclass(frozen=True)
class _Bench:
    learner: Learner
    folder: Path
    seed: int
    say: Say
    say_line: Callable[[str], None]

    def tried(self, problem: Problem, writer: Path | None, number: int) -> dict[str, Any]:
        """
        Strategies for a task of the training part that *writer* (None: the untrained model) proposes and others drawn at random,
        and how each did.
        """

        def do() -> dict[str, Any]:
            seed = self._seed(problem, f"tried {number}")
            strategies = propose(self.learner, problem.task, writer, _TRIED, seed)
            strategies += at_random(self.learner, problem.task, _TRIED, seed)
            shown, results = self._results(problem, dict(enumerate(strategies)))
            return {
                "strategies": [strategy.model_dump() for strategy in strategies],
                "in_context": shown.score,
                "scores": [result.score for of in results.values() for result in of],
                "in_context_likelihood": shown.likelihood,
                "likelihoods": [result.likelihood for of in results.values() for result in of],
            }

        return self._once(f"tried-{number}-{problem.name}", do)

    def writer(self, learned: Sequence[Problem], rounds: Sequence[Sequence[dict[str, Any]]]) -> tuple[Path | None, int]:
        """The model tuned on the winners of all *rounds*, and how many these are; None if there are none."""
        rows = [
            Example(question(problem.task), as_json(strategy, problem.task.grids), raw=True)
            for problem, tried in zip(learned, zip(*rounds, strict=True), strict=True)
            for strategy in _winners(tried)
        ]
        folder = self.folder / f"writer-{len(rounds)}"
        if rows and not folder.exists():
            staged = self.folder / "staged"
            shutil.rmtree(staged, ignore_errors=True)
            staged.mkdir()
            (log,) = self.learner.train_many([Trial(rows, staged, self.seed, _EPOCHS, _RATE, _AT_ONCE)], None, self.say)
            if not log["finite"]:
                raise SealError(f"the writer's loss is not finite after round {len(rounds)}; take another --seed")
            staged.rename(folder)
        return (folder if rows else None), len(rows)

    def fixed(self, problem: Problem) -> dict[str, Any]:
        """The arms that need no outer loop on a task of the test part."""

        def do() -> dict[str, Any]:
            usual = Strategy().within(problem.task, self.learner.count)
            shown, results = self._results(problem, {"default": usual})
            return {"name": problem.name, "scores": {"in_context": [shown.score], **_scores(results)}}

        return self._once(f"fixed-{problem.name}", do)

    def measured(self, problem: Problem, writer: Path | None, best: Strategy) -> dict[str, Any]:
        """Every arm on a task of the test part: {"scores": {arm: score of each strategy}}."""

        def do() -> dict[str, Any]:
            ways = {
                "default": Strategy().within(problem.task, self.learner.count),
                "bandit": best.within(problem.task, self.learner.count),
                "untrained": likeliest(self.learner, problem.task, None),
                "trained": likeliest(self.learner, problem.task, writer),
            }
            shown, results = self._results(problem, ways)
            scores = {"in_context": [shown.score], **_scores(results)}
            return {
                "name": problem.name,
                "scores": {**scores, "oracle": [max(score for of in scores.values() for score in of)]},
                "strategies": {name: way.model_dump() for name, way in ways.items() if way},
            }

        return self._once(f"measured-{problem.name}", do)

    def _results(
        self, problem: Problem, strategies: Mapping[Name, Strategy | None]
    ) -> tuple[Result, dict[Name, list[Result]]]:
        """
        With the demonstrations shown alone, and by name after training in each of these ways; equal ones are trained once. For
        None, a way that the task cannot afford, nothing is trained, and they are shown alone.
        """
        different = list(dict.fromkeys(strategy for strategy in strategies.values() if strategy))
        shown = self._result(problem, None)
        found = {}
        made = adapt(self.learner, problem.task, different, self.seed, self.say) if different else []
        for strategy, adapted in zip(different, made, strict=True):
            with adapted:
                finite = adapted.training["finite"]  # else nothing was written, and nothing is solved
                found[strategy] = self._result(problem, adapted.adapter) if finite else Result(0.0, -math.inf)
        return shown, {name: [found[strategy] if strategy else shown] for name, strategy in strategies.items()}

    def _result(self, problem: Problem, adapter: Path | None) -> Result:
        score = problem.score(vote(self.learner, problem.task, [pair.input for pair in problem.tests], adapter))
        shown = problem.task.demonstrations[:SHOWN]
        right = [(asked(shown, pair.input), f" {pair.output}\n") for pair in problem.tests]
        return Result(score, fmean(total / tokens for total, tokens in self.learner.score(right, adapter, raw=True)))

    def _once(self, name: str, do: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        def told() -> dict[str, Any]:
            done = do()
            self.say_line(f"{name}: {done['scores']}")
            return done

        return dict(keeping.once(self.folder / f"{name}.json", told))

    def _seed(self, problem: Problem, what: str) -> int:
        return int(content_id("f", what, problem.name)[1:9], 16) ^ self.seed


def _winners(tried: Sequence[dict[str, Any]]) -> list[Strategy]:
    """The best strategies of all that were tried on a task, if better than showing alone."""
    found: dict[Strategy, Result] = {}
    for one in tried:
        for given, *result in zip(one["strategies"], one["scores"], one["likelihoods"], strict=True):
            if Result(*result) > Result(one["in_context"], one["in_context_likelihood"]):
                found[Strategy(**given)] = Result(*result)
    return sorted(found, key=found.__getitem__, reverse=True)[:_KEPT]


def _scores(results: Mapping[Name, Sequence[Result]]) -> dict[Name, list[float]]:
    return {name: [result.score for result in of] for name, of in results.items()}


def _best(tried: Sequence[dict[str, Any]]) -> Strategy:
    """The cheap alternative to tuning a writer: of each setting the value that did best on the mean over all that was tried."""
    gains: dict[str, dict[Any, list[float]]] = {}
    for one in tried:
        for strategy, score in zip(one["strategies"], one["scores"], strict=True):
            for setting, value in strategy.items():
                gains.setdefault(setting, {}).setdefault(value, []).append(score - one["in_context"])
    every = [score - one["in_context"] for one in tried for score in one["scores"]]
    usual = fmean(every) if every else 0.0
    means = {
        setting: {value: (sum(of) + _DOUBT * usual) / (len(of) + _DOUBT) for value, of in values.items()}
        for setting, values in gains.items()
    }
    return Strategy(**{setting: max(of, key=of.__getitem__) for setting, of in means.items()})


def _arm(rows: Sequence[dict[str, Any]], arm: str) -> dict[str, Any]:
    """Mean over tasks (of each the mean of its strategies), with its 95 % interval."""
    scores = [_score(row, arm) for row in rows]
    if not scores:
        return {"success": 0.0, "n": 0, "low": 0.0, "high": 1.0}
    whole = set(scores) <= {0.0, 1.0}  # where all are alike, Student's t would see no spread and be sure
    low, high = interval(round(sum(scores)), len(scores)) if whole else paired_interval(scores)
    return {"success": fmean(scores), "n": len(scores), "low": max(0.0, low), "high": min(1.0, high)}


def _paired(rows: Sequence[dict[str, Any]], one: str, other: str) -> dict[str, float]:
    """How much more of a task *one* arm solves than the *other*, on the mean over tasks."""
    differences = [_score(row, one) - _score(row, other) for row in rows]
    low, high = paired_interval(differences)
    return {"difference": fmean(differences) if differences else 0.0, "low": low, "high": high}


def _score(row: dict[str, Any], arm: str) -> float:
    """The mean of an arm's strategies on a task; an older version kept none for what the task cannot afford."""
    return fmean(row["scores"][arm] or row["scores"]["in_context"])


def _length(learner: Learner, task: Task) -> int:
    return sum(learner.count(f"{pair.input} {pair.output}") for pair in task.demonstrations)


def _pairs(given: Sequence[dict[str, str]]) -> list[Pair]:
    return [Pair(one["input"], one["output"]) for one in given]


def _grid(rows: Sequence[Sequence[int]]) -> str:
    return grids.write(np.array(rows))


def _json(file: Path) -> Any:
    if not file.is_file():
        raise ConfigError(f"{file} is not there; --data names a folder with ARC's challenges and solutions")
    return json.loads(file.read_text("utf-8"))


def told(result: dict[str, Any]) -> str:
    """The result as a table for people."""
    lines = [
        f"{name:12} {arm['success']:6.1%}  ({arm['low']:.1%} to {arm['high']:.1%}, {arm['n']} tasks)"
        for name, arm in result["arms"].items()
    ]
    lines += [
        f"  {pair}: {100 * one['difference']:+.1f} points ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"
        for pair, one in result["paired"].items()
    ]
    if "oracle" in result["arms"]:
        lines.append(f"solved by some way: {result['solvable']['n']} of {result['tasks']['test']['n']} tasks")
    return "\n".join(lines)
