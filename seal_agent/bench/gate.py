"""
The gate put to the test: candidates of which it is known what they are worth, many times each, and twenty small losses in a row.

Promises: every verdict is given by the gate that judges real candidates; what each candidate answers is drawn from a stated
distribution, by seed; a damaged candidate is a real folder, published in a real home and refused where that serves from.
Does not promise: that real candidates are distributed so. Losses and turned answers are like those of the demo's reports.
"""

from __future__ import annotations

import hashlib
import math
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from seal_agent.agent import SealAgent
from seal_agent.bench import keeping
from seal_agent.journal import adapters
from seal_agent.judging.gate import Questions, judge, sample
from seal_agent.judging.statistics import interval
from seal_agent.records import Candidate, Check, GateReport
from seal_agent.testing import FakeLearner, fake_agent

NEW, OLD, GENERAL = 16, 200, 120  # checks of each kind there are; of the old ones the gate asks a sample
_NEAR = 20  # of the old ones those nearest to the new
# The ratchet: so many candidates in a row, each of which loses this share of old answers, and so many nats of general ones.
_STEPS, _LOSS, _DRIFT = 20, 0.019, 0.008
# Nats per token, as in the stream's reports: how far the live version's general answers are from the base's, by how much that
# differs from answer to answer, and what one more consolidation changes.
_AFAR, _SPREAD, _NOISE = 0.04, 0.15, 0.08
_RIGHT = "right"

Draw = random.Random
Answers = dict[str, tuple[bool, float]]
"""By check: right or not, and the loss of the right answer, nats per token."""


@dataclass(frozen=True)
class Table:
    """A learner, as far as the gate asks it, that has its answers written down; an adapter is their name."""

    given: Mapping[str, Answers]

    def answer(self, questions: Sequence[str], adapter: Path | None, *more: Any) -> list[str]:
        known = self.given[adapter.name if adapter else "base"]
        return [_RIGHT if known[question][0] else "" for question in questions]

    def score(self, pairs: Sequence[tuple[str, str]], adapter: Path | None) -> list[tuple[float, int]]:
        known = self.given[adapter.name if adapter else "base"]
        return [(-known[question][1], 1) for question, _ in pairs]


def _checks() -> dict[str, list[Check]]:
    def made(kind: Any, name: str, count: int, gold: str) -> list[Check]:
        return [
            Check(id=f"{name} {n}", kind=kind, question=f"{name} {n}", gold=gold, answer=_RIGHT) for n in range(count)
        ]

    return {
        "new": made("fact", "new", NEW, _RIGHT),
        "old": made("fact", "old", OLD, _RIGHT),
        "general": made("general", "general", GENERAL, ""),
    }


_CHECKS = _checks()


def _base(draw: Draw) -> Answers:
    """Nothing is known: the losses of facts before they are learned, and of general answers."""
    facts = {check.id: (False, draw.uniform(1.7, 4.0)) for kind in ("new", "old") for check in _CHECKS[kind]}
    return facts | {check.id: (False, draw.uniform(0.5, 2.5)) for check in _CHECKS["general"]}


def _taught(draw: Draw, before: Answers, kind: str, share: float, recited: bool = False) -> Answers:
    """Facts of *kind* learned: a *share* answered, the others known but told apart wrongly; *recited*: half known."""
    out = dict(before)
    for check in _CHECKS[kind]:
        right = draw.random() < share
        low, high = (0.3, 1.0) if recited else (0.0, 0.05) if right else (0.05, 0.3)
        out[check.id] = right, draw.uniform(low, high)
    return out


def _wandered(draw: Draw, before: Answers, drift: float, spread: float) -> Answers:
    """General answers less likely by *drift*, each by more or less."""
    general = {check.id for check in _CHECKS["general"]}
    return {
        name: (right, loss + drift + draw.gauss(0.0, spread)) if name in general else (right, loss)
        for name, (right, loss) in before.items()
    }


def _forgot(draw: Draw, before: Answers, share: float, of: slice = slice(None)) -> Answers:
    """A *share* of the old answers that were right forgotten."""
    out = dict(before)
    for check in _CHECKS["old"][of]:
        if before[check.id][0] and draw.random() < share:
            out[check.id] = False, draw.uniform(0.8, 3.0)
    return out


def _jolted(draw: Draw, before: Answers, turned: float = 0.04, drift: float = 0.02) -> Answers:
    """What any training does: a few answers turn by a hair, losses move a little, those of general answers by *drift*."""
    out = _wandered(draw, before, drift, _NOISE)
    for check in (*_CHECKS["new"], *_CHECKS["old"]):
        right, loss = before[check.id]
        turns = loss < 0.5 and draw.random() < turned
        out[check.id] = right != turns, max(0.0, loss + draw.gauss(0.0, 0.1 if turns else 0.02))
    return out


