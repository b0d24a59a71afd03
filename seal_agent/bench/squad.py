"""
SEAL's table with our engine: what is answered closed-book after training on a passage alone, on edits by other writers, on ours.

Promises: every arm trains the same passages with the same engine, LoRA shape, rate and number of tokens, in about as many steps
(long rows one a step, short ones several), and is asked the same questions as SEAL asks them; arms are paired by passage; an arm
that is finished is kept and not done again. All passages go into one adapter; every fourth also gets one of its own. One arm
more trains SEAL's edits for as long as SEAL does. Arms of one of our styles, to be named, stand beside others' edits of that
style: like these they train the passage too, and nothing of ours that is cut from it.
Does not promise: SEAL's own figures. Its model is fifty times larger, and its judge was a larger one still.

Source: arXiv 2506.10943, section 4.2 and its published edits (MIT).
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import fmean, stdev
from typing import Any

from seal_agent import agent as agents
from seal_agent import parts
from seal_agent.bench import keeping
from seal_agent.bench.arms import Plain
from seal_agent.editing.room import example
from seal_agent.errors import ConfigError, SealError
from seal_agent.journal import Journal, renewal
from seal_agent.judging.grading import correct
from seal_agent.judging.quiz import Item, by_passage, quiz, seen
from seal_agent.judging.statistics import paired_interval
from seal_agent.parts import Example, Learner, Say, Trial, silent
from seal_agent.practising import cleaned
from seal_agent.records import Document, Version

PASSAGE, RECIPE, OURS, AFTER = "passage", "seal_recipe", "ours_before", "ours_after"
_ONE_STYLE = {f"{ours}_{style}": style for ours in (OURS, AFTER) for style in ("implications", "rewrite", "questions")}
_SEAL = "seal-round2-implications"  # SEAL's own edits, which the arm of its recipe trains as it does:
_SEAL_EPOCHS, _SEAL_AT_ONCE = 10, 1  # so long and line by line, whatever the others may take
_TOKENS = 10_000  # trained on a passage by every arm, over all its epochs; ours takes as many in its usual recipe
_QUICK, _FEW = 1000, 3  # tokens and passages of a quick look, which shows that all runs and measures nothing
_ALONE = 4  # every fourth passage also gets an adapter of its own
_STEP = 200  # tokens of rows in a step: as many a step make as many steps, however long a writer's rows are
_RATE = 1e-3
_EDITS = re.compile(r"edits-(.+)\.json")

Shares = dict[str, dict[str, float]]
"""By arm what its answers to a passage's questions are worth: see `_shares`."""


@dataclass(frozen=True)
class Passage:
    """A passage, its questions, and what other writers made of it: by arm, five completions."""

    document: Document
    items: tuple[Item, ...]
    written: Mapping[str, Sequence[str]]


def passages(data: Path, n: int) -> list[Passage]:
    """The first *n* passages of *data* with all edits published of them. ConfigError if there are fewer."""
    file = data / "passages.json"
    whole = json.loads(file.read_text("utf-8")) if file.is_file() else []
    if len(whole) < n:
        raise ConfigError(f"{file}: {len(whole)} passages, {n} wanted; --data names a folder shaped like SEAL's")
    items = by_passage(file)
    if mute := [one["title"] for one in whole[:n] if (one["title"], one["context"]) not in items]:
        raise ConfigError(f"{file}: no question with an answer is asked of {', '.join(mute)}; leave such passages out")
    edits: dict[str, list[list[str]]] = {}
    for one in sorted(data.glob("edits-*.json")):
        if found := _EDITS.fullmatch(one.name):
            edits[found[1]] = of = json.loads(one.read_text("utf-8"))
            if len(of) < n or not all(of[:n]):
                raise ConfigError(f"{one}: edits of {sum(map(bool, of[:n]))} passages, {n} wanted; give a smaller --n")
    return [
        Passage(
            Document(text=one["context"], title=one["title"]),
            tuple(items[one["title"], one["context"]]),
            {arm: of[number] for arm, of in edits.items()},
        )
        for number, one in enumerate(whole[:n])
    ]


def sequences(title: str, completion: str, text: str) -> list[Example]:
    """
    What SEAL trains of an edit: each line by itself under the title, the passage last.

    What stands before a numbered list is dropped; of questions and answers each "Question N:" begins a sequence.
    """
    if re.search(r"Question \d+:", completion):
        lines = re.split(r"(?=Question \d+:)", completion)
    else:
        lines = [line for piece in completion.split("---") for line in piece.splitlines()]
    lines = [line.strip() for line in lines if line.strip()]
    if len(lines) > 1 and lines[1].startswith("1."):
        lines = lines[1:]
    return [Example("", line, title) for line in (*lines, text)]


