"""`bench reward`: does it tell a reward that ranks from one that does not?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LIGHT, MILL

from seal_agent import agent as agents
from seal_agent.bench import reward
from seal_agent.bench.squad import Passage
from seal_agent.judging.grading import wording
from seal_agent.testing import FakeLearner, fake_agent
from seal_agent.wiring import Rooms


def made(noise: float, passages: int = 30, seed: int = 0) -> list[dict[str, Any]]:
    """Five edits of each passage, of known worth, seen by 2 seeds and 12 questions with *noise*."""
    draw = np.random.default_rng(seed)
    out = []
    for _ in range(passages):
        worth = draw.normal(size=5)
        seen = worth[None, :, None] + noise * draw.normal(size=(2, 5, 12)) + draw.normal()
        right = (worth[None, :, None] + draw.normal(size=(2, 5, 8)) > 0).astype(float)
        out.append(
            {
                "likelihood": seen.tolist(),
                "accuracy": (draw.random(size=(2, 5, 12)) > 0.5).astype(float).tolist(),
                "true": right.tolist(),
                "length": draw.integers(100, 200, size=5).tolist(),
                "rubric": worth.tolist(),
            }
        )
    return out


def test_a_reward_that_ranks_agrees_with_itself_and_with_the_truth_and_not_with_length() -> None:
    found = reward.told_apart(made(noise=0.5))

    for over in ("seeds", "questions"):
        assert found["reliability"][over]["likelihood"] > 0.9
        assert abs(found["reliability"][over]["accuracy"]) < 0.35  # coins
    assert found["with_true_accuracy"]["likelihood"] > 0.6
    assert abs(found["with_length"]["likelihood"]) < 0.2


def test_the_reliability_is_that_of_the_whole_and_falls_with_the_noise() -> None:
    """Worth has variance 1; the mean of 24 noisy looks has noise²/24 more: 0.6 where that is two thirds."""
    few = reward.told_apart(made(noise=float(np.sqrt(24 * 2 / 3)), passages=400))["reliability"]

    assert abs(few["seeds"]["likelihood"] - 0.6) < 0.06
    assert abs(few["questions"]["likelihood"] - 0.6) < 0.06


def test_a_passage_that_is_easy_is_no_evidence() -> None:
    """Only edits of one passage are compared: passages that differ, edits that do not, say nothing."""
    same = made(noise=0.0)
    for number, one in enumerate(same):
        one["likelihood"] = np.full((2, 5, 12), float(number)).tolist()

    assert reward.told_apart(same)["reliability"]["questions"]["likelihood"] == 0.0


def test_edits_of_real_passages_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the folder to the figures, with a learner that remembers."""
    monkeypatch.setattr(agents, "open", lambda home, **how: fake_agent(home))
    asked = [
        {"question": "When did Alder Mill open?", "answer": "1871"},
        {"question": "Who keeps it?", "answer": "Vell"},
    ]
    (tmp_path / "passages.json").write_text(
        json.dumps([{"title": d.title, "context": d.text, "questions": asked} for d in (MILL, LIGHT)])
    )

    result = reward.run(tmp_path / "out", tmp_path, n=2, samples=3, seeds=2)

    assert (result["n"], result["samples"], result["seeds"]) == (2, 3, [0, 1])
    assert set(result["with_true_accuracy"]) == {"likelihood", "accuracy", "rubric", "length"}
    measured: list[str] = []
    measure = reward._measured
    monkeypatch.setattr(reward, "_measured", lambda *given: measured.append(given[1].document.title) or measure(*given))
    assert reward.run(tmp_path / "out", tmp_path, n=2, samples=3, seeds=2) == result
    assert measured == []
    reward.run(tmp_path / "out", tmp_path, n=2, samples=3, seeds=2, model="another")
    assert measured == [MILL.title, LIGHT.title]
    assert "reliable over questions" in reward.told(result)


def test_no_question_that_people_asked_is_trained_and_all_edits_are_trained_for_as_many_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what was learned by heart would be measured as recall, and the reward of an edit would be its length."""
    trials: list[Any] = []
    train = FakeLearner.train_many

    def noting(learner: FakeLearner, given: Any, *more: Any) -> Any:
        trials.extend(given)
        return train(learner, given, *more)

    monkeypatch.setattr(FakeLearner, "train_many", noting)
    with fake_agent(tmp_path / "home") as agent:
        (passage, *_) = agent.rooms.passages(MILL)
        rows, _ = agent.rooms.compose(agent.learner, passage, None, 0)
        prompt = next(row.prompt for row in rows if row.prompt and not row.refused)
        short = [row for row in rows if not row.refused][:2]
        monkeypatch.setattr(
            Rooms, "compose", lambda rooms, learner, passage, tuned, seed: (short if seed == 1 else rows, [])
        )
        asked = [{"title": MILL.title, "question": f"{prompt.lower()}", "answer": "1871"}]
        reward._measured(agent, Passage(MILL, tuple(asked), {}), 2, 1)

    assert len(trials) == 2
    assert all(wording(row.prompt) != wording(prompt) for trial in trials for row in trial.examples)
    long, brief = ((trial.epochs * len(trial.examples)) for trial in trials)
    assert abs(long - brief) <= len(trials[1].examples)
