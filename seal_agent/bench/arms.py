"""
Who is taught documents in a row: our policy and parts of it, SEAL's policy, a vector store that learns nothing.

Promises: each arm keeps all it knows in its own folder and is found there again by another process, which learns no document
twice; SEAL's policy runs on the same model and engine as ours.
Does not promise: SEAL at its own size, or a vector store tuned for a larger model.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from seal_agent import agent as agents
from seal_agent.bench import keeping
from seal_agent.errors import SealError
from seal_agent.judging.quiz import Answerer
from seal_agent.learning import embedded
from seal_agent.parts import Say
from seal_agent.records import Answer, Document
from seal_agent.remembering.index import Index

_SHOWN = 1  # passages that the vector store shows with a question: with two the small model is right half as often
_MERGED = "documents.json"  # in the folder of merged weights: which documents are in them
_SEAL_TOKENS = 256  # of an edit: what the small model writes beyond that repeats itself
_SEAL = (
    "Let's read the following passage and produce a list of implications derived directly or indirectly from the content."
    "\n\nPassage:\n{}\n\nImplications:\n"
)


class Arm(Protocol):
    """Someone who reads documents and can be asked."""

    def learn(self, documents: Sequence[Document]) -> str:
        """Learn these; in a word, how it ended."""
        ...

    def asked(self, scoped: bool = False) -> Answerer:
        """Who answers now; *scoped*, if the arm knows that: the base answers what names nothing that was learned."""
        ...

    def prompts(self) -> Collection[str]:
        """The questions that it was trained on."""
        ...

    def prompt_tokens(self, question: str) -> int:
        """Tokens of what the model is given with *question*, the template aside."""
        ...


class Ours:
    """SealAgent, with replay and gate or without."""

    def __init__(self, home: Path, model: str | None, say: Say, *, gated: bool = True, **settings: Any) -> None:
        self._agent = agents.open(home, model=model, say=say, scope=False, **settings)
        self._routed: agents.SealAgent | None = None
        if not gated:
            judge = self._agent.rooms.judge

            def accept(*given: Any) -> Any:
                return judge(*given).model_copy(update={"outcome": "accepted", "reason": "nobody judges here"})

            vars(self._agent.rooms)["judge"] = accept

    def learn(self, documents: Sequence[Document]) -> str:
        for document in documents:
            self._agent.observe(document)
        return self._agent.consolidate().outcome

    def asked(self, scoped: bool = False) -> Answerer:
        if not scoped:
            return self._agent
        if self._routed is None:
            self._routed = agents.open(self._agent.home, model=self._agent.settings.model, scope=True)
            self._routed._learner = self._agent.learner
        return self._routed

    def prompts(self) -> Collection[str]:
        return self._agent.journal.memories.prompts()

    def prompt_tokens(self, question: str) -> int:
        return self._agent.learner.count(question)


class Seal:
    """SEAL's policy: implications the model writes at temperature 1, a fresh adapter, merged into the weights for good."""

    def __init__(self, home: Path, model: str | None, say: Say) -> None:
        from seal_agent.learning import models
        from seal_agent.learning.learner import LoraLearner
        from seal_agent.learning.training import Recipe

        self._home, self._say = home, say
        home.mkdir(parents=True, exist_ok=True)
        self._recipe = Recipe(
            epochs=10, least_steps=1, learning_rate=1e-3, kl=0.0, rows_per_step=1, stop_loss=0.0, falls=False, long=0
        )
        self._load: Callable[[str], Any] = lambda name: LoraLearner(name, 32, self._recipe)
        name, merged = model or embedded.MODEL.folder, sorted(home.glob("merged-*"))
        self._base = self._load(name)
        self._source = str(merged[-1]) if merged else models.where(name)
        self._learner = self._load(self._source) if merged else self._base
        self._merged: list[str] = keeping.read(merged[-1] / _MERGED, []) if merged else []

    def learn(self, documents: Sequence[Document]) -> str:
        from seal_agent.parts import Example

        for document in documents:
            if document.id in self._merged:
                continue
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
            self._merge(adapter, document.id)
        return "merged"

    def _merge(self, adapter: Path, document: str) -> None:
        """The weights with *document*'s *adapter* in them, in a folder of their own; the one before is removed when it stands."""
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
        holds = [*self._merged, document]
        keeping.write(staged / _MERGED, holds)  # comes with the weights: a step cut short merges nothing twice
        final = self._home / f"merged-{1 + int(before[-1].name.split('-')[1]) if before else 1:04}"
        staged.rename(final)
        for folder in before:
            shutil.rmtree(folder)
        self._source, self._learner, self._merged = str(final), self._load(str(final)), holds

    def asked(self, scoped: bool = False) -> Answerer:
        return Plain(self._learner, base=self._base)

    def prompts(self) -> Collection[str]:
        return ()  # statements, and no question

    def prompt_tokens(self, question: str) -> int:
        return int(self._learner.count(question))


@dataclass(frozen=True)
class Plain:
    """A learner under one *adapter*, None for its own weights; version 0 is the *base*, if that is another learner."""

    learner: Any
    adapter: Path | None = None
    base: Any = None

    def ask_all(
        self, questions: Sequence[str], version: int | None = None, contexts: Sequence[str] = ()
    ) -> list[Answer]:
        """Answers to many questions."""
        who, adapter = ((self.base or self.learner), None) if version == 0 else (self.learner, self.adapter)
        return [Answer(text=text, version=0, digest="") for text in who.answer(questions, adapter, contexts)]


class Store:
    """The honest alternative: nothing is learned, the nearest passages are shown with each question."""

    def __init__(self, home: Path, model: str | None, say: Say) -> None:
        self._agent = agents.open(home, model=model, say=say)
        self._kept = home / "passages.json"
        self._texts: dict[str, str] = keeping.read(self._kept, {})
        self._index: Index | None = None  # of these texts, made when it is first asked

    def learn(self, documents: Sequence[Document]) -> str:
        # by name, as stores that are well kept do: a newer text takes the place of the older
        self._texts |= {d.external_id or d.id: f"{d.title}\n{d.text}" for d in documents}
        keeping.write(self._kept, self._texts)
        self._index = None
        return "stored"

    def asked(self, scoped: bool = False) -> Answerer:
        return self

    def ask_all(
        self, questions: Sequence[str], version: int | None = None, contexts: Sequence[str] = ()
    ) -> list[Answer]:
        shown = self._shown(questions) if version != 0 and self._texts else contexts
        return self._agent.ask_all(questions, 0, shown)

    def prompts(self) -> Collection[str]:
        return ()

    def prompt_tokens(self, question: str) -> int:
        return self._agent.learner.count(f"{self._shown([question])[0]}\n\n{question}")

    def _shown(self, questions: Sequence[str]) -> list[str]:
        """The passages nearest each question."""
        embed = self._agent.rooms.embedder.embed
        if self._index is None:
            self._index = Index(list(self._texts), np.asarray(embed(list(self._texts.values()))))
        found = self._index.near(embed(questions), _SHOWN)
        return ["\n\n".join(self._texts[name] for name, _ in near) for near in found]


MAKERS: dict[str, Callable[[Path, str | None, Say], Arm]] = {
    "full": Ours,
    "no_replay": lambda home, model, say: Ours(home, model, say, rehearsal=0.0),
    "no_gate": lambda home, model, say: Ours(home, model, say, gated=False),
    "seal": Seal,
    "store": Store,
}
