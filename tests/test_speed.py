"""What the engine computes, counted; how the speed bench lays out its lessons and ratios; who leaves a search early."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch.utils.flop_counter import FlopCounterMode

from seal_agent.bench import contenders, flops, growth, speed
from seal_agent.bench.halving import halving
from seal_agent.errors import SealError
from seal_agent.learning import models, packing
from seal_agent.learning.learner import Candidate, LoraLearner
from seal_agent.learning.training import Recipe
from seal_agent.parts import Example

# rows of one length: what a formula of real lengths counts must not be blurred by slots that padding leaves empty
ROWS = [Example("", "The ferry leaves at nine in the morning today.") for _ in range(8)]
ONE_STEP = Recipe(epochs=1, least_steps=1, rows_per_step=8, kl=0.0)


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> LoraLearner:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "base_dtype", lambda: torch.float32)
        return LoraLearner(str(tiny.write(tmp_path_factory.mktemp("model"))), rank=4, recipe=ONE_STEP)


def _counted(work: Any) -> int:
    multiply = torch.ops.aten.addmm_
    with FlopCounterMode(
        display=False, custom_mapping={multiply: lambda _, a, b, **__: 2 * a[0] * a[1] * b[1]}
    ) as count:
        work()
    return int(count.get_total_flops())


def _needed(learner: LoraLearner) -> tuple[flops.Shape, int, int, int]:
    rows = [learner._row(example) for example in ROWS]
    tokens = sum(len(row.ids) for row in rows)
    shape = flops.shape(learner.base, *learner._adapters.frozen, 4)
    return shape, tokens, sum(len(row.targets) for row in rows), sum(len(row.ids) ** 2 for row in rows)


def test_a_training_step_computes_what_it_needs_and_no_more(learner: LoraLearner, tmp_path: Path) -> None:
    """Head on labels only, no gradient of base weights, backward to the lowest adapter, lower blocks once: 1.05 times."""
    shape, tokens, labels, pairs = _needed(learner)
    assert learner._frozen is not None  # made and checked here, so that the check is not counted
    once = flops.training(shape, tokens, labels, pairs)
    # the kept blocks are computed once per row, and the rows here are all the same one
    kept = flops.training(shape, tokens, labels, pairs, kept=False) - once

    counted = _counted(lambda: learner.train(ROWS, None, tmp_path, seed=0))

    assert once * 0.9 < counted < 1.05 * (once + kept)


def test_scoring_computes_the_head_at_labels_only(learner: LoraLearner) -> None:
    """One pass over the rows, adapters aside."""
    shape, tokens, labels, pairs = _needed(learner)
    pack = packing.pack(learner.base, [learner._row(example) for example in ROWS])

    def score() -> None:
        with learner._adapters.using(None) as model, torch.inference_mode():
            pack.logits(model)

    assert _counted(score) <= 1.05 * flops.scoring(shape, tokens, labels, pairs)


def test_a_shared_preamble_is_computed_once(learner: LoraLearner) -> None:
    """Eight questions cost their own tokens and one preamble."""
    rows = [learner._row(Example(f"Who keeps mill {n}?", "Nobody.")) for n in range(8)]
    own = sum(packing.own(learner.base, row) for row in rows)

    assert packing.pack(learner.base, rows).ids.shape[1] == own + len(learner.base.preamble)


def test_the_better_half_goes_on_once_all_have_reached_the_round(learner: LoraLearner) -> None:
    """Of four, two leave after the first round and one after the second; nobody leaves before all are measured."""
    worth = {0: -1.0, 1: -4.0, 2: -2.0, 3: -3.0}
    leave = halving([("Who?", "Nobody.")], 4, rounds=(1, 2))
    scores = lambda asked: {number: [(worth[number], 1)] for number in asked}  # noqa: E731

    assert list(leave({0: 1, 1: 1, 2: 1}, scores)) == []
    assert sorted(leave({3: 1}, scores)) == [1, 3]
    assert list(leave({0: 2}, scores)) == []
    assert list(leave({2: 2}, scores)) == [2]


def test_candidates_that_leave_are_trained_no_further(learner: LoraLearner, tmp_path: Path) -> None:
    """A real search: four learning rates, the hopeless ones stop after an epoch, the winner runs to its end."""
    recipes = [
        Recipe(epochs=6, least_steps=1, kl=0.0, stop_loss=0.0, learning_rate=rate) for rate in (1e-2, 1e-6, 1e-7, 1e-8)
    ]
    candidates = []
    for number, recipe in enumerate(recipes):
        (tmp_path / str(number)).mkdir()
        candidates.append(Candidate(ROWS, tmp_path / str(number), 1, recipe))

    pairs = [("", ROWS[0].completion)]
    logs = learner.train_together(candidates, None, leave=halving(pairs, 4, rounds=(1, 2)))

    assert [log["epochs"] for log in logs] == [6, 2, 1, 1]


def test_lessons_are_a_passage_and_the_lines_of_an_edit(tmp_path: Path) -> None:
    """Five edits of a passage one after another; blank lines are no lines."""
    (tmp_path / "passages.json").write_text(json.dumps([{"title": "T", "context": "A passage.", "questions": []}]))
    (tmp_path / speed._EDITS).write_text(json.dumps([["One.\n\nTwo.", "Three.", "4", "5", "6"]]))

    assert speed.lessons(tmp_path, 2) == [["A passage.", "One.", "Two."], ["A passage.", "Three."]]
    assert len(speed.lessons(None, 5)) == 5


def test_a_folder_without_the_edits_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    """Both names, and what to give."""
    with pytest.raises(SealError, match=r"passages.json, edits-.*published edits"):
        speed.lessons(tmp_path, 1)


def test_a_ratio_of_few_repetitions_claims_no_interval() -> None:
    """Three or more have one, and it holds the value."""
    assert speed._ratio([10.0], [5.0])["low"] is None
    ratio = speed._ratio([9.0, 10.0, 11.0], [4.0, 5.0, 6.0])
    assert ratio["low"] < ratio["value"] == 2.0 < ratio["high"]
    twice = speed._ratio([10.0, 20.0, 40.0], [5.0, 10.0, 20.0])
    assert twice["low"] == twice["value"] == twice["high"] == 2.0, (
        "lessons differ in length; each is compared with itself"
    )


def test_without_the_rivals_it_says_how_to_bring_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are an extra, and nothing else needs them."""
    monkeypatch.setattr(speed, "find_spec", lambda name: None)

    with pytest.raises(SealError, match=r"pip install 'trl>=1.16,<2' 'datasets>=4'"):
        speed.run()


