"""`bench gate`: what it injects is what it says, and the gate's answers to it."""

from __future__ import annotations

import math
from random import Random

import pytest

from seal_agent.bench import gate
from seal_agent.testing import FakeLearner


def test_candidates_are_what_they_are_called() -> None:
    """Shares of right answers before and after, drawn many times."""
    draw = Random(1)
    live = gate._taught(draw, gate._base(draw), "old", 0.7)

    def right(name: str, kind: str) -> float:
        drawn = [gate._KINDS[name](draw, live) for _ in range(300)]
        return sum(one[check.id][0] for one in drawn for check in gate._CHECKS[kind]) / 300 / len(gate._CHECKS[kind])

    had = sum(live[check.id][0] for check in gate._CHECKS["old"]) / gate.OLD
    assert abs(right("better: 60 % of the new", "new") - 0.6) < 0.03
    assert abs(right("parrot of the trained wordings", "new") - 0.03) < 0.02
    assert right("learns, loses a quarter of the old", "old") < 0.85 * had
    assert gate._KINDS["no-op"](draw, live) == live
    assert all(math.isnan(loss) for _, loss in gate._KINDS["loss not finite"](draw, live).values())


def test_what_is_worth_it_goes_live_and_nothing_else() -> None:
    """Thirty of each kind; the command runs two hundred."""
    result = gate.run(times=30)

    for name, one in result["candidates"].items():
        assert one["n"] == 30
        least = {"better: 60 % of the new": 27, "better: 40 % of the new": 18}.get(name, 0)
        assert one["accepted"] >= least if one["worth"] else one["accepted"] == 0, name


def test_what_is_sealed_for_another_base_is_refused_for_its_base_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is wrong with it: where that base is the home's own, it is served."""
    name = "whole, of another base"
    assert gate._damaged(times=3)[name]["accepted"] == 0

    monkeypatch.setattr(FakeLearner, "fingerprint", "another base")
    assert {kind: one["accepted"] for kind, one in gate._damaged(times=3).items() if one["accepted"]} == {name: 3}


def test_small_losses_in_a_row_are_stopped() -> None:
    """Without a gate a third of what was known would be gone."""
    ratchet = gate.run(times=10)["ratchet"]

    assert ratchet["lost_mean"] < ratchet["unjudged_mean"] / 2
    assert ratchet["drift_mean"] < ratchet["drift_unjudged"] / 2
    assert 0 < ratchet["accepted_mean"] < 20