# What a candidate answers, from what the live version answers.
_KINDS: dict[str, Callable[[Draw, Answers], Answers]] = {
    "no-op": lambda draw, live: dict(live),
    "equal, another seed": lambda draw, live: _jolted(draw, live, drift=0.0),
    "parrot of the trained wordings": lambda draw, live: _jolted(draw, _taught(draw, live, "new", 0.03, recited=True)),
    "learns, loses a quarter of the old": lambda draw, live: _jolted(
        draw, _forgot(draw, _taught(draw, live, "new", 0.6), 0.25)
    ),
    "learns, loses 12 % of the old": lambda draw, live: _jolted(
        draw, _forgot(draw, _taught(draw, live, "new", 0.6), 0.12 / 0.7)
    ),
    "learns, loses half of what is nearest": lambda draw, live: _jolted(
        draw, _forgot(draw, _taught(draw, live, "new", 0.6), 0.5, slice(_NEAR))
    ),
    "learns, general answers 0.15 nats from the base": lambda draw, live: _jolted(
        draw, _taught(draw, live, "new", 0.6), drift=0.15 - _AFAR
    ),
    "loss not finite": lambda draw, live: dict.fromkeys(live, (False, math.nan)),
    "better: 40 % of the new": lambda draw, live: _jolted(draw, _taught(draw, live, "new", 0.4)),
    "better: 60 % of the new": lambda draw, live: _jolted(draw, _taught(draw, live, "new", 0.6)),
}
GOOD = ("better: 40 % of the new", "better: 60 % of the new")


def run(times: int = 200, seed: int = 0, out: Path | None = None) -> dict[str, Any]:
    """
    Every kind of candidate *times* times, the damaged ones, and the ratchet; kept in *out*, if that is given, and not done again.
    Returns the document of `bench gate`.
    """
    if out:
        out.mkdir(parents=True, exist_ok=True)
        return dict(keeping.once(out / f"gate-{times}-{seed}.json", lambda: run(times, seed)))
    candidates = {name: _tried(name, times, seed) for name in _KINDS}
    candidates |= _damaged(times)
    ratchets = [_ratchet(Draw(f"ratchet {seed} {number}")) for number in range(times)]
    lost = sorted(loss for _, loss, _ in ratchets)
    drifts = sorted(drift for *_, drift in ratchets)
    return {
        "candidates": candidates,
        "ratchet": {
            "n": times,
            "steps": _STEPS,
            "loss_per_step": _LOSS,
            "drift_per_step": _DRIFT,
            "accepted_mean": sum(steps for steps, *_ in ratchets) / times,
            "lost_mean": sum(lost) / times,
            "lost_95": lost[math.ceil(0.95 * times) - 1],
            "unjudged_mean": 1 - (1 - _LOSS) ** _STEPS,
            "drift_mean": sum(drifts) / times,
            "drift_95": drifts[math.ceil(0.95 * times) - 1],
            "drift_unjudged": _DRIFT * _STEPS,
        },
        "checks": {"new": NEW, "old": OLD, "general": GENERAL},
        "n": times,
        "seed": seed,
        "seeds": [seed],
    }


def _verdict(given: Mapping[str, Answers], learned: Mapping[str, tuple[bool, float]], attempt: int = 1) -> str:
    table: Any = Table(given)
    new, everything, general = _CHECKS.values()
    old, near = sample(everything, attempt), everything[:_NEAR]
    questions = Questions(new, old, general, near, learned=learned)
    return judge(table, questions, Path("live"), Path("candidate"), attempt=attempt).outcome


def _tried(name: str, times: int, seed: int) -> dict[str, Any]:
    """How often a kind of candidate is accepted, rejected, left undecided; each time beside another live version."""
    found = {"accepted": 0, "rejected": 0, "undecided": 0}
    for number in range(times):
        draw = Draw(f"{name} {seed} {number}")
        base = _base(draw)
        live = _wandered(draw, _taught(draw, base, "old", 0.7), _AFAR, _SPREAD)
        learned = {check.id: live[check.id] for check in _CHECKS["old"]}
        found[_verdict({"base": base, "live": live, "candidate": _KINDS[name](draw, live)}, learned)] += 1
    low, high = interval(found["accepted"], times)
    return {**found, "n": times, "low": low, "high": high, "worth": name in GOOD}


