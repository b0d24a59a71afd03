"""
One contender of `bench speed`, in a process of its own: trains lessons or generates text, and says how long it took.

Promises: every contender starts from the same frozen base in the same format and the same LoRA shape, sees the same
tokens, and is judged by the same loss, measured by the same code while its clock stands still; warm-up is not
counted. Gradient checkpointing is off for all, a constant rate is set for all.
Does not promise: the rivals' best possible settings, only their usual ones and the best rate of a common grid.

Run as: python -m seal_agent.bench.contenders < job.json > result.json
"""

from __future__ import annotations

import dataclasses
import json
import math
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from seal_agent.bench import flops
from seal_agent.bench.halving import halving
from seal_agent.learning import packing
from seal_agent.learning.adapters import Adapters
from seal_agent.learning.learner import Candidate, LoraLearner
from seal_agent.learning.models import load
from seal_agent.learning.packing import Row
from seal_agent.learning.training import Recipe
from seal_agent.parts import Example

RANK = 16
_MOST = 40  # epochs after which a contender that has not reached the target has failed
_SEAL_LENGTH = 2048  # the length SEAL pads every sequence to


class Clock:
    """Seconds of work: stopped while the common loss is measured."""

    def __init__(self) -> None:
        self.seconds, self._since = 0.0, _now()

    def stop(self) -> float:
        self.seconds += _now() - self._since
        return self.seconds

    def start(self) -> None:
        self._since = _now()


