"""
The outer loop: the model learns to write better edits from those that helped.

Promises: of each passage several edits are sampled by the writer as it is, trained side by side and asked the same held-out
questions; kept is a winner only if it beats no edit at all, and its rivals, by more than chance among questions; the writer is
tuned on what the winners' proved rows were written as, or, to begin with, on questions that people asked; a tuned writer goes
live if its edits earn more, by more than chance among passages it was not tuned on, and is judged once: the same lesson again
gets its report. What is done is written down, so that a process that died goes on where it was.
Does not promise: that a round improves anything. A candidate that does not is kept aside with its report. All questions of a
passage are answered by the same adapter, each edit's from one seed: a winner may be the luck of its training, and does not judge.

Source: ReST-EM as in SEAL (arXiv 2506.10943, section 3.2), which keeps every winner; significance, gate and versions are ours.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from seal_agent.editing.rewards import Reward
from seal_agent.editing.room import example
from seal_agent.editing.styles import written
from seal_agent.journal import Journal, adapters
from seal_agent.judging.grading import wording
from seal_agent.parts import ENOUGH, Example, Learner, Passage, Say, Trial, silent
from seal_agent.records import Candidate, Check, Finding, GateReport, Outcome, SelfEdit, Verdict, Version, content_id

Wrote = tuple[str, str]
"""A prompt and what the writer went on with."""
Write = Callable[[Passage, Path | None, int], tuple[list[SelfEdit], list[Wrote]]]
"""(passage, the writer's adapter, seed) -> the rows of an edit, proved or refused, and all that was written for them."""
Test = Callable[[Sequence[float]], float]
"""Differences -> the chance of such ones if their mean is not above zero."""

_EPOCHS, _RATE, _AT_ONCE = 3, 1e-3, 8  # of an edit that is tried
_TUNED_EPOCHS, _TUNED_RATE = 2, 3e-4  # of the writer, on what winners wrote
_ALPHA = 0.05
_HELD = 4  # every fourth passage is not learned from, and judges


@dataclass(frozen=True)
class Practice:
    """A passage to practise on, held-out questions about it, and how a writer would have come to those that people asked."""

    passage: Passage
    questions: tuple[Check, ...]
    shown: tuple[Wrote, ...] = field(default=(), repr=False)  # no try rests on it


@dataclass(frozen=True)
class Tried:
    """What came of one passage: by edit the reward of each question, that without any edit, what each edit's writer wrote."""

    base: tuple[float, ...]
    scores: tuple[tuple[float, ...], ...]
    wrote: tuple[tuple[Wrote, ...], ...]

    def gains(self, number: int) -> list[float]:
        """By question what edit *number* earns above no edit."""
        return [score - base for score, base in zip(self.scores[number], self.base, strict=True)]

    def winner(self, test: Test) -> int | None:
        """The edit that earns most, if it beats no edit at all, and the mean of its rivals, by more than chance."""
        if not (self.base and self.scores):
            return None
        level = _ALPHA / len(self.scores)  # the best of several was not named before
        best = max(range(len(self.scores)), key=lambda number: fmean(self.scores[number]))
        if not test(self.gains(best)) < level:  # nor where it is no number
            return None
        others = [of for number, of in enumerate(self.scores) if number != best]
        margins = (
            [mine - fmean(theirs) for mine, *theirs in zip(self.scores[best], *others, strict=True)] if others else []
        )
        return best if not margins or test(margins) < level else None


def rewarded(
    learner: Learner,
    lessons: Sequence[Sequence[SelfEdit]],
    asked: Sequence[tuple[Reward, Sequence[Check]]],
    seed: int,
    parent: Path | None = None,
    level: bool = False,
) -> list[list[list[float]]]:
    """
    Train the proved rows of each of *lessons* for a moment, side by side, and give every reward's numbers by lesson and
    question. A row that asks what is *asked* is not trained; a lesson without rows, or whose loss does not stay finite, is
    *parent* as it is. *level*: all are trained for as many rows as the longest, over more epochs.
    """
    apart = {wording(check.question) for _, checks in asked for check in checks}
    shown = [
        [example(edit) for edit in rows if _taught(edit) and wording(edit.prompt) not in apart] for rows in lessons
    ]
    most = max(map(len, shown), default=0)
    with tempfile.TemporaryDirectory(prefix="seal-tried-") as scratch:
        trials: list[Trial | None] = []
        for number, rows in enumerate(shown):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            epochs = round(_EPOCHS * most / len(rows)) if level and rows else _EPOCHS
            trials.append(Trial(rows, folder, seed, epochs, _RATE, _AT_ONCE) if rows else None)
        able = [trial for trial in trials if trial]
        logs = learner.train_many(able, parent) if able else []
        learned = {trial.out for trial, log in zip(able, logs, strict=True) if log["finite"]}
        folders = [trial.out if trial and trial.out in learned else parent for trial in trials]
        return [[reward(learner, folder, checks) for folder in folders] for reward, checks in asked]


def _taught(edit: SelfEdit) -> bool:
    return not (edit.refused or edit.reserved)


@dataclass(frozen=True)
class Loop:
    """
    Everything a round needs: who learns, where versions of the writer are kept, how edits are written and rewarded.

    basis: the styles and the reward, by name; nothing is taken over from what was tried under another one.
    """

    learner: Learner
    journal: Journal
    write: Write
    reward: Reward
    test: Test
    basis: str
    samples: int = 4
    seed: int = 0
    say: Say = silent

    def imitate(self, lessons: Sequence[Practice]) -> GateReport:
        """Tune the writer on what people asked of the passages that are not kept back; judge it as a round does."""
        asked = [(one.passage.document, wrote) for one in lessons if not held(one) for wrote in one.shown]
        return _few(lessons) or self._tuned_on(asked, lessons, "people asked nothing of the passages to learn from")

    def round(self, lessons: Sequence[Practice]) -> GateReport:
        """Sample, reward, keep the winners, tune the writer on them, judge it. The report says what became of it."""
        if few := _few(lessons):
            return few
        learned = [one for one in lessons if not held(one) and len(one.questions) >= ENOUGH]  # fewer show nothing
        won = [
            (one.passage.document, wrote)
            for one, of in zip(learned, self._tried_all(learned, self.journal.versions.live()), strict=True)
            if (best := of.winner(self.test)) is not None
            for wrote in of.wrote[best]
        ]
        none = f"no edit of {len(learned)} passages with questions won by more than chance"
        return self._tuned_on(won, lessons, none)

    def _tuned_on(self, shown: Sequence[tuple[str, Wrote]], lessons: Sequence[Practice], none: str) -> GateReport:
        """A writer tuned on what is *shown*, by document, and judged by the *lessons* kept back; *none*: why there is nothing."""
        rows = [Example(prompt, completion, raw=True) for _, (prompt, completion) in shown]
        if not rows:
            return GateReport(outcome="undecided", reason=none)
        live, said = self.journal.versions.live(), (row.prompt + row.completion for row in rows)
        run = content_id("r", live.digest if live else "", self.learner.fingerprint, str(self.seed), *said)
        while made := self.journal.versions.made_by(run):
            if problems := adapters.verify(Path(made.path), made.digest) if made.status == "retired" else []:
                self.journal.versions.mark_broken(made.number, "; ".join(problems))
            elif made.status == "retired":  # someone went back from it; the same lesson leads to it again
                self.journal.versions.rollback(made.number)
                return _as_judged(self.journal.versions.one(made.number))
            elif made.status != "broken":
                return _as_judged(made)
            run = content_id("r", run)  # what is lost may be made anew
        fence, _ = self.journal.buffer.claim(run)
        candidate = self._tuned(run, rows, live)
        if candidate is None:
            self.journal.buffer.release(run, fence, reason := "the loss of the writer that was tuned is not finite")
            return GateReport(outcome="rejected", reason=reason)
        kept_back = [one for one in lessons if held(one)]
        before = self._tried_all(kept_back, live)
        after = self._tried_all(kept_back, candidate)
        # by these a document that is forgotten finds who learned from it
        training = {**candidate.training, "documents": sorted({document for document, _ in shown})}
        report = _judged(before, after, self.test).model_copy(update={"training": training})
        self.journal.publish(candidate, report, run, fence)
        return report

    def _tried_all(self, lessons: Sequence[Practice], writer: Version | Candidate | None) -> list[Tried]:
        """What comes of each of *lessons* if *writer* writes; None: the base."""
        path, digest = (Path(writer.path), writer.digest) if writer else (None, "")
        out = []
        for number, one in enumerate(lessons):
            self.say("trying edits", number / max(1, len(lessons)))
            rests_on = grounds(one, self.learner, self.basis, self.seed)
            key = content_id("t", digest, rests_on, str(self.samples))
            if (said := self.journal.tries.kept(key)) is None:
                self.journal.tries.keep(key, one.passage.document, self._tried(one, path))
                said = self.journal.tries.kept(key)
            wrote = tuple(tuple((prompt, text) for prompt, text in of) for of in said["wrote"])
            out.append(Tried(tuple(said["base"]), tuple(map(tuple, said["scores"])), wrote))
        self.say("trying edits", 1.0)
        return out

    def _tried(self, one: Practice, writer: Path | None) -> dict[str, Any]:
        """Several edits of a passage, trained side by side for as many steps each and asked the same questions."""
        edits = [self.write(one.passage, writer, self.seed + number) for number in range(self.samples)]
        lessons = [rows for rows, _ in edits]
        # were more rows trained longer, the reward would measure length
        (scores,) = rewarded(self.learner, lessons, [(self.reward, one.questions)], self.seed, level=True)
        base = self.reward(self.learner, None, one.questions)
        return {"base": base, "scores": scores, "wrote": [_useful(one.passage, rows, wrote) for rows, wrote in edits]}

    def _tuned(self, run: str, rows: Sequence[Example], live: Version | None) -> Candidate | None:
        """The *live* writer, or the base, tuned on *rows*: an adapter nobody uses yet. None if the loss is not finite."""
        with adapters.staged(self.journal.home / "adapters") as folder:
            trial = Trial(rows, folder, self.seed, _TUNED_EPOCHS, _TUNED_RATE, _AT_ONCE)
            (log,) = self.learner.train_many([trial], Path(live.path) if live else None, self.say)
            if not log["finite"]:
                return None
            trained = content_id("w", *(row.prompt + row.completion for row in rows))
            return adapters.candidate(
                folder, live, run=run, fingerprint=self.learner.fingerprint, rows=trained, training=log
            )


def grounds(one: Practice, learner: Learner, basis: str, seed: int) -> str:
    """What any try rests on, as an id: *one*'s sentences and questions (a document may have several passages), and the rest."""
    return content_id("g", repr(one), learner.fingerprint, basis, str(seed))


def _few(lessons: Sequence[Practice]) -> GateReport | None:
    """Nothing is tried, or tuned, for a verdict that cannot be given."""
    judges = [len(one.questions) for one in lessons if held(one)]
    if sum(judges) >= ENOUGH and len(judges) > 1:
        return None
    few = (
        f"{len(judges)} of {len(lessons)} passages are kept back to judge by, with {sum(judges)} questions; a verdict needs"
        f" {ENOUGH} of at least two: give more passages"
    )
    return GateReport(outcome="undecided", reason=few)


def held(one: Practice) -> bool:
    """Is this passage kept back, to judge by? By its id, so that its place in the file does not matter."""
    return int(one.passage.document[1:9], 16) % _HELD == 0


def _useful(passage: Passage, rows: Sequence[SelfEdit], wrote: Sequence[Wrote]) -> list[Wrote]:
    """What of all that was *wrote* about *passage* became a proved question; each once."""
    asked = {row.prompt for row in rows if row.prompt and not row.refused and row.origin == "written"}
    return [(prompt, text) for prompt, text in dict.fromkeys(wrote) if written(passage, prompt, text) in asked]


def _as_judged(made: Version) -> GateReport:
    """The report on *made* as it stands: were the same candidate judged until it passed, one would pass by chance."""
    assert made.report
    told = f"the same lesson made version {made.number} of the writer ({made.status}), judged once; then: "
    return made.report.model_copy(update={"reason": told + made.report.reason})


def _judged(before: Sequence[Tried], after: Sequence[Tried], test: Test) -> GateReport:
    """
    Does the tuned writer earn more than the one before it, on passages it was not tuned on? A passage counts once: its
    questions share their adapters.
    """
    differences = [_earned(new) - _earned(old) for old, new in zip(before, after, strict=True)]
    if not all(map(math.isfinite, differences)):
        return GateReport(outcome="undecided", reason="no finite reward on a held-back passage")
    better, worse = test(differences), test([-d for d in differences])
    outcome: Outcome = "accepted" if better < _ALPHA else "rejected" if worse < _ALPHA else "undecided"
    verdicts: dict[Outcome, Verdict] = {"accepted": "pass", "rejected": "fail", "undecided": "undecided"}
    old, new = (fmean(map(_earned, side)) for side in (before, after))
    asked = sum(len(one.base) for one in before)
    told = f"reward on {len(before)} held-back passages {old:.3f} to {new:.3f}, {asked} questions"
    finding = Finding(
        name="reward of edits",
        n=len(differences),
        base=fmean(fmean(one.base) for one in before),
        before=old,
        after=new,
        p=better,
        verdict=verdicts[outcome],
        reason=told,
    )
    return GateReport(outcome=outcome, reason=told, findings=[finding])


def _earned(one: Tried) -> float:
    """The mean reward of the edits of a passage."""
    return fmean(fmean(of) for of in one.scores)
