"""
The gate: may this candidate answer from now on?

Promises: new facts must be recalled on reserved wordings that were not answered before, in answers and in likelihood; of old
facts at most one in forty may be forgotten at one go, and one in twenty since each was learned, so that small losses in a row
add up; general answers not worse than under the live version and the untouched base; no question of a user's own that was right
may turn wrong; every comparison is paired and stands in the report; a number that is not finite fails. Over all attempts of a
home, forgotten ones included, two errors have at most 5 % each (alpha spending): accepting a candidate that forgot 12 % of the
old facts (if they are nine or more), and one whose general answers are 0.15 nats worse than the base's. Where other facts came
back meanwhile only the net loss counts, and the bound is looser.
Of many old facts a quarter is asked first, and the rest only if that quarter has not lost more than all of them may.
Does not promise: more than a sample can show. Facts it does not ask about are judged by those it does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from typing import Protocol

from seal_agent.judging.grading import correct
from seal_agent.judging.statistics import needed, rank_test, sample_size, sign_test, spent
from seal_agent.parts import ENOUGH, Say, silent
from seal_agent.records import Check, CheckResult, Finding, GateReport, Outcome, Verdict

_ALPHA = 0.05
_WORSE = 0.10  # nats per token: a median rise of general answers' loss above this is felt in the wording of answers
_LOST = 0.10  # share of old facts that may turn wrong on balance, if they are many
_SHARES = 0.3, 0.2  # of the reserved wordings that must be answered and were not: of few, and of 25 and more
# Nats per token. A wrong answer whose right one lost this much is forgotten, not turned by a hair: those that turned in 21
# consolidations of the demo had lost 0.1, at most 0.3, while a fact never learned stands at 3.
_GONE = 0.5
_BUDGET = 0.05  # share of old facts that may be forgotten on balance, one at least, since they were learned;
_STEP = 0.025  # and at one go
_NEIGHBOURS = 0.05  # the same, at one go, of the old facts nearest to the new ones
_LEAST = 60  # old facts asked, if there are so many: fewer see too little of a loss that is within the budget
# What must not be true of all old facts, and of all general answers, when so little is seen in the sample.
_FORGOTTEN, _DRIFTED = 0.12, 0.15

Answers = dict[tuple[str, Check], tuple[bool, float]]
"""What a version (its folder, "" for the base) gave to a check: right or not, and the loss of the right answer."""


@dataclass(frozen=True)
class Questions:
    """
    What a candidate is asked: about new facts, old ones (a `sample`), those of them nearest to the new ones, general things, and
    all that a *user* wants kept.

    *learned* tells of an old check whether it was right under the version that learned it, and its loss.
    """

    new: Sequence[Check] = ()
    old: Sequence[Check] = ()
    general: Sequence[Check] = ()
    near: Sequence[Check] = ()
    user: Sequence[Check] = ()
    learned: Mapping[str, tuple[bool, float]] = field(default_factory=dict)


class Served(Protocol):
    """The versions as people are answered by them."""

    def answer(self, questions: Sequence[str], adapter: Path | None) -> list[str]:
        """Closed-book answers under *adapter*."""
        ...

    def score(self, pairs: Sequence[tuple[str, str]], adapter: Path | None) -> list[tuple[float, int]]:
        """See parts.Learner."""
        ...


def sample(old: Sequence[Check], attempt: int) -> list[Check]:
    """
    Of *old* checks as many as the share of the error demands that *attempt* may spend, drawn plainly, as that number is
    computed for; one from each part of the home would more often miss a loss that is spread evenly over all.
    """
    size = sample_size(len(old), _FORGOTTEN, lambda n: _allowed(_BUDGET, n), spent(attempt), _LEAST)
    # another draw each time, so that none is worn out
    return [old[number] for number in sorted(Random(attempt).sample(range(len(old)), size))]


def _allowed(budget: float, n: int) -> int:
    return max(1, int(budget * n))


def ask(
    learner: Served, checks: Sequence[Check], adapter: Path | None, asked: Answers
) -> dict[str, tuple[bool, float]]:
    """
    For each check: is the answer right, and the loss per token (nats) of the answer it should give.

    What is in *asked* is not asked again, and what is asked is put there: a version never changes.
    """
    version = str(adapter or "")
    fresh = [check for check in checks if (version, check) not in asked]
    questions = [check for check in fresh if check.gold]
    answers = learner.answer([check.question for check in questions], adapter)
    right = {c.id: correct(c.gold, a) for c, a in zip(questions, answers, strict=True)}
    scores = learner.score([(c.question, c.answer or c.gold) for c in fresh], adapter)
    for check, (logprob, tokens) in zip(fresh, scores, strict=True):
        asked[version, check] = right.get(check.id, False), -logprob / max(1, tokens)
    return {check.id: asked[version, check] for check in checks}


def judge(
    learner: Served,
    questions: Questions,
    live: Path | None,
    candidate: Path,
    say: Say = silent,
    asked: Answers | None = None,
    attempt: int = 1,
    serving: Served | None = None,
) -> GateReport:
    """
    Compare *candidate* with *live* and the base on held-out *questions*.

    *asked* holds what versions answered before, and afterwards what they answered now; *attempt* counts all that were judged,
    from 1 on. *serving*: how *live* and the base answer people now, if that is not how the candidate would, as *learner* does.
    """
    asked, serving = {} if asked is None else asked, serving or learner
    new, general, near = questions.new, questions.general, questions.near
    old = _asked_first(learner, serving, questions.old, live, candidate, asked)
    checks = list({check.id: check for check in (*new, *old, *near, *questions.user, *general)}.values())
    after = ask(learner, checks, candidate, asked)
    say("judging", 0.5)
    before = ask(serving, checks, live, asked)
    base = before if live is None else ask(serving, general, None, asked)
    results = [_result(check, base.get(check.id), before[check.id], after[check.id]) for check in checks]
    say("judging", 1.0)
    by_id = {result.check: result for result in results}
    groups = {"new": new, "old": old, "near": near, "general": general, "user": questions.user}
    of = {kind: [by_id[check.id] for check in chosen] for kind, chosen in groups.items()}
    kept = _kept(of["old"], of["near"], questions.learned)
    users = [_no_worse(of["user"])] if of["user"] else []
    findings = [_learned(of["new"]), *kept, *users, *_unharmed(of["general"], spent(attempt))]
    outcome, reason = _verdict(findings)
    return GateReport(outcome=outcome, reason=reason, findings=findings, results=results)


def _asked_first(
    learner: Served, serving: Served, old: Sequence[Check], live: Path | None, candidate: Path, asked: Answers
) -> Sequence[Check]:
    """A quarter of many *old* checks, if it shows already that more was forgotten than may be of all; else all of them."""
    first = old[::4]
    if len(first) < _LEAST:
        return old
    before, after = ask(serving, first, live, asked), ask(learner, first, candidate, asked)
    results = [_result(check, None, before[check.id], after[check.id]) for check in first]
    return first if _gone(results) > _allowed(_STEP, len(old)) else old


def _result(
    check: Check, base: tuple[bool, float] | None, before: tuple[bool, float], after: tuple[bool, float]
) -> CheckResult:
    return CheckResult(
        check=check.id,
        kind=check.kind,
        base=base[0] if base else None,
        before=before[0],
        after=after[0],
        base_nll=base[1] if base else None,
        before_nll=before[1],
        after_nll=after[1],
    )


def _learned(results: Sequence[CheckResult]) -> Finding:
    better = sum(r.after and not r.before for r in results)
    worse = sum(r.before and not r.after for r in results)
    # What a newer text says as the older did is known already, and nothing that could be learned. Those answered wrongly are
    # in part so by chance, so p is no level by itself; answers decide beside it.
    unknown = [r for r in results if not r.before]
    p = rank_test([r.before_nll - r.after_nll for r in unknown])
    n, net = len(unknown), better - worse
    found = partial(_finding, "new facts", results, p)
    if not _finite(results):
        return found("fail", "a loss is not finite")
    if n < ENOUGH:
        return found("undecided", f"{n} reserved wordings not answered before; a test needs {ENOUGH}")
    told = f"{better} answered that were not, {worse} lost"
    # both, for likelihood alone would let through who only recites
    if p < _ALPHA and net >= max(3, min(_SHARES[0] * n, max(ENOUGH, _SHARES[1] * n))):
        return found("pass", told)
    return found("fail", f"{told}: too few, or by chance")


def _kept(
    results: Sequence[CheckResult], near: Sequence[CheckResult], learned: Mapping[str, tuple[bool, float]]
) -> list[Finding]:
    since = [
        r.model_copy(update={"before": learned[r.check][0], "before_nll": learned[r.check][1]})
        for r in results
        if r.check in learned
    ]
    return [
        _not_lost("old facts, against the live version", results, _STEP),
        *([_not_lost("old facts, since they were learned", since, _BUDGET)] if since else []),
        *([_not_lost("old facts nearest to the new ones", near, _NEIGHBOURS)] if near else []),
    ]


def _not_lost(name: str, results: Sequence[CheckResult], budget: float) -> Finding:
    lost = [r for r in results if r.before and not r.after]
    gained = [r for r in results if r.after and not r.before]
    p, net = sign_test(len(lost), len(gained)), len(lost) - len(gained)
    gone = _gone(results)
    # fewer than ENOUGH greedy answers turn by chance: no test can tell four turned from none
    turned = net > 0 and (p < _ALPHA or net > max(ENOUGH - 1, _LOST * len(results)))
    if not _finite(results):
        return _finding(name, results, p, "fail", "a loss is not finite")
    verdict: Verdict = "fail" if turned or gone > _allowed(budget, len(results)) else "pass"
    told = f"{len(lost)} lost, {len(gained)} gained, {max(0, gone)} forgotten on balance"
    return _finding(name, results, p, verdict, told)


def _no_worse(results: Sequence[CheckResult]) -> Finding:
    """A user's own questions: not one of them may turn wrong, and none of the rest makes up for it."""
    lost, gained = (
        sum(r.before and not r.after for r in results),
        sum(r.after and not r.before for r in results),
    )
    verdict: Verdict = "fail" if lost or not _finite(results) else "pass"
    told = f"{lost} lost, {gained} gained"
    return _finding("users' own questions", results, sign_test(lost, gained), verdict, told)