def run(
    out: Path,
    data: Path,
    n: int = 20,
    seeds: int = 1,
    home: Path | None = None,
    arms: Sequence[str] = (),
    quick: bool = False,
    model: str | None = None,
    say: Say = silent,
    say_line: Callable[[str], None] = silent,
) -> dict[str, Any]:
    """
    The whole bench, or some *arms* of it; finished passages are kept in *out*. Returns the document of `bench squad`.

    *home*: one in which `improve` tuned the writer, for the arm "ours_after", which is among the usual ones if it did.
    """
    chosen = passages(data, min(n, _FEW) if quick else n)
    n, tokens = len(chosen), _QUICK if quick else _TOKENS
    written = chosen[0].written
    usual = (PASSAGE, *written, *([RECIPE] if _SEAL in written else []), OURS, AFTER)
    writer = _writer(home, model, chosen) if home else None
    named = keeping.chosen(arms, [*usual, *_ONE_STYLE], [arm for arm in usual if arm != AFTER or writer])
    if (tuned := [arm for arm in named if arm.startswith(AFTER)]) and not writer:
        raise ConfigError(
            f"{tuned[0]} is written by a tuned writer, and {f'none is live in {home}' if home else 'no home is given'}; tune one "
            f"on passages that are not measured, in some hours: `seal-agent improve {data / 'train-contexts.json'} --home DIR`, "
            f"and give --home DIR"
        )
    if not (writer or arms):
        why = f"no writer was tuned in {home} that is live" if home else "no --home is given"
        say_line(f"{AFTER} is left out: {why}")
    asked = [(one.document, one.items) for one in chosen]  # what is trained of them is in the name of each arm
    folder = out / keeping.named(f"{n}-passages-{tokens}-tokens-each", model, passages=asked, step=_STEP)
    folder.mkdir(parents=True, exist_ok=True)
    alone: list[list[Shares]] = []
    together: list[list[Shares]] = []
    learner: Learner | None = None
    for seed in range(seeds):
        with tempfile.TemporaryDirectory(prefix="seal-squad-") as scratch:
            agent = agents.open(Path(scratch), model=model, say=say, seed=seed)
            agent._learner = learner = learner or agent.learner  # loaded once
            bench = _Bench(agent, seed, named, tokens, writer, folder, say_line)
            together.append(bench.together(chosen))
            alone.append([bench.alone(number, one) for number, one in enumerate(chosen[:: min(_ALONE, n // 2)])])
            agent.close()
    return {
        **_told_of(together, [*written, RECIPE]),
        "alone": {**_told_of(alone, [*written, RECIPE]), "n": len(alone[0])},
        "n": n,
        "seeds": list(range(seeds)),
        "questions": sum(len(one.items) for one in chosen),
        "tokens": tokens,
        "grader": _grader(data / "judge-verdicts.json"),
    }


def _grader(file: Path) -> dict[str, float] | None:
    """How often our grader says what SEAL's judge said of the answers in *file*, [question, gold, answer, verdict]."""
    said = [(correct(gold, answer), verdict) for _, gold, answer, verdict in keeping.read(file, [])]
    if not said:
        return None
    both = sum(ours and theirs for ours, theirs in said)
    return {
        "n": len(said),
        "agreement": fmean(ours == theirs for ours, theirs in said),
        "precision": both / max(1, sum(ours for ours, _ in said)),
        "recall": both / max(1, sum(theirs for _, theirs in said)),
    }


def _writer(home: Path, model: str | None, measured: Sequence[Passage]) -> Version | None:
    """
    The version of the writer that is live in *home*; None if the base still writes there. ConfigError if one practised on what is
    *measured*.
    """
    with agents.open(home, model=model) as agent:
        if not (writer := agent.writer()):
            return None
        with Journal(agent.writers) as line:
            known = renewal.practised(line)
        given = cleaned({one.document: [] for one in measured}, agent.settings.max_document_bytes)
        if seen := [document.title for document in given if document.id in known]:
            raise ConfigError(
                f"a writer of {home} practised on {len(seen)} of the passages that are measured ({', '.join(seen[:3])} …);"
                " tune one on others"
            )
        return writer


@dataclass(frozen=True)
class _Bench:
    """One seed of it. The rows ours makes of a passage are kept, for both tables train them."""

    agent: agents.SealAgent
    seed: int
    arms: Sequence[str]
    tokens: int
    writer: Version | None
    out: Path
    say_line: Callable[[str], None]

    def alone(self, number: int, one: Passage) -> Shares:
        """A passage by itself: an adapter for each arm."""
        return self._asked(f"passage-{number}-{self.seed}", [one])[0]

    def together(self, every: Sequence[Passage]) -> list[Shares]:
        """All passages in one adapter for each arm."""
        return self._asked(f"together-{self.seed}", every)

    def _asked(self, name: str, every: Sequence[Passage]) -> list[Shares]:
        kept = self.out / f"{name}.json"
        found: list[Shares] = keeping.read(kept, [{} for _ in every])
        lessons = {arm: self._long(arm, [self._lesson(one, arm) for one in every]) for arm in self.arms}
        # named by what was trained, so that another practised writer, or other edits of the same arm, find none of it
        kept_as = {arm: keeping.named(arm, rows=rows) for arm, rows in lessons.items()}

        def keep(got: Mapping[str, list[dict[str, float]]]) -> None:
            for number, shares in enumerate(found):
                shares.update({kept_as.get(arm, arm): of[number] for arm, of in got.items()})
            keeping.write(kept, found)
            means = {arm: fmean(one["right"] for one in of) for arm, of in got.items()}
            self.say_line(f"{name}: " + ", ".join(f"{arm} {share:.0%}" for arm, share in means.items()))

        missing = {arm: lessons[arm] for arm in self.arms if kept_as[arm] not in found[0]}
        if missing and "open_book" not in found[0]:
            asked = Plain(self.agent.learner)
            keep({arm: _shares(asked, every, open_book=arm == "open_book") for arm in ("base", "open_book")})
        # those of one passage side by side; of many passages an arm takes an hour, after which it is kept
        for group in filter(None, [missing] if len(every) == 1 else [{arm: rows} for arm, rows in missing.items()]):
            keep(self._trained(group, every))
        return [{arm: of[kept_as.get(arm, arm)] for arm in ("base", "open_book", *self.arms)} for of in found]

    def _long(self, arm: str, of: Sequence[Sequence[Example]]) -> list[Example]:
        """
        The rows *of* all passages so often, and some of them, drawn, once more, that no arm is trained on more tokens than
        another. SEAL's recipe counts in epochs.
        """
        rows = [row for passage in of for row in passage]
        if arm == RECIPE:
            return rows
        sizes = list(map(self._size, rows))
        times, left = divmod(self.tokens * len(of), sum(sizes))
        once_more = []
        for number in Random(self.seed).sample(range(len(rows)), len(rows)):
            if left <= 0:
                break
            once_more.append(rows[number])
            left -= sizes[number]
        return [*rows * times, *once_more]

    def _size(self, row: Example) -> int:
        return self.agent.learner.count(f"{row.title} {row.prompt} {row.completion}")

    def _lesson(self, one: Passage, arm: str) -> list[Example]:
        title, text = one.document.title, one.document.text
        if arm == PASSAGE:
            return [Example("", text, title)]
        if edits := one.written.get(_SEAL if arm == RECIPE else arm, ()):
            return sequences(title, edits[self.seed % len(edits)], text)
        rows = self._ours(
            one.document, self.writer if arm.startswith(AFTER) else None, style := _ONE_STYLE.get(arm, "")
        )
        return [*rows, Example("", text, title)] if style else rows

    def _ours(self, document: Document, writer: Version | None, style: str) -> list[Example]:
        """
        The rows our editing room makes of *document* when that version of the *writer* writes, None: the base; in one *style*, or
        in the usual ones ("").
        """
        by = f"{writer.digest[:12] if writer else 'before'}{style and f'-{style}'}"
        kept = self.out / f"rows-{document.id}-{self.seed}-{by}.json"

        def made() -> list[tuple[str, str, str]]:
            rooms = self.agent.rooms.writing_with(Path(writer.path) if writer else None)
            if style:
                rooms = replace(rooms, styles={style: parts.find("styles", style)})
            edits, _ = rooms.edit(document, self.agent.learner, None, self.agent.journal)
            rows = [example(edit) for edit in edits if not (edit.refused or edit.reserved)]
            return [(row.prompt, row.completion, row.title) for row in rows]

        return [Example(*row) for row in keeping.once(kept, made)]

    def _trained(
        self, lessons: Mapping[str, list[Example]], every: Sequence[Passage]
    ) -> dict[str, list[dict[str, float]]]:
        """By arm, whose adapters are trained side by side, what became of each passage's questions."""
        learner = self.agent.learner
        with tempfile.TemporaryDirectory(prefix="seal-squad-") as scratch:
            trials = {}
            for arm, examples in lessons.items():
                folder = Path(scratch) / arm
                folder.mkdir()
                # a step of few lines repeated would hold each of them several times, and there would be fewer steps
                lines = len(set(examples))
                most = max(1, round(_STEP * len(examples) / sum(map(self._size, examples))))
                few = round(lines / math.ceil(lines / most))
                epochs, at_once = (_SEAL_EPOCHS, _SEAL_AT_ONCE) if arm == RECIPE else (1, few)
                trials[arm] = Trial(examples, folder, self.seed, epochs, _RATE, at_once)
            logs = learner.train_many(list(trials.values()), None, self.agent.say)
            if broken := [arm for arm, log in zip(trials, logs, strict=True) if not log["finite"]]:
                raise SealError(f"the loss is not finite: {', '.join(broken)}; name other --arms")
            steps = {arm: float(log.get("steps", 0)) for arm, log in zip(trials, logs, strict=True)}
            return {
                arm: [
                    {**one, "steps": steps[arm]}
                    for one in _shares(Plain(learner, trial.out), every, [row.prompt for row in trial.examples])
                ]
                for arm, trial in trials.items()
            }


def _shares(
    asked: Plain, every: Sequence[Passage], trained: Sequence[str] = (), open_book: bool = False
) -> list[dict[str, float]]:
    """
    Of each passage the share of its questions that *asked* answers *right* as SEAL asks them, and the share of *seen* ones, whose
    very words were *trained*; over all passages *f1*, and the share right against the answer to another question (*shuffled*).
    """
    wanted = [item for one in every for item in one.items]
    found = quiz(asked, wanted, open_book=open_book, topic=True)
    right, known = iter(row["correct"] for row in found["rows"]), iter(seen(wanted, trained))
    return [
        {
            "right": fmean(next(right) for _ in one.items),
            "seen": fmean(next(known) for _ in one.items),
            "f1": found["f1"],
            "shuffled": found["shuffled"],
        }
        for one in every
    ]


def _told_of(seeds: Sequence[Sequence[Shares]], written: Sequence[str]) -> dict[str, Any]:
    """Means over passages, of each the mean over seeds; what stands beside what, paired by passage."""

    def means_of(what: str) -> dict[str, list[float]]:
        return {
            arm: [fmean(of) for of in zip(*([s[arm].get(what, 0.0) for s in seed] for seed in seeds), strict=True)]
            for arm in seeds[0][0]
        }

    means, beside = means_of("right"), {what: means_of(what) for what in ("f1", "shuffled", "seen", "steps")}
    pairs = [(AFTER, OURS), *((ours, arm) for ours in (OURS, AFTER, *_ONE_STYLE) for arm in (PASSAGE, *written))]
    return {
        "arms": {arm: {**_arm(means, arm), **{what: fmean(of[arm]) for what, of in beside.items()}} for arm in means},
        "paired": {f"{a} - {b}": _paired(means[a], means[b]) for a, b in pairs if {a, b} <= set(means)},
    }


def _arm(means: Mapping[str, Sequence[float]], arm: str) -> dict[str, float | None]:
    mean, base, ceiling = (fmean(means[name]) for name in (arm, "base", "open_book"))
    return {
        "article_mean": mean,
        "se": _se(means[arm]),
        "gap_closed": (mean - base) / (ceiling - base) if ceiling > base else None,
    }


def _se(values: Sequence[float]) -> float:
    return stdev(values) / math.sqrt(len(values))


def _paired(one: Sequence[float], other: Sequence[float]) -> dict[str, float | None]:
    differences = [a - b for a, b in zip(one, other, strict=True)]
    low, high = paired_interval(differences)
    relative = fmean(one) / fmean(other) - 1 if fmean(other) > 0 else None
    return {"difference": fmean(differences), "se": _se(differences), "low": low, "high": high, "relative": relative}


def _gap(closed: float | None) -> str:
    return "" if closed is None else f" {closed:+.0%} of the gap to open book;"


def told(result: dict[str, Any]) -> str:
    """The result as tables for people."""
    lines = [f"{result['n']} passages, {result['questions']} questions, {len(result['seeds'])} seeds"]
    alone = f"one passage an adapter, {result['alone']['n']} of them"
    for name, table in (("all passages in one adapter", result), (alone, result["alone"])):
        lines.append(name)
        lines += [
            f"  {arm:26} {one['article_mean']:6.1%} ± {one['se']:.1%}  {_gap(one['gap_closed'])} F1 {one['f1']:.2f}, shuffled"
            f" {one['shuffled']:.0%}, seen {one['seen']:.0%}, {one['steps']:.0f} steps"
            for arm, one in sorted(table["arms"].items(), key=lambda item: -item[1]["article_mean"])
        ]
        lines += [
            f"  {pair}: {100 * one['difference']:+.1f} points ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"
            for pair, one in table["paired"].items()
        ]
    return "\n".join(lines)
