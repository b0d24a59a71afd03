"""
Documents in a row: what is known of all of them after each, for our policy, for parts of it, for SEAL's, for a vector store.

Promises: every arm sees the same documents in the same order and is asked the same questions, which nobody else reads;
nothing is routed to the base but in the arm that says so; a finished step is kept in the folder and not done again.
Does not promise: SEAL at its own size. Its policy (a fresh adapter for each document, trained on the implications the model
writes, merged, nothing rehearsed, nothing judged) runs on the same model and engine as ours.

Source: the continual self-edit protocol of SEAL (arXiv 2506.10943, section 4.3), with questions of all documents so far.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import numpy as np

from seal_agent import agent as agents
from seal_agent.bench.demo import corpus, general, items
from seal_agent.errors import ConfigError, SealError
from seal_agent.judging.quiz import Asked, quiz, read
from seal_agent.judging.statistics import paired_interval
from seal_agent.learning import embedded
from seal_agent.records import Answer, Document
from seal_agent.remembering import metrics
from seal_agent.remembering.index import Index

ARMS = ("full", "no_replay", "no_gate", "seal", "store", "full_scoped")
_ONE_BY_ONE = 20  # documents up to which each is consolidated by itself; beyond that ten at a time, as in daily use
_SHOWN = 1  # passages that the vector store shows with a question: with two the small model is right half as often
_SEAL_TOKENS = 256  # of an edit: what the small model writes beyond that repeats itself
_SCOPE = 0.45  # on tuning documents 99 % of 180 questions about them are nearer, and 99 % of 300 general ones farther
_SEAL = (
    "Let's read the following passage and produce a list of implications derived directly or indirectly from the content."
    "\n\nPassage:\n{}\n\nImplications:\n"
)

Say = Callable[[str, float], None]


@dataclass(frozen=True)
class Lesson:
    """A document and the questions about it."""

    document: Document
    items: tuple[dict[str, Any], ...]


class Arm(Protocol):
    """Someone who reads lessons and can be asked."""

    def learn(self, documents: Sequence[Document]) -> str:
        """Learn these; in a word, how it ended."""
        ...

    def asked(self) -> Asked:
        """Who answers now."""
        ...

    def prompt_tokens(self, question: str) -> int:
        """Tokens of what the model is given with *question*, the template aside."""
        ...


def lessons(data: Path | None, n: int, seed: int) -> list[Lesson]:
    """*n* documents in an order of their own for each *seed*: built-in invented ones, or SEAL's passages in *data*."""
    if data is None:
        found = [Lesson(Document(text=d["text"], title=d["title"]), tuple(items([d]))) for d in corpus("invented")]
    else:
        by_passage: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for item in read(data / "passages.json"):
            by_passage.setdefault((item["title"], item["context"]), []).append(dict(item))
        found = [Lesson(Document(text=text, title=title), tuple(of)) for (title, text), of in by_passage.items()]
    if n > len(found):
        raise ConfigError(f"--n {n}: there are {len(found)} documents; give a smaller number or another --data")
    return random.Random(seed).sample(found, n)


