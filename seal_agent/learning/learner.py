"""
The learner: one base, its adapters, and what the other rooms ask of it (parts.Learner).

Promises: answers, scores and continuations under any version; a trained adapter is on disk, finite and complete when
`train` returns; one lock around every use, released between training steps, between tokens where many texts are written and
between packs of what is scored, so that questions are answered meanwhile.
Does not promise: two processes on one home, or merging into the base (it is frozen for ever).
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any
from unicodedata import normalize

import torch

from seal_agent.errors import ConfigError, SealError
from seal_agent.learning import decoding, devices, fused, generation, models, nullspace, packing, training
from seal_agent.learning.adapters import Adapters
from seal_agent.learning.flat import Trainable
from seal_agent.learning.frozen import Frozen
from seal_agent.learning.packing import Row
from seal_agent.learning.training import Anchor, Lesson, Recipe, TrainingLog
from seal_agent.parts import Example, Say, Trial, silent

Pairs = Sequence[tuple[str, str]]
_WATCHED = 4  # every fourth anchor is not trained
_LESS, _LEAST = 0.97, 0.6  # of a change, each time it drifted too far, and in the end
Scores = Callable[[Mapping[int, Pairs]], dict[int, list[tuple[float, int]]]]
"""Log-probability and tokens of (prompt, completion) pairs, each candidate's (by number) under itself as it is now."""
Leave = Callable[[dict[int, int], Scores], Collection[int]]
"""(epochs done by each candidate, their scores) -> who trains no further."""


@dataclass(frozen=True)
class Candidate:
    """What one adapter is trained on and how; *out* is an empty folder."""

    examples: Sequence[Example]
    out: Path
    seed: int = 0
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True)
class _Study:
    """A candidate's examples as rows, the directions to keep *clear* of, and what is *watched*, with its scores by the *base*."""

    candidate: Candidate
    new: Sequence[Row]
    old: Sequence[Row]
    anchors: Sequence[Anchor]
    clear: nullspace.Directions
    watched: Pairs
    base: Sequence[tuple[float, int]]

    def lesson(self, name: str, weights: Trainable) -> Lesson:
        """To be trained into the adapter *name*."""
        one = self.candidate
        return Lesson(name, weights, self.new, self.anchors, self.old, one.recipe, one.seed)