def _gone(results: Sequence[CheckResult]) -> int:
    """Facts that were forgotten, less those that came back."""
    lost = sum(r.before and not r.after and r.after_nll - r.before_nll > _GONE for r in results)
    return lost - sum(r.after and not r.before and r.before_nll - r.after_nll > _GONE for r in results)


def _unharmed(results: Sequence[CheckResult], level: float) -> list[Finding]:
    out = []
    for name, rises, sure in (
        ("general, against the live version", [r.after_nll - r.before_nll for r in results], False),
        ("general, against the base", [r.after_nll - r.base_nll for r in results if r.base_nll is not None], True),
    ):
        p = rank_test(rises)
        rise = median(rises) if rises else 0.0
        # the median, not the mean: one odd answer must not decide (arXiv 2605.24657)
        bad = not _finite(results) or (rise > _WORSE and p < _ALPHA)
        verdict: Verdict = "fail" if bad else "pass"
        reason = f"median loss {rise:+.3f} nats per token"
        if not rises:  # what nobody looked at has not passed
            verdict, reason = "undecided", "no general question is asked"
        held = rank_test([_DRIFTED - r for r in rises])
        if sure and rises and not bad and held >= level:
            most = needed(len(rises), held, level)
            would = f"about {most} checks would show" if most else "no number of checks is likely to show"
            verdict = "undecided"
            reason += f"; {would} that it is below {_DRIFTED} (level {level:.2g})"
        out.append(_finding(name, results, p, verdict, reason, by_loss=True))
    return out


def _verdict(findings: Sequence[Finding]) -> tuple[Outcome, str]:
    failed = [f for f in findings if f.verdict == "fail"]
    open_ = [f for f in findings if f.verdict == "undecided"]
    if failed:
        return "rejected", _told(failed)
    if open_:
        return "undecided", _told(open_)
    return "accepted", _told(findings)


def _told(findings: Sequence[Finding]) -> str:
    return "; ".join(f"{finding.name}: {finding.reason}" for finding in findings)


def _finding(
    name: str, results: Sequence[CheckResult], p: float, verdict: Verdict, reason: str, by_loss: bool = False
) -> Finding:
    def mean(which: str) -> float | None:
        values = [value for r in results if (value := getattr(r, f"{which}_nll" if by_loss else which)) is not None]
        return sum(map(float, values)) / len(values) if values else None

    return Finding(
        name=name,
        n=len(results),
        base=mean("base"),
        before=mean("before") or 0.0,
        after=mean("after") or 0.0,
        p=p,
        verdict=verdict,
        reason=reason,
    )


def _finite(results: Sequence[CheckResult]) -> bool:
    losses = (loss for r in results for loss in (r.base_nll, r.before_nll, r.after_nll) if loss is not None)
    return all(map(math.isfinite, losses))