def _ratchet(draw: Draw) -> tuple[int, float, float]:
    """
    Candidates in a row, each good at something new and each losing a little of the old: how many are accepted, what share of
    the old answers that were right is lost in the end, and how far (nats, median) general answers are from the base's then.
    A refused candidate is tried again from another draw.
    """
    base = _base(draw)
    live = _taught(draw, base, "old", 0.7)
    learned = {check.id: live[check.id] for check in _CHECKS["old"]}
    accepted = 0
    for attempt in range(1, _STEPS + 1):
        fresh = {**live, **{check.id: base[check.id] for check in _CHECKS["new"]}}
        candidate = _wandered(
            draw, _forgot(draw, _taught(draw, fresh, "new", 0.6), _LOSS), _DRIFT, _SPREAD / _STEPS**0.5
        )
        if _verdict({"base": base, "live": fresh, "candidate": candidate}, learned, attempt) == "accepted":
            accepted, live = accepted + 1, candidate
    had = [name for name, (right, _) in learned.items() if right]
    lost = sum(not live[name][0] for name in had) / max(1, len(had))
    return accepted, lost, median(live[check.id][1] - base[check.id][1] for check in _CHECKS["general"])


def _damaged(times: int) -> dict[str, dict[str, Any]]:
    """Real folders: a byte changed, a file missing, a pickle added, a manifest forged, another base; which are served?"""

    def flip(folder: Path, draw: Draw) -> None:
        file = folder / "adapter_model.safetensors"
        held = bytearray(file.read_bytes())
        held[draw.randrange(len(held))] ^= 1 << draw.randrange(8)
        file.write_bytes(held)

    def drop(folder: Path, draw: Draw) -> None:
        draw.choice(sorted(folder.iterdir())).unlink()

    def pickle(folder: Path, draw: Draw) -> None:
        (folder / f"extra{draw.choice(adapters.PICKLES)}").write_bytes(b"\x80")

    def forge(folder: Path, draw: Draw) -> None:
        manifest = folder / adapters.MANIFEST
        manifest.write_text(manifest.read_text().replace(f'"{FakeLearner.fingerprint}"', f'"another {draw.random()}"'))

    def keep(folder: Path, draw: Draw) -> None:
        pass

    found = {}
    for name, base, damage in (
        ("a bit changed", FakeLearner.fingerprint, flip),
        ("a file missing", FakeLearner.fingerprint, drop),
        ("a pickle added", FakeLearner.fingerprint, pickle),
        ("a manifest forged", FakeLearner.fingerprint, forge),
        ("whole, of another base", "another base", keep),
    ):
        served = 0
        with tempfile.TemporaryDirectory() as scratch, fake_agent(scratch) as agent:
            for number in range(times):
                folder = _published(agent, f"r{number}", base)
                damage(folder, Draw(f"{name} {number}"))
                served += agent.adapter() == folder
        low, high = interval(served, times)
        found[name] = {"accepted": served, "n": times, "low": low, "high": high, "worth": False}
    return found


def _published(agent: SealAgent, run: str, base: str) -> Path:
    """The folder of a new live version of *agent*, sealed as trained on *base*."""
    staged, folder = adapters.stage(agent.home / "adapters"), agent.home / "adapters" / run
    (staged / "adapter_model.safetensors").write_bytes(hashlib.sha256(run.encode()).digest() * 8)
    (staged / "adapter_config.json").write_text("{}")
    digest = adapters.seal(staged, folder, fingerprint=base, parent="", run=run, rows="")
    fence, _ = agent.journal.buffer.claim(run)
    report = GateReport(outcome="accepted", reason="to see whether it is served")
    candidate = Candidate(run=run, path=str(folder), digest=digest, parent=agent.status()["live"])
    agent.journal.publish(candidate, report, run, fence)
    return folder


def told(result: dict[str, Any]) -> str:
    """The result as lines for people."""
    lines = [
        f"{name:44} accepted {one['accepted']:4} of {one['n']}"
        f"   (95 %: {one['low']:.1%} to {one['high']:.1%}){'' if not one['worth'] else '   should be'}"
        for name, one in result["candidates"].items()
    ]
    ratchet = result["ratchet"]
    lines.append(
        f"{ratchet['steps']} candidates in a row that each lose {ratchet['loss_per_step']:.1%} of old answers: "
        f"{ratchet['accepted_mean']:.1f} accepted, {ratchet['lost_mean']:.1%} lost in the end "
        f"(95 % of {ratchet['n']} rows: at most {ratchet['lost_95']:.1%}; without a gate {ratchet['unjudged_mean']:.1%}), "
        f"general answers {ratchet['drift_mean']:.3f} nats from the base's (without a gate {ratchet['drift_unjudged']:.2f})"
    )
    return "\n".join(lines)