class LoraLearner:
    """Implements parts.Learner on transformers and peft."""

    def __init__(self, name: str, rank: int = 16, recipe: Recipe | None = None) -> None:
        self.base = models.load(name)
        self.name = name
        self.fingerprint = self.base.fingerprint
        self.recipe = recipe or Recipe()
        self._adapters = Adapters(self.base, rank)
        self._packs = self._fused()
        self._lock = threading.RLock()
        self._learning = threading.RLock()  # one training at a time: names and kept states are of one
        self._general: tuple[object, list[Anchor], nullspace.Directions] = None, [], {}

    def _fused(self) -> bool:
        """Fuse what is fused exactly; whether rows can be packed at all."""
        undo = fused.fuse(self._adapters.model)
        if packing.exact(self.base):
            return True
        undo()
        return packing.exact(self.base)

    @cached_property
    def _frozen(self) -> Frozen | None:
        """The blocks under the lowest adapter, where there are some and their output can stand for them."""
        blocks, lowest = self._adapters.frozen
        below = Frozen(self.base, self._adapters.model, blocks, lowest)
        return below if lowest and self._packs and below.exact() else None

    @cached_property
    def _streams(self) -> bool:
        """Can text go by the written-out blocks? Looked at when first some is wanted."""
        with self._lock, self._adapters.using(None) as model:
            asked = self.base.question("What colour is the sky?")
            fits = decoding.exact(model, asked)
            if not (fits or generation.goes_on(model, asked)):
                raise ConfigError(
                    f"the model {self.name!r} does not go on from what it has read before, as transformers keeps it, so it"
                    " cannot answer here; choose another one"
                )
        return fits and self._adapters.merges

    def count(self, text: str) -> int:
        return len(self.base.text(text))

    def answer(
        self,
        questions: Sequence[str],
        adapter: Path | None,
        contexts: Sequence[str] = (),
        max_new_tokens: int = 64,
    ) -> list[str]:
        shown = contexts or [""] * len(questions)
        prompts = [self.base.question(q, c) for q, c in zip(questions, shown, strict=True)]
        return self._generate(prompts, adapter, max_new_tokens=max_new_tokens, stop=self._turn_ends, lead=True)

    def recite(
        self,
        conversations: Sequence[Sequence[dict[str, str]]],
        adapter: Path | None,
        titles: Collection[str],
        max_new_tokens: int = 64,
    ) -> list[list[tuple[str, float]]]:
        prompts = [self.base.conversation(messages) for messages in conversations]
        # in order: of two that are equally long one is meant, and always the same
        named = {title: re.sub("^ the ", " ", _spaced(title)) for title in sorted(titles)}
        return generation.recite(
            self.base,
            self._adapters.model,
            prompts,
            titles,
            meant=[_meant(messages, named) for messages in conversations],
            max_new_tokens=max_new_tokens,
            stop=self._turn_ends,
            written=self._streams,
            turn=partial(self._in_force, adapter),
        )

    @property
    def _turn_ends(self) -> Sequence[str]:
        """An answer of a model without a template ends where it would ask itself the next question."""
        return () if self.base.has_template else ("\n",)

    def complete(
        self,
        prompts: Sequence[str],
        adapter: Path | None,
        *,
        max_new_tokens: int = 32,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> list[str]:
        ids = [self.base.readable("a prompt", self.base.start + self.base.text(prompt)) for prompt in prompts]
        return self._generate(
            ids, adapter, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed, stop=stop
        )

    def _generate(self, prompts: Sequence[Sequence[int]], adapter: Path | None, **how: Any) -> list[str]:
        if not prompts:
            return []
        written = self._streams  # looked at before an adapter is in force, never within
        turn = partial(self._in_force, adapter)
        return generation.generate(self.base, self._adapters.model, prompts, written=written, turn=turn, **how)

    @contextmanager
    def _in_force(self, adapter: Path | None) -> Iterator[None]:
        with self._lock, self._adapters.using(adapter):
            yield

    def chat(
        self,
        messages: Sequence[dict[str, str]],
        adapter: Path | None,
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Iterator[str]:
        ids, shown, ended = [], "", ""  # type: list[int], str, str
        # The lock is held token by token, never across a yield: an abandoned generator must not keep it.
        tokens = generation.stream(
            self.base,
            self._adapters.model,
            self.base.conversation(messages),
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            written=self._streams,
        )
        while True:
            with self._lock, self._adapters.using(adapter):
                token = next(tokens, None)
            if token is None:
                break
            ids.append(token)
            text = self.base.decode(ids)
            if self._turn_ends:  # as in `answer`
                text, ended, _ = text.lstrip().partition("\n")
            if len(text) > len(shown) and not text.endswith("\ufffd"):
                yield text[len(shown) :]
                shown = text
            if ended:
                break

    def score(self, pairs: Pairs, adapter: Path | None, *, raw: bool = False) -> list[tuple[float, int]]:
        return self._scores({"": pairs}, raw=raw, turn=partial(self._in_force, adapter))[""]

    def _scores(
        self, pairs: Mapping[str, Pairs], *, raw: bool = False, turn: generation.Turn = nullcontext
    ) -> dict[str, list[tuple[float, int]]]:
        """By the name of an adapter ("": the one in force) its own pairs under it, all in the same forward passes."""
        asked = [(name, place) for name, of in pairs.items() for place in range(len(of))]
        rows = [self._row(Example(*pairs[name][place], raw=raw)) for name, place in asked]
        out = {name: [(0.0, 0)] * len(of) for name, of in pairs.items()}
        for indices in self._batches(rows, 500):
            with turn(), torch.inference_mode():
                indices.sort(key=lambda i: asked[i][0])
                sections = {name: [rows[i] for i in of] for name, of in groupby(indices, lambda i: asked[i][0])}
                laid = packing.pack(self.base, *sections.values())
                logits = laid.logits(self._adapters.model, [] if "" in sections else list(sections))
                logprobs = logits.float().log_softmax(-1).gather(1, laid.targets[:, None])[:, 0]
                for index, piece in zip(indices, logprobs.split(laid.counts), strict=True):
                    name, place = asked[index]
                    out[name][place] = (float(piece.sum()), len(piece))
        return out

    def train(
        self,
        examples: Sequence[Example],
        parent: Path | None,
        out: Path,
        seed: int,
        say: Say = silent,
    ) -> dict[str, Any]:
        (log,) = self.train_together([Candidate(examples, out, seed, self.recipe)], parent, say)
        return log

    def train_many(self, trials: Sequence[Trial], parent: Path | None, say: Say = silent) -> list[dict[str, Any]]:
        def recipe(trial: Trial) -> Recipe:
            return Recipe(
                trial.epochs, 1, trial.learning_rate, rows_per_step=trial.rows_per_step, stop_loss=0.0, long=0
            )

        return self.train_together(
            [Candidate(trial.examples, trial.out, trial.seed, recipe(trial)) for trial in trials], parent, say
        )

    def train_together(
        self,
        candidates: Sequence[Candidate],
        parent: Path | None,
        say: Say = silent,
        leave: Leave = lambda epochs, scores: (),
    ) -> list[dict[str, Any]]:
        """
        Train *candidates* from *parent* in the same forward passes: each becomes the adapter it would be alone. Written
        are those that stayed finite; a log for each. Architectures whose attention is not fused train one by one.

        When epochs end, *leave* is told how many each candidate has done and can score them as they are; the candidates
        it names train no further.
        """
        with self._lock:  # nobody puts another adapter in while the model is walked through
            together = len(candidates) == 1 or (self._packs and fused.keeps_apart(self._adapters.model))
        if not together:
            # one by one nobody is there to be compared with, so nobody leaves
            return [log for one in candidates for log in self.train_together([one], parent, say)]
        with self._learning:
            return self._together(candidates, parent, say, leave)

    def _together(
        self, candidates: Sequence[Candidate], parent: Path | None, say: Say, leave: Leave
    ) -> list[dict[str, Any]]:
        started = time.monotonic()
        # anchors and what is watched ask the base: before, not within
        studies = [self._study(one) for one in candidates]
        with self._lock:
            self._adapters.drop_removed()
            below = self._frozen  # looked at on first use, which takes the model apart for a moment
        with self._training(parent, [one.seed for one in candidates]) as made:
            names = list(made)
            lessons = [study.lesson(name, made[name]) for study, name in zip(studies, names, strict=True)]
            for study, trainable in zip(studies, made.values(), strict=True):
                trainable.keep_clear(study.clear, fresh=parent is None)

            def score(pairs: Mapping[int, Pairs]) -> dict[int, list[tuple[float, int]]]:
                found = self._scores({names[number]: of for number, of in pairs.items()})
                return {number: found[names[number]] for number in pairs}

            logs = training.train(
                self.base,
                self._adapters.model,
                lessons,
                packed=self._packs,
                frozen=below,
                turn=lambda: self._turn(names),
                leave=lambda epochs: leave(epochs, score),
                progress=lambda share: say("training", share),
            )
            ended = zip(studies, lessons, logs, strict=True)
            shares = [self._finished(study, lesson) if log.finite else 1.0 for study, lesson, log in ended]
        spent = time.monotonic() - started
        return [_logged(lesson, log, share, spent) for lesson, log, share in zip(lessons, logs, shares, strict=True)]

    def _finished(self, study: _Study, lesson: Lesson) -> float:
        """What *lesson* made, settled and written; the share of the change that is left."""
        share = self._settled(lesson, study.watched, study.base) if study.watched else 1.0
        with self._lock:  # who asks meanwhile may take another adapter out, which moves the names that peft looks up
            weights = self._adapters.weights(lesson.name)
        self._adapters.write(weights, study.candidate.out)
        return share

    def _settled(self, lesson: Lesson, pairs: Pairs, base: Sequence[tuple[float, int]]) -> float:
        """
        Less of what *lesson*'s adapter changes, until what it says to *pairs* it was not trained on is near the *base* again;
        the share of the change that is left.
        """
        share = 1.0
        while True:
            with self._turn([lesson.name]):
                now = self._scores({lesson.name: pairs})[lesson.name]
                rises = [(old - new) / max(1, tokens) for (old, tokens), (new, _) in zip(base, now, strict=True)]
                if median(rises) <= lesson.recipe.drift or share * _LESS < _LEAST:
                    return share
                lesson.weights.shrink(_LESS)
                share *= _LESS

    def _study(self, one: Candidate) -> _Study:
        kept = [self._row(example) for n, example in enumerate(_anchors(one.examples)) if (n + 1) % _WATCHED]
        anchors, clear = self._anchored(kept, one.recipe.clear)
        watched = _watched(one.examples)
        return _Study(
            candidate=one,
            new=[self._row(example) for example in one.examples if not (example.anchor or example.old)],
            old=[self._row(example) for example in one.examples if example.old],
            anchors=anchors,
            clear=clear,
            watched=watched,
            base=self.score(watched, None),
        )

    @contextmanager
    def _training(self, parent: Path | None, seeds: Sequence[int]) -> Iterator[dict[str, Trainable]]:
        """New adapters, made and removed under the lock, which is free in between."""
        adapters = self._adapters.training(parent, seeds)
        with self._lock:
            made = adapters.__enter__()
        try:
            yield made
        finally:
            with self._lock:
                adapters.__exit__(None, None, None)

    @contextmanager
    def _turn(self, names: Sequence[str]) -> Iterator[None]:
        with self._lock:
            self._adapters.step(names)
            yield

    def _anchored(self, rows: Sequence[Row], clear: float) -> tuple[list[Anchor], nullspace.Directions]:
        """Anchors to the untouched base and the directions they use; the last are kept, since those of a home stay the same."""
        if not rows:
            return [], {}
        key = (tuple(rows), clear)
        if self._general[0] != key:
            with self._lock, self._adapters.using(None) as model:
                packs = self._batches(rows, 500)
                made, found = nullspace.watched(
                    self.base, model, clear, lambda: training.anchors(self.base, model, rows, packs)
                )
            self._general = key, made, found()  # which takes a while, and wants no model
        return self._general[1], self._general[2]

    def _batches(self, rows: Sequence[Row], tokens: int) -> list[list[int]]:
        tokens = devices.at_once(tokens)
        return list(packing.batches(self.base, rows, tokens)) if self._packs else [[i] for i in range(len(rows))]

    def _row(self, example: Example) -> Row:
        """*example* as token ids. SealError if the model cannot read so many."""
        base = self.base
        if example.raw:
            prompt = base.start + base.text(example.prompt)
            said = (base.more if example.prompt else base.text)(example.completion)
        elif example.prompt:
            prompt, said = base.question(example.prompt), base.answer(example.completion)
        else:
            prompt = base.start + base.text(f"{example.title}\n" if example.title else "")
            said = [*(base.more if example.title else base.text)(example.completion), base.text_end]
        if len(prompt) + len(said) > base.window:
            what = f"a row of {len(prompt) + len(said)} tokens"
            raise SealError(f"{what}, and {base.name!r} reads {base.window}; give it shorter texts")
        start = 1 if example.whole and example.prompt else max(1, len(prompt))
        return Row((*prompt, *said), start)


def _meant(messages: Sequence[dict[str, str]], named: Mapping[str, str]) -> str:
    """The longest title whose words, which are *named*, stand in the question at the end of a conversation; "" if none do."""
    said = next((turn["content"] for turn in reversed(messages) if turn["role"] == "user"), "")
    asked = _spaced(said) if said.rstrip().endswith("?") else ""
    return max((title for title, words in named.items() if words in asked), key=len, default="")


def _spaced(text: str) -> str:
    """The words of *text*, small, with a space before and after each."""
    words = re.findall(r"\w+", normalize("NFC", text).lower())
    return f" {' '.join(words)} "


def _logged(lesson: Lesson, log: TrainingLog, share: float, seconds: float) -> dict[str, Any]:
    sizes = {"rows": len(lesson.rows), "old": len(lesson.old), "anchors": len(lesson.anchors)}
    return {**asdict(log), **sizes, "share": share, "seconds": seconds}


def _anchors(examples: Sequence[Example]) -> list[Example]:
    return [example for example in examples if example.anchor]


def _watched(examples: Sequence[Example]) -> list[tuple[str, str]]:
    """The anchors among *examples* that are not trained: what they lose tells how far general answers drifted."""
    return [(example.prompt, example.completion) for example in _anchors(examples)[_WATCHED - 1 :: _WATCHED]]
