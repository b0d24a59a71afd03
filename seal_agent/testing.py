"""
Stand-ins for the heavy parts, so that a whole pass can be tested without torch.

Promises: deterministic, on disk like the real ones, and quick: what FakeLearner trained on it answers, what
it did not it does not; everything else of the agent is the real thing.
Does not promise: likeness to a language model. It neither generalises nor forgets.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seal_agent.agent import SealAgent
from seal_agent.editing.spans import content_words
from seal_agent.parts import Example, Learner, Say, Trial, silent
from seal_agent.wiring import resolve

NOTHING = "I have not read about that."
ADAPTER = "adapter_model.safetensors"
_ENOUGH = 0.6  # share of a question's words that must stand in a remembered row for the row to be its answer
_SURE, _UNSURE = -0.1, -3.0  # nats per word of what is known, and of what is not


@dataclasses.dataclass(frozen=True)
class _Row:
    prompt: str
    completion: str
    words: frozenset[str]


class FakeLearner:
    """
    Implements parts.Learner by remembering rows. An adapter is the list of the rows it learned.

    learns=False trains adapters that know no more than their parent (the gate refuses them); finite=False
    reports a loss that is not finite; forgets=True trains adapters no longer sure of what the base says.
    """

    name = "fake"
    fingerprint = "fa4e" * 4

    def __init__(self, *, learns: bool = True, finite: bool = True, forgets: bool = False) -> None:
        self.learns, self.finite, self.forgets = learns, finite, forgets
        self._known: dict[Path, tuple[list[_Row], bool]] = {}

    def answer(
        self,
        questions: Sequence[str],
        adapter: Path | None,
        contexts: Sequence[str] = (),
        max_new_tokens: int = 64,
    ) -> list[str]:
        """The remembered row, or the sentence of the context, that shares most words with each question."""
        rows, _ = self._rows(adapter)
        shown = contexts or [""] * len(questions)
        texts = [
            _said(q, _sentences(c), 0.01) if c else _said(q, rows, _ENOUGH)
            for q, c in zip(questions, shown, strict=True)
        ]
        return [" ".join(text.split()[:max_new_tokens]) for text in texts]

    def recite(
        self,
        conversations: Sequence[Sequence[dict[str, str]]],
        adapter: Path | None,
        titles: Collection[str],
        max_new_tokens: int = 64,
    ) -> list[list[tuple[str, float]]]:
        """The answer to the last thing said in each, whatever its title, if it is anything learned."""
        asked = [[said["content"] for said in of if said["role"] == "user"][-1] for of in conversations]
        said = self.answer(asked, adapter, max_new_tokens=max_new_tokens)
        return [[(text, 0.0)] if text != NOTHING else [] for text in said]

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
        """A question made of a few words of the prompt's last statement: all that the styles need."""
        return [_question(prompt, f"{seed} {number}") for number, prompt in enumerate(prompts)]

    def chat(
        self,
        messages: Sequence[dict[str, str]],
        adapter: Path | None,
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """The answer to the last thing said, word by word."""
        asked = [message["content"] for message in messages if message["role"] == "user"]
        words = self.answer(asked[-1:], adapter, max_new_tokens=max_new_tokens)
        yield from (piece for text in words for piece in re.findall(r"\S+\s*", text))

    def score(
        self, pairs: Sequence[tuple[str, str]], adapter: Path | None, *, raw: bool = False
    ) -> list[tuple[float, int]]:
        """
        Sure of what was learned and of its own answers; unsure of the rest, more or less by its hash, and less of what shares
        words with a statement before it.
        """
        rows, confused = self._rows(adapter)
        learned = {row.completion for row in rows}
        out = []
        for prompt, completion in pairs:
            own = not raw and not confused and completion == NOTHING
            tokens = self.count(completion)
            sure = own or completion in learned
            near = len(_words(completion) & _words(_statement(prompt))) if raw else 0
            out.append((tokens * (_SURE if sure else _UNSURE - _share(prompt + completion)) + near, tokens))
        return out

    def train(
        self,
        examples: Sequence[Example],
        parent: Path | None,
        out: Path,
        seed: int,
        say: Say = silent,
    ) -> dict[str, Any]:
        """Remember *examples* beside what *parent* knows."""
        known, confused = self._rows(parent)
        rows = [[row.prompt, row.completion, " ".join(sorted(row.words))] for row in known]
        fresh = [example for example in examples if not example.anchor]
        if self.learns:
            rows += [[e.prompt, e.completion, f"{e.title} {e.prompt} {e.completion}"] for e in fresh]
        said = {"rows": rows, "confused": confused or self.forgets}
        (out / ADAPTER).write_text(json.dumps(said))
        say("training", 1.0)
        return {"finite": self.finite, "loss": 0.1, "rows": len(fresh), "anchors": len(examples) - len(fresh)}

    def train_many(self, trials: Sequence[Trial], parent: Path | None, say: Say = silent) -> list[dict[str, Any]]:
        """One after another."""
        return [self.train(trial.examples, parent, trial.out, trial.seed, say) for trial in trials]

    def count(self, text: str) -> int:
        """Words, at least one."""
        return max(1, len(text.split()))

    def _rows(self, adapter: Path | None) -> tuple[list[_Row], bool]:
        """What *adapter* knows, and whether it lost what the base knew."""
        if adapter is None:
            return [], False
        if adapter not in self._known:
            said = json.loads((adapter / ADAPTER).read_text())
            rows = [_Row(prompt, completion, _words(text)) for prompt, completion, text in said["rows"]]
            self._known[adapter] = rows, said["confused"]
        return self._known[adapter]


class FakeEmbedder:
    """Hashed bags of words: texts are near when they share words."""

    fingerprint = "bag-of-words-384"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of *texts*, shape [len(texts), 384], float32."""
        out = np.zeros((len(texts), 384), dtype=np.float32)
        for row, text in zip(out, texts, strict=True):
            for word in _words(text) or {text}:
                row[int(_share(word) * 384)] += 1.0
            row /= np.linalg.norm(row)
        return out


def fake_agent(home: str | Path, learner: Learner | None = None, **settings: Any) -> SealAgent:
    """`seal_agent.open` with the stand-ins in place of the model and the embedder."""
    say = settings.pop("say", silent)
    folder = Path(home).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    chosen: Learner = learner or FakeLearner()
    embedder: Any = FakeEmbedder()
    rooms = dataclasses.replace(
        resolve(folder, **settings), make_learner=lambda _: chosen, make_embedder=lambda: embedder
    )
    return SealAgent(folder, rooms, say)


def _said(question: str, rows: Sequence[_Row], enough: float) -> str:
    exact = [row for row in rows if row.prompt == question]
    if exact:
        return exact[-1].completion
    wanted = _words(question)
    near = max(
        reversed(rows), key=lambda row: len(wanted & row.words), default=None
    )  # what was learned last comes first
    if near is None or not wanted or len(wanted & near.words) < enough * len(wanted):
        return NOTHING
    return near.completion


def _sentences(context: str) -> list[_Row]:
    return [_Row("", sentence, _words(sentence)) for sentence in re.split(r"(?<=[.!?])\s+", context.strip())]


def _question(prompt: str, salt: str) -> str:
    """What may follow "Question:" or "Question: Who": three words of the statement, and the subject."""
    subject = re.findall(r"^Subject: (.*)$", prompt, re.MULTILINE)
    statement = _statement(prompt)
    if not statement:
        return f" {NOTHING}"
    words = content_words(statement)
    order = random.Random(f"{salt} {statement}")
    some = sorted(order.sample(range(len(words)), min(3, len(words))))
    opening = "What" if prompt.endswith("Question:") else ""
    said = (opening, *(words[i] for i in some), *subject[-1:])
    return " ".join(word for word in said if word) + "?"


def _statement(prompt: str) -> str:
    """The last statement of *prompt*, or ""."""
    return next(reversed(re.findall(r"^Statement: (.*)$", prompt, re.MULTILINE)), "")


def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in content_words(text))


def _share(text: str) -> float:
    """A number from 0 to 1 that is always the same for the same text."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32