def run(
    out: Path,
    data: Path | None = None,
    n: int = 8,
    seeds: int = 1,
    arms: Sequence[str] = ARMS,
    model: str | None = None,
    say: Say = lambda stage, share: None,
    say_line: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """The whole bench; homes and finished steps are kept in *out*. Returns the document of `bench stream`."""
    if unknown := [name for name in arms if name not in ARMS]:
        raise ConfigError(f"no arm called {', '.join(unknown)}; there are {', '.join(ARMS)}")
    name = f"{data.name if data else 'invented'}-{n}"
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
    for seed in range(seeds):
        chosen = lessons(data, n, seed)
        for arm in arms:
            folder = out / f"{name}-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            found[arm].append(_lived(arm, chosen, folder, model, topic=data is not None, say=say, say_line=say_line))
    return {
        "arms": {arm: _summed(of) for arm, of in found.items()},
        "corpus": name,
        "n": n,
        "seeds": list(range(seeds)),
        "questions": sum(len(lesson.items) for seed in range(seeds) for lesson in lessons(data, n, seed)),
    }


def _lived(
    name: str,
    chosen: Sequence[Lesson],
    folder: Path,
    model: str | None,
    topic: bool,
    say: Say,
    say_line: Callable[[str], None],
) -> dict[str, Any]:
    """One arm through one stream: a row of right answers by lesson for the base and after each step."""
    kept = folder / f"{name}.json"
    story: dict[str, Any] = json.loads(kept.read_text("utf-8")) if kept.is_file() else {"rows": [], "seconds": []}
    size = 1 if len(chosen) <= _ONE_BY_ONE else 10
    arm = _ARMS[name](folder / name, model, say)

    def asked(of: Sequence[Lesson], version: int | None = None) -> list[list[bool]]:
        wanted = [item for lesson in of for item in lesson.items]
        right = iter(row["correct"] for row in quiz(arm.asked(), wanted, version, topic=topic)["rows"])
        return [[next(right) for _ in lesson.items] for lesson in of]

    def keep(**more: Any) -> None:
        story.update(more)
        kept.write_text(json.dumps(story), "utf-8")

    others = general()
    if "base" not in story:
        keep(
            base=asked(chosen, 0),
            general_before=[row["correct"] for row in quiz(arm.asked(), others, 0)["rows"]],
        )
    for step in range(len(story["rows"]), -(-len(chosen) // size)):
        began = time.monotonic()
        outcome = arm.learn([lesson.document for lesson in chosen[step * size : (step + 1) * size]])
        spent = time.monotonic() - began
        seen = chosen[: (step + 1) * size]
        keep(rows=[*story["rows"], asked(seen)], seconds=[*story["seconds"], spent])
        shares = " ".join(f"{_mean([right]):.0%}" for right in story["rows"][-1])
        say_line(f"{name}, step {step + 1}: {outcome} in {spent:.0f} s; {shares}")
    if "general_after" not in story:
        questions = [item["question"] for lesson in chosen for item in lesson.items]
        began = time.monotonic()
        arm.asked().ask_all(questions)
        pace = (time.monotonic() - began) / len(questions)
        tokens = fmean([arm.prompt_tokens(question) for question in questions])
        right = [row["correct"] for row in quiz(arm.asked(), others)["rows"]]
        keep(general_after=right, seconds_per_answer=pace, prompt_tokens=tokens)
    return {**story, "size": size}


def _summed(stories: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One arm over its streams: means over questions, the matrix by step, an interval for what was gained."""
    matrices = [_matrix(story) for story in stories]
    base = [_mean(story["base"]) for story in stories]
    gains = [
        float(after) - float(before)
        for story in stories
        for befores, afters in zip(story["base"], story["rows"][-1], strict=True)
        for before, after in zip(befores, afters, strict=True)
    ]
    general = [
        float(after) - float(before)
        for story in stories
        for before, after in zip(story["general_before"], story["general_after"], strict=True)
    ]
    return {
        "base_mean": fmean(base),
        "just_learned_mean": fmean([metrics.plasticity(m) for m in matrices]),
        "final_mean": fmean([metrics.average_accuracy(m) for m in matrices]),
        "backward_transfer": fmean([metrics.backward_transfer(m) for m in matrices]),
        "forgetting": fmean([metrics.forgetting(m) for m in matrices]),
        "gain": fmean(gains),
        "gain_interval": list(paired_interval(gains)),
        "general_before": fmean([_mean([story["general_before"]]) for story in stories]),
        "general_after": fmean([_mean([story["general_after"]]) for story in stories]),
        "general_interval": list(paired_interval(general)),
        "general_n": len(general),
        "matrix": [[fmean(cells) for cells in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)],
        "prompt_tokens": fmean([story["prompt_tokens"] for story in stories]),
        "seconds_per_answer": fmean([story["seconds_per_answer"] for story in stories]),
        "seconds": [sum(story["seconds"]) for story in stories],
        "seen_mean": [fmean([_mean(story["rows"][step]) for story in stories]) for step in range(len(matrices[0]))],
    }


def _matrix(story: dict[str, Any]) -> list[list[float]]:
    """Accuracies by step: the lessons of one step count as one."""
    size = story["size"]
    return [[_mean(row[at : at + size]) for at in range(0, len(row), size)] for row in story["rows"]]


def _mean(rights: Sequence[Sequence[bool]]) -> float:
    every = [right for of in rights for right in of]
    return sum(every) / len(every) if every else 0.0


# -- the arms


class _Ours:
    """SealAgent, with replay and gate or without."""

    def __init__(self, home: Path, model: str | None, say: Say, *, gated: bool = True, **settings: Any) -> None:
        self._agent = agents.open(home, model=model, say=say, **settings)
        if not gated:
            judge = self._agent.rooms.judge

            def accept(*given: Any) -> Any:
                return judge(*given).model_copy(update={"outcome": "accepted", "reason": "nobody judges here"})

            vars(self._agent.rooms)["judge"] = accept

    def learn(self, documents: Sequence[Document]) -> str:
        for document in documents:
            self._agent.observe(document)
        return self._agent.consolidate().outcome

    def asked(self) -> Asked:
        return self._agent

    def prompt_tokens(self, question: str) -> int:
        return self._agent.learner.count(question)


class _Seal:
    """SEAL's policy: implications the model writes at temperature 1, a fresh adapter, merged into the weights for good."""

    def __init__(self, home: Path, model: str | None, say: Say) -> None:
        from seal_agent.learning import models
        from seal_agent.learning.learner import LoraLearner
        from seal_agent.learning.training import Recipe

        self._home, self._say = home, say
        home.mkdir(parents=True, exist_ok=True)
        self._recipe = Recipe(
            epochs=10, least_steps=1, learning_rate=1e-3, kl=0.0, rows_per_step=1, stop_loss=0.0, falls=False
        )
        self._load: Callable[[str], Any] = lambda name: LoraLearner(name, 32, self._recipe)
        name, merged = model or embedded.MODEL.folder, sorted(home.glob("merged-*"))
        self._base = self._load(name)
        self._source = str(merged[-1]) if merged else models.where(name)
        self._learner = self._load(self._source) if merged else self._base

    def learn(self, documents: Sequence[Document]) -> str:
        from seal_agent.parts import Example

        for document in documents:
            seed = int(document.id[1:9], 16)
            (edit,) = self._learner.complete(
                [_SEAL.format(document.text)], None, max_new_tokens=_SEAL_TOKENS, temperature=1.0, seed=seed
            )
            lines = [line.strip() for line in edit.splitlines() if line.strip()]
            adapter = self._home / "adapter"
            shutil.rmtree(adapter, ignore_errors=True)
            adapter.mkdir()
            rows = [Example("", line, document.title) for line in (*lines, document.text)]
            log = self._learner.train(rows, None, adapter, seed, self._say)
            if not log["finite"]:
                raise SealError(f"SEAL's policy: the loss on {document.title!r} is not finite")
            self._merge(adapter)
        return "merged"

    def _merge(self, adapter: Path) -> None:
        """The weights with *adapter* in them, in a folder of their own; the one before is removed when it stands."""
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        before = sorted(self._home.glob("merged-*"))
        staged = self._home / "staged"
        shutil.rmtree(staged, ignore_errors=True)
        with torch.inference_mode():
            plain = AutoModelForCausalLM.from_pretrained(
                self._source, dtype=self._learner.base.model.dtype, local_files_only=True
            )
            merged: Any = PeftModel.from_pretrained(plain, str(adapter)).merge_and_unload()
        merged.save_pretrained(staged)
        AutoTokenizer.from_pretrained(self._source, local_files_only=True).save_pretrained(staged)
        final = self._home / f"merged-{1 + int(before[-1].name.split('-')[1]) if before else 1:04}"
        staged.rename(final)
        for folder in before:
            shutil.rmtree(folder)
        self._source, self._learner = str(final), self._load(str(final))

    def asked(self) -> Asked:
        return _Plain(self._learner, self._base)

    def prompt_tokens(self, question: str) -> int:
        return int(self._learner.count(question))


@dataclass(frozen=True)
class _Plain:
    """A learner's own weights; version 0 is *base*."""

    learner: Any
    base: Any

    def ask_all(
        self, questions: Sequence[str], version: int | None = None, contexts: Sequence[str] = ()
    ) -> list[Answer]:
        who = self.base if version == 0 else self.learner
        return [Answer(text=text, version=0, digest="") for text in who.answer(questions, None, contexts)]


class _Store:
    """The honest alternative: nothing is learned, the nearest passages are shown with each question."""

    def __init__(self, home: Path, model: str | None, say: Say) -> None:
        self._agent = agents.open(home, model=model, say=say)
        self._kept = home / "passages.json"
        self._texts: list[str] = json.loads(self._kept.read_text("utf-8")) if self._kept.is_file() else []

    def learn(self, documents: Sequence[Document]) -> str:
        fresh = [f"{document.title}\n{document.text}" for document in documents]
        self._texts += [text for text in fresh if text not in self._texts]
        self._kept.write_text(json.dumps(self._texts), "utf-8")
        return "stored"

    def asked(self) -> Asked:
        return self

    def ask_all(
        self, questions: Sequence[str], version: int | None = None, contexts: Sequence[str] = ()
    ) -> list[Answer]:
        shown = self._shown(questions) if version != 0 and self._texts else contexts
        return self._agent.ask_all(questions, 0, shown)

    def prompt_tokens(self, question: str) -> int:
        return self._agent.learner.count(f"{self._shown([question])[0]}\n\n{question}")

    def _shown(self, questions: Sequence[str]) -> list[str]:
        """The passages nearest each question."""
        embed, ids = self._agent.rooms.embedder.embed, [str(at) for at in range(len(self._texts))]
        found = Index(ids, np.asarray(embed(self._texts))).near(embed(questions), _SHOWN)
        return ["\n\n".join(self._texts[int(name)] for name, _ in near) for near in found]


_ARMS: dict[str, Callable[[Path, str | None, Say], Arm]] = {
    "full": _Ours,
    "no_replay": lambda home, model, say: _Ours(home, model, say, rehearsal=0.0),
    "no_gate": lambda home, model, say: _Ours(home, model, say, gated=False),
    "seal": _Seal,
    "store": _Store,
    "full_scoped": lambda home, model, say: _Ours(home, model, say, scope=_SCOPE),
}


# -- telling


def told(result: dict[str, Any]) -> str:
    """The result as a table for people."""
    lines = [f"{result['corpus']}: {result['n']} documents in a row, {len(result['seeds'])} streams"]
    lines.append("              base  just learned  final  (gain, 95 %)         backward   general")
    for name, arm in result["arms"].items():
        low, high = arm["gain_interval"]
        lines.append(
            f"{name:12} {arm['base_mean']:5.0%} {arm['just_learned_mean']:10.0%} {arm['final_mean']:9.0%}"
            f"  ({100 * arm['gain']:+.0f}, {100 * low:+.0f} to {100 * high:+.0f} points)"
            f" {100 * arm['backward_transfer']:+6.0f}    {arm['general_before']:.1%} to {arm['general_after']:.1%}"
        )
    return "\n".join(lines)


def draw(result: dict[str, Any], picture: Path) -> None:
    """The mean over all documents seen so far, step by step and arm by arm: one PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6.5, 3.6), layout="constrained")
    for name, arm in result["arms"].items():
        steps = range(1, len(arm["seen_mean"]) + 1)
        axis.plot(steps, [100 * share for share in arm["seen_mean"]], marker="o", label=name.replace("_", " "))
    axis.set(
        title=f"Right on all documents so far ({result['corpus']}, {len(result['seeds'])} streams)",
        xlabel="consolidations",
        ylabel="%",
        ylim=(0, 105),
    )
    axis.legend(fontsize=8)
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