def _now() -> float:
    """Seconds; what was given to a GPU is done by then."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Judge:
    """Mean loss per real target token of a lesson, epoch by epoch, until the target is reached."""

    def __init__(self, target: float) -> None:
        self.target = target
        self.losses: list[float] = []

    def reached(self, value: float) -> bool:
        self.losses.append(value)
        return value <= self.target


def main() -> int:
    """Read one job from standard input, do it, print one JSON document."""
    warnings.filterwarnings("ignore")
    job = json.load(sys.stdin)
    torch.manual_seed(job["seed"])
    result = _DOES[job["does"]](job)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))
    return 0


def _ours(job: dict[str, Any]) -> dict[str, Any]:
    """All lessons of the job at once, one candidate each."""
    recipe = Recipe(
        epochs=job.get("epochs", _MOST),
        least_steps=1,
        learning_rate=job["rate"],
        kl=0.0,
        rows_per_step=job["rows"],
        stop_loss=0.0,
        falls=False,
        long=0,
        by_token=True,  # as the others, and as the loss they are judged by
    )
    learner = LoraLearner(job["model"], RANK, recipe)
    for technique in job.get("without", ()):
        _WITHOUT[technique](learner)
    lessons = job["lessons"]
    pairs = [[("", text) for text in lesson] for lesson in lessons]
    judges = [Judge(target) for target in job["targets"]]
    clock = Clock()
    ended: set[int] = set()

    def leave(epochs: dict[int, int], scores: Any) -> set[int]:
        clock.stop()
        totals = scores({number: pairs[number] for number in epochs})
        means = {number: -sum(s for s, _ in of) / sum(n for _, n in of) for number, of in totals.items()}
        there = {number for number, mean in means.items() if judges[number].reached(mean)}
        ended.update(there)
        clock.start()
        return there

    with tempfile.TemporaryDirectory() as scratch:
        candidates = _candidates(lessons, Path(scratch), job["seed"], recipe)
        warm = dataclasses.replace(recipe, epochs=1)
        learner.train_together(_candidates([lessons[0][:1]], Path(scratch) / "warm", 0, warm), None)
        clock = Clock()
        logs = learner.train_together(candidates, None, leave=leave)
        clock.stop()
    return {
        "seconds": clock.seconds,
        "tokens": sum(log["tokens"] for log in logs),
        "epochs": [len(judge.losses) for judge in judges],
        "losses": [judge.losses for judge in judges],
        "reached": len(ended) == len(lessons),
        "flops": sum(len(j.losses) * _epoch(learner, lesson) for j, lesson in zip(judges, lessons, strict=True)),
    }


def _candidates(lessons: Sequence[Sequence[str]], root: Path, seed: int, recipe: Recipe) -> list[Candidate]:
    """One for each of *lessons*, with a folder of its own under *root*."""
    made = []
    for number, lesson in enumerate(lessons):
        out = root / str(number)
        out.mkdir(parents=True)
        made.append(Candidate([Example("", text) for text in lesson], out, seed + number, recipe))
    return made


def _search(job: dict[str, Any]) -> dict[str, Any]:
    """Five candidates scored by the passage's questions: all to the end, then with the weak ones leaving early."""
    recipe = Recipe(job["epochs"], 1, job["rate"], 0.0, job["rows"], stop_loss=0.0, falls=False, long=0, by_token=True)
    learner = LoraLearner(job["model"], RANK, recipe)
    pairs = [(question, answer) for question, answer in job["pairs"]]
    count = len(job["lessons"])
    done: dict[str, dict[str, Any]] = {}
    for name in ("full", "halved"):
        leave: Any = halving(pairs, count, rounds=(job["epochs"] // 3, 2 * job["epochs"] // 3))
        with tempfile.TemporaryDirectory() as scratch:
            candidates = _candidates(job["lessons"], Path(scratch), job["seed"], recipe)
            began = time.perf_counter()
            extra = {"leave": leave} if name == "halved" else {}
            logs = learner.train_together(candidates, None, **extra)
            spent = time.perf_counter() - began
            scores = [sum(s for s, _ in learner.score(pairs, one.out)) for one in candidates]
        done[name] = {
            "seconds": spent,
            "tokens": sum(log["tokens"] for log in logs),
            "epochs": [log["epochs"] for log in logs],
            "scores": [score / sum(len(learner.base.answer(answer)) for _, answer in pairs) for score in scores],
        }
    stayed = [n for n, epochs in enumerate(done["halved"]["epochs"]) if epochs == max(done["halved"]["epochs"])]
    chosen = max(stayed, key=lambda n: done["halved"]["scores"][n])
    full = done["full"]["scores"]
    return {**done, "seconds": done["full"]["seconds"], "chosen": chosen, "regret": max(full) - full[chosen]}


def _lasting(job: dict[str, Any]) -> dict[str, Any]:
    """One process that trains an adapter from the last one, and answers with it, again and again: its peak memory."""
    learner = LoraLearner(job["model"], RANK, Recipe(epochs=1, least_steps=1, learning_rate=1e-4, kl=0.0))
    seen: dict[str, float] = {}
    parent: Path | None = None
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(1, job["times"] + 1):
            out = Path(scratch) / str(number)
            out.mkdir()
            learner.train([Example(f"What is number {number}?", f"Number {number} is {number}.")], parent, out, number)
            learner.answer([f"What is number {number}?"], out, max_new_tokens=4)
            if parent:
                shutil.rmtree(parent)  # as on a disk with room for a few versions
            parent = out
            if number in job["at"]:
                seen[str(number)] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"peak_mb_after": seen}


def _epoch(learner: LoraLearner, lesson: Sequence[str]) -> int:
    """Operations one epoch of *lesson* needs: each token attends to those of its own row before it."""
    rows = _rows(learner.base, lesson)
    of = flops.shape(learner.base, *learner._adapters.frozen, RANK)
    tokens, pairs = sum(len(row.ids) for row in rows), sum(len(row.ids) * (len(row.ids) + 1) // 2 for row in rows)
    return flops.training(of, tokens, sum(len(row.targets) for row in rows), pairs)


def _trainer(job: dict[str, Any]) -> dict[str, Any]:
    """transformers.Trainer over peft, or TRL's SFTTrainer, one lesson after another."""
    done = [_rival(job, lesson, target) for lesson, target in zip(job["lessons"], job["targets"], strict=True)]
    return {
        "seconds": sum(one["seconds"] for one in done),
        "tokens": sum(one["tokens"] for one in done),
        "epochs": [one["epochs"] for one in done],
        "losses": [one["losses"] for one in done],
        "reached": all(one["reached"] for one in done),
    }


def _rival(job: dict[str, Any], lesson: Sequence[str], target: float) -> dict[str, Any]:
    from transformers import TrainerCallback

    base = load(job["model"])
    adapters = Adapters(base, RANK)
    rows = _rows(base, lesson)
    model: Any = adapters._model  # a plain PeftModel: nothing of ours acts in it
    judge, clock = Judge(target), Clock()
    # as ours: what a first pass sets up is not counted
    warm = torch.tensor([list(rows[0].ids)], device=base.model.device)
    with torch.autocast(base.model.device.type, torch.bfloat16, enabled=base.model.dtype == torch.bfloat16):
        model(input_ids=warm, labels=warm).loss.backward()
    model.zero_grad(set_to_none=True)

    class Measure(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            clock.start()

        def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            clock.stop()
            control.should_training_stop = judge.reached(loss(base, adapters.model, rows))
            clock.start()

    with tempfile.TemporaryDirectory() as scratch:
        trainer = _trainer_of(job, base, model, [list(row.ids) for row in rows], scratch)
        trainer.add_callback(Measure())
        model.train()
        trainer.train()
        clock.stop()
    return {
        "seconds": clock.seconds,
        "tokens": len(judge.losses) * sum(len(row.ids) for row in rows),
        "epochs": len(judge.losses),
        "losses": judge.losses,
        "reached": judge.losses[-1] <= target,
    }


def _trainer_of(job: dict[str, Any], base: Any, model: Any, ids: list[list[int]], scratch: str) -> Any:
    """TRL's or transformers' trainer of *model* on rows of token *ids*, as it comes but for the rate and the batch."""
    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    common: dict[str, Any] = {
        "output_dir": scratch,
        "per_device_train_batch_size": job["batch"],
        "num_train_epochs": job.get("epochs", _MOST),
        "learning_rate": job["rate"],
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "logging_strategy": "no",
        "use_cpu": not torch.cuda.is_available(),
        "bf16": base.model.dtype == torch.bfloat16,
        "seed": job["seed"],
        "gradient_checkpointing": False,
    }
    if job["does"] == "trl":
        from trl import SFTConfig, SFTTrainer

        return SFTTrainer(
            model=model,
            args=SFTConfig(**common, **job["trl"]),
            train_dataset=Dataset.from_dict({"input_ids": ids}),
            processing_class=base.tokenizer,
        )
    return Trainer(
        model=model,
        args=TrainingArguments(**common),
        train_dataset=Dataset.from_dict({"input_ids": ids, "labels": ids}),
        data_collator=DataCollatorForSeq2Seq(base.tokenizer, padding=True),
    )


def _seal(job: dict[str, Any]) -> dict[str, Any]:
    """SEAL's inner loop by its description: each sequence alone, padded to 2,048, all positions labelled; two steps."""
    base = load(job["model"])
    adapters = Adapters(base, RANK)
    rows = _rows(base, job["lessons"][0])
    seconds = []
    with adapters.training(None, [0]) as made:
        adapters.step(list(made))
        (weights,) = made.values()
        optimizer = torch.optim.AdamW(weights.parameters, lr=job["rate"])
        for row in rows[:2]:
            ids = torch.tensor([[*row.ids, *([base.end] * (_SEAL_LENGTH - len(row.ids)))]], device=base.model.device)
            began = _now()
            with torch.autocast(base.model.device.type, torch.bfloat16, enabled=base.model.dtype == torch.bfloat16):
                out = adapters.model(input_ids=ids, labels=ids, use_cache=False)
            out.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            seconds.append(_now() - began)
    return {"seconds_per_step": min(seconds), "rows": len(rows), "tokens": sum(len(row.ids) for row in rows)}


def _generate(job: dict[str, Any]) -> dict[str, Any]:
    """model.generate, *batch* prompts at a time, or ours: tokens per second of *count* samples of one prompt."""
    length, count = job["length"], job["count"]
    if job["with"] == "ours":
        learner = LoraLearner(job["model"], RANK)

        def run(n: int, size: int) -> int:
            texts = learner.complete(
                [job["prompt"]] * n, None, max_new_tokens=size, temperature=job["temperature"], seed=job["seed"]
            )
            return sum(len(learner.base.text(text)) for text in texts)

    else:
        base = load(job["model"])
        ids = torch.tensor([base.start + base.text(job["prompt"])], device=base.model.device)

        def run(n: int, size: int) -> int:
            made = 0
            for _ in range(0, n, job["batch"]):
                out = base.model.generate(  # type: ignore[operator]  # transformers' own mix-in
                    ids.repeat(min(job["batch"], n), 1),
                    attention_mask=torch.ones_like(ids).repeat(min(job["batch"], n), 1),
                    do_sample=job["temperature"] > 0,
                    min_new_tokens=size,
                    max_new_tokens=size,
                    pad_token_id=base.end,
                )
                made += (out.shape[1] - ids.shape[1]) * out.shape[0]
            return made

    run(min(2, count), 4)
    clock = Clock()
    tokens = run(count, length)
    return {"seconds": clock.stop(), "tokens": tokens}


def _peak(job: dict[str, Any]) -> dict[str, Any]:
    """
    The best matrix product this machine does in the base's format, FLOP/s: what percentages are percentages of.

    Kept up for a second, as training must be: on a shared core a single product may borrow a neighbour's clock.
    """
    base = load(job["model"])
    kept_up = 0.0
    for size in (1024, 2048) * 3:
        a, b = (torch.randn(size, size, device=base.model.device).to(base.model.dtype) for _ in range(2))
        done, whole = 0, time.perf_counter()
        while (spent := time.perf_counter() - whole) < 1.0:
            (a @ b)[0, 0].item()
            done += 2 * size**3
        kept_up = max(kept_up, done / spent)
    return {"flops": kept_up}


def loss(base: Any, model: Any, rows: Sequence[Row]) -> float:
    """Mean loss per target token of *rows* under *model* as it is, nats."""
    total, count = 0.0, 0
    was = model.training
    model.eval()
    with torch.inference_mode():
        for indices in packing.batches(base, rows, 1000):
            laid = packing.pack(base, [rows[i] for i in indices])
            picked = laid.logits(model).float().log_softmax(-1).gather(1, laid.targets[:, None])
            total -= float(picked.sum())
            count += len(picked)
    model.train(was)
    return total / count if count else math.nan


def _rows(base: Any, lesson: Sequence[str]) -> list[Row]:
    # as LoraLearner makes them of plain text: every token after the first is a target, and so is the end
    made = [(*base.start, *base.text(text), base.end) for text in lesson]
    return [Row(ids, max(1, len(base.start))) for ids in made]


def _unfuse(learner: LoraLearner) -> None:
    for module in learner._adapters.model.modules():
        vars(module).pop("forward", None)


# the ladder's rungs: what is switched off, from the engine's own parts
_WITHOUT: dict[str, Callable[[LoraLearner], None]] = {
    "packing": lambda learner: setattr(learner, "_packs", False),
    "fusing": _unfuse,
    "keeping": lambda learner: setattr(learner, "_frozen", None),
}
_DOES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "ours": _ours,
    "trainer": _trainer,
    "trl": _trainer,
    "seal": _seal,
    "search": _search,
    "generate": _generate,
    "lasting": _lasting,
    "peak": _peak,
}

if __name__ == "__main__":
    sys.exit(main())