def test_kept_parts_of_another_job_are_not_taken_for_this_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Same name, another model: run again. The same job: read from the folder."""
    ran: list[str] = []

    def process(command: Any, input: str, **how: Any) -> Any:
        ran.append(json.loads(input)["model"])
        return subprocess.CompletedProcess(command, 0, stdout=json.dumps({"seconds": 1.0}))

    monkeypatch.setattr(speed.subprocess, "run", process)
    for model in ("a", "b", "a"):
        speed._Bench(model, 0, tmp_path, lambda line: None).do("peak", {"does": "peak"})

    assert ran == ["a", "b"]


def test_what_the_model_is_given_does_not_grow_with_the_home() -> None:
    """Rows to train are bounded, however much was learned before; questions grow as the logarithm of the attempts."""
    rows = growth.run((40, 80))["rows"]

    assert rows[1]["memories"] > 1.5 * rows[0]["memories"]
    assert rows[1]["rows_trained"] == rows[0]["rows_trained"]
    assert rows[1]["questions_asked"] <= 1.25 * rows[0]["questions_asked"]
    assert all(row[part] > 0 for row in rows for part in ("mix_seconds", "gate_seconds", "publish_seconds"))


def test_by_token_a_long_row_counts_for_its_length(learner: LoraLearner, tmp_path: Path) -> None:
    """Of a step over a short and a long row: the mean over rows, or the mean over all of their labels."""
    texts = ["A bell.", "The ferry leaves at nine in the morning today, and the crew of six sleeps on board."]
    scored = learner.score([("", text) for text in texts], None)
    means = [-total / tokens for total, tokens in scored]
    expected = {False: sum(means) / 2, True: -sum(s for s, _ in scored) / sum(n for _, n in scored)}
    assert abs(expected[True] - expected[False]) > 0.01

    for by_token, loss in expected.items():
        out = tmp_path / str(by_token)
        out.mkdir()
        recipe = Recipe(epochs=1, least_steps=1, kl=0.0, by_token=by_token)
        (log,) = learner.train_together([Candidate([Example("", text) for text in texts], out, 0, recipe)], None)
        assert log["loss"] == pytest.approx(loss, rel=1e-4)


def test_one_process_consolidates_again_and_again(tmp_path: Path) -> None:
    """Each from the last one's adapter; its peak memory is noted when asked for."""
    job = {"model": str(tiny.write(tmp_path / "model")), "does": "lasting", "times": 4, "at": [2, 4]}

    seen = contenders._DOES["lasting"](job)["peak_mb_after"]

    assert list(seen) == ["2", "4"]
    assert 0 < seen["2"] <= seen["4"]


@pytest.mark.parametrize("together", [{}, {"ours_5": 5.0}])
def test_the_document_has_every_ratio_and_what_was_not_measured_is_none(together: dict[str, float]) -> None:
    """A quick look leaves out the five candidates; the shape stays."""

    def ran(seconds: float) -> dict[str, Any]:
        return {"seconds": seconds, "tokens": 10, "epochs": [3], "peak_mb": 1.0, "reached": True}

    paces = ("batch_generate", "batch_ours", "single_generate", "single_ours", "five_ours")
    found = speed._result(
        {name: [ran(seconds)] for name, seconds in (("ours_1", 1.0), ("trainer_b1", 3.0), ("trl_packed", 2.0))},
        {name: ran(seconds) for name, seconds in together.items()},
        [{"rung": "five candidates", "flops": 1.0, "tokens_per_second": 1.0}],
        {name: [160.0] for name in paces},
        2.0,
        {"seconds_per_step": 1.0, "rows": 2},
        {"ours_1": 1e-3},
        {0: 1.0},
        10,
        0,
    )

    assert all({"value", "low", "high"} <= ratio.keys() for ratio in found["ratios"].values())
    assert found["ratios"]["train_vs_best_rival"]["value"] == 2.0
    searched = found["ratios"]["search_vs_naive"]
    assert (searched["value"], searched["computed"]) == ((5 * 3.0 + 5.0) / (5.0 + 5.0) if together else None, True)
    assert {"percent_of_peak", "contenders", "n", "seeds"} <= found.keys()
    assert ("computed from parts" in speed.told(found)) is bool(together)
