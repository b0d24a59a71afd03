"""
Which concrete part goes where. Nothing else in the house knows.

Promises: parts come by name through entry points, the built-in ones too; nothing heavy is imported before it is used.
Does not promise: a container or a registry. `Rooms` is the functions of the rooms with their parts filled in, and what they keep
between two calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from seal_agent import parts, settings
from seal_agent.errors import ConfigError, PartError, SealError
from seal_agent.journal import Journal
from seal_agent.learning import LOADING
from seal_agent.parts import Example, Learner, Say
from seal_agent.records import Check, Decision, Document, GateReport, Memory, SelfEdit, content_id
from seal_agent.settings import Settings

if TYPE_CHECKING:
    import numpy as np

    from seal_agent.editing import rewards, room
    from seal_agent.judging import gate
    from seal_agent.learning.embedder import Embedder
    from seal_agent.remembering.known import Known
    from seal_agent.remembering.recall import Recall

_EPOCH = 120  # rows an epoch should have where there are old ones to fill it
_ANEW = 4000  # learned rows (some 40 documents) up to which what was refused is trained from the base with all
_RELATED = 0.3  # cosine from which a sentence may be what an answer comes from
_NEAR_CHECKS = 20  # old facts that are asked at each gate because they are nearest to the new ones,
_NEAR = 0.4  # if they are at least this near (cosine): sentences about unlike things have 0.1 to 0.3
# Built-in styles whose worth is not measured yet, or that want a larger writer; name them in the settings to use them.
_ON_REQUEST = frozenset(
    {"rewrite", "implications", "gaps", "reversals", "implications_long", "implications_very_long", "rewrite_whole"}
    | {"self_qa", "free_form", "rotated"}
)
# The writer that is given an adapter of its own, tuned for writing, or none. Any other gets the live version's, and what that
# learned slips into what it writes: a small model that learned goats asks every text about goats.
OWN = "base"
_PRACTISED = 32  # questions about a passage that the outer loop asks itself,
_ELSEWHERE = 40  # and general ones by which it sees what an edit makes the model forget
_ORDINARY = "The door was open. People came and went, and nobody said much about the weather that day."


@dataclass(frozen=True)
class ModelWriter:
    """A version of the model as a writer, and the judge of which wording reads like English."""

    learner: Learner
    adapter: Path | None

    def write(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        stop: Sequence[str],
    ) -> list[str]:
        return self.learner.complete(
            prompts,
            self.adapter,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            stop=stop,
        )

    def rank(self, texts: Sequence[str]) -> list[float]:
        scores = self.learner.score([("Question:", f" {text}") for text in texts], None, raw=True)
        return [total / max(1, tokens) for total, tokens in scores]


@dataclass(frozen=True)
class Recorder:
    """A writer that keeps all it was asked and wrote."""

    writer: parts.Writer
    wrote: list[tuple[str, str]] = field(default_factory=list)

    def write(self, prompts: Sequence[str], **how: Any) -> list[str]:
        """See parts.Writer; what it stopped at is kept too, where it is known."""
        said = self.writer.write(prompts, **how)
        end = (how.get("stop") or ("",))[0]
        self.wrote.extend((prompt, _parted(prompt, text) + end) for prompt, text in zip(prompts, said, strict=True))
        return said

    def rank(self, texts: Sequence[str]) -> list[float]:
        return self.writer.rank(texts)


def _parted(prompt: str, text: str) -> str:
    """*text* as it followed *prompt*: writers give it without the space that it began with."""
    return text if prompt[-1:].isspace() or text.startswith("'") else f" {text}"


@dataclass
class _Kept:
    """What need not be computed twice while a process lives."""

    remembered: Known | None = None
    reference: dict[Path | None, float] = field(default_factory=dict)  # nats per token of ordinary text, by adapter
    answered: gate.Answers = field(default_factory=dict)  # what the versions that serve said to checks
    lock: threading.Lock = field(default_factory=threading.Lock)


@cache
def _embedder() -> Embedder:
    from seal_agent.learning.embedder import Embedder

    return Embedder()


@dataclass(frozen=True)
class Rooms:
    """The rooms of one home, ready to be used by the agent. tuned: the adapter the base writes with; None: as it is."""

    home: Path
    settings: Settings
    styles: dict[str, parts.Style]
    screens: dict[str, parts.Screen]
    checks: dict[str, parts.CheckMaker]
    decider: parts.Decider
    make_learner: Callable[[Settings], Learner]
    make_writer: Callable[[Learner, Path | None], parts.Writer]
    make_embedder: Callable[[], Embedder] = _embedder
    tuned: Path | None = None
    _kept: _Kept = field(default_factory=_Kept)

    def learner(self) -> Learner:
        """The model of this home, loaded now."""
        return self.make_learner(self.settings)

    def of(self, home: Path) -> Rooms:
        """The same rooms for another home, with nothing remembered yet."""
        return replace(self, home=home, _kept=_Kept())

    def writing_with(self, tuned: Path | None) -> Rooms:
        """The same rooms, with the base writing under the adapter *tuned*."""
        return replace(self, tuned=tuned)

    @property
    def embedder(self) -> Embedder:
        """What makes unit vectors of texts."""
        return self.make_embedder()

    # -- reading

    def screen(self, document: Document) -> str:
        """The first reason to hold *document*, or ""."""
        for name, screen in self.screens.items():
            try:
                reason = screen(document)
            except Exception as error:
                raise _failed(f"screen {name!r}", error, document) from error
            if reason:
                return f"{name}: {reason}"
        return ""

    def decide(
        self, document: Document, learner: Learner, adapter: Path | None, journal: Journal, released: bool
    ) -> Decision:
        """Measure the signals of *document* and let the decider decide; a *released* one is contradicted by nothing."""
        from seal_agent.judging.grading import correct
        from seal_agent.reading import measuring

        known = self._remembered(journal)
        index, told = known.index, known.told
        # what the document takes the place of neither contradicts it nor makes it known
        replaced = set(journal.names.superseded_by(document))
        waiting = [said for said in journal.buffer.sentences() if said[0] not in replaced]
        others = {name: memory for name, memory in told.items() if memory.document not in replaced}
        gone = len(told) - len(others)

        def near(queries: np.ndarray, k: int) -> list[list[tuple[str, float]]]:
            return [[hit for hit in hits if hit[0] in others][:k] for hits in index.near(queries, k + gone)]

        signals = measuring.measure(
            document,
            learner,
            adapter,
            embed=self.embedder.embed,
            near=near,
            remembered=others,
            waiting=waiting,
            ask=lambda memory: _questions(memory, known.asked),
            right=correct,
            reference=self._reference(learner, adapter),
            released=released,
        )
        try:
            decision = self.decider(document, signals)
        except Exception as error:
            raise _failed(f"decider {self.settings.decider!r}", error, document) from error
        if not isinstance(decision, Decision):
            raise PartError(f"decider {self.settings.decider!r} gave {decision!r:.80}, which is no Decision")
        return decision

    def _reference(self, learner: Learner, adapter: Path | None) -> float:
        if adapter not in self._kept.reference:
            total, tokens = learner.score([("", _ORDINARY)], adapter, raw=True)[0]
            self._kept.reference[adapter] = -total / tokens
        return self._kept.reference[adapter]

    # -- editing

    def edit(
        self, document: Document, learner: Learner, adapter: Path | None, journal: Journal
    ) -> tuple[list[SelfEdit], list[Check]]:
        """Proved and refused rows of *document*, and its checks: of several edits, if that is set, those that teach most."""
        from seal_agent.editing import improving, rewards

        tried = [self._edit(document, learner, adapter, journal, number) for number in range(self.settings.best_of)]
        if len(tried) == 1:
            return tried[0]
        asked = [check for passage in self.passages(document) for check in self.asked(passage, learner)]
        lessons = [edits for edits, _ in tried]
        reward = rewards.less_forgetting(rewards.likelihood, journal.checks.all("general")[:_ELSEWHERE])
        (scores,) = improving.rewarded(learner, lessons, [(reward, asked)], self.settings.seed, adapter)
        return tried[max(range(len(tried)), key=lambda number: sum(scores[number]))]

    def _edit(
        self, document: Document, learner: Learner, adapter: Path | None, journal: Journal, number: int
    ) -> tuple[list[SelfEdit], list[Check]]:
        from seal_agent.editing import room

        passages, styles = self.passages(document), self._styles()
        writer = self._writer(learner, self.tuned if self.settings.writer == OWN else adapter)
        seed = (int(document.id[1:9], 16) ^ self.settings.seed) + number
        return room.write(passages, styles, writer, self.embedder.embed, seed, self._earlier(document, journal))

    def asked_again(self, document: Document, journal: Journal) -> list[Check]:
        """What came in the place of *document* kept back for checking, with what must be recalled now that it stands again."""
        from seal_agent.editing import room
        from seal_agent.judging.grading import wording

        taught = {wording(edit.prompt) for edit, _ in journal.buffer.of(document.id) if not edit.reserved}
        return room.asked_again(self.passages(document), self._earlier(document, journal), taught)

    def _earlier(self, document: Document, journal: Journal) -> room.Earlier:
        from seal_agent.editing import room

        before = journal.names.told_before(document)
        return room.Earlier(journal.taught_by(before), journal.checks.all_of(before)) if before else room.Earlier()

    def passages(self, document: Document) -> list[parts.Passage]:
        """What styles work on: the paragraphs of *document*, their sentences made to stand by themselves."""
        from seal_agent.editing import spans
        from seal_agent.reading.deciding import worth_learning
        from seal_agent.reading.sentences import heading, items, paragraphs, sentences

        key, title = document.id, document.title or spans.subject(document.text)
        listed = items(document.text)
        return [
            parts.Passage(key, title, tuple(dict.fromkeys(spans.self_contained(said, title))))
            for paragraph in paragraphs(document.text)
            if (
                said := [
                    s
                    for s in sentences(paragraph)
                    if worth_learning(s) and (s in listed or not heading(s)) and s != title
                ]
            )
        ]

    def reward(self, learner: Learner, journal: Journal) -> rewards.Reward:
        """What an edit is worth where nobody gave questions: likelihood of the right answers, less what is forgotten."""
        from seal_agent.editing import rewards

        general = journal.checks.all("general") or self.seed(learner)[1]
        return rewards.less_forgetting(rewards.likelihood, general[:_ELSEWHERE])

    def compose(
        self, learner: Learner, passage: parts.Passage, tuned: Path | None, seed: int
    ) -> tuple[list[SelfEdit], list[tuple[str, str]]]:
        """One edit of *passage* as the writer *tuned* samples it, proved or refused; and all that it wrote for it."""
        from seal_agent.editing.answering import answered
        from seal_agent.editing.proving import prove

        writer = Recorder(self._writer(learner, tuned))
        rows = [row for style in self._styles().values() for row in style(passage, writer, seed)]
        return answered(prove(rows, passage, self.embedder.embed), self.embedder.embed), writer.wrote

    def asked(self, passage: parts.Passage, learner: Learner) -> list[Check]:
        """Questions about *passage* that the base asks itself, and finds the sentence of."""
        from seal_agent.editing import rewards, room

        edits, _ = self.compose(learner, passage, None, ~self.settings.seed & 0xFFFF)
        found = room.questions(edits)
        return rewards.consistent(learner, Random(passage.document).sample(found, min(_PRACTISED, len(found))), passage)

    def _writer(self, learner: Learner, adapter: Path | None) -> parts.Writer:
        name = self.settings.writer
        (writer,) = _boundary("writer", name, lambda *given: [self.make_writer(*given)])(learner, adapter)
        if lacking := [need for need in ("write", "rank") if not callable(getattr(writer, need, None))]:
            raise PartError(f"writer {name!r} is {writer!r:.80}, which cannot {' and cannot '.join(lacking)}")
        return writer  # type: ignore[no-any-return]  # it can do what a writer does

    def _styles(self) -> dict[str, parts.Style]:
        return {name: _rows_of(name, _boundary("style", name, style)) for name, style in self.styles.items()}

    # -- remembering

    def seed(self, learner: Learner) -> tuple[list[Memory], list[Check]]:
        """General memories and checks of a fresh home."""
        from seal_agent.remembering import seeding

        return seeding.seed(learner)

    def user_checks(self) -> list[Check]:
        """The checks that plugged-in makers ask for."""
        made = [(name, check) for name, make in self.checks.items() for check in _boundary("check", name, make)()]
        ids: set[str] = set()
        for name, check in made:
            if not isinstance(check, Check) or check.kind != "user" or check.document or check.id in ids:
                raise PartError(
                    f"check {name!r} gave {check!r:.200}, not a user's Check of no document with an id of its own"
                )
            ids.add(check.id)
        return [check for _, check in made]

    def memories(self, rows: Sequence[SelfEdit]) -> list[tuple[Memory, bytes | None]]:
        """Learned rows as memories; those that state a sentence get its vector."""
        verbatim = [row for row in rows if row.origin == "verbatim"]
        of = dict(zip([row.id for row in verbatim], self._vectors(verbatim), strict=True))
        return [(row.learned(), of.get(row.id)) for row in rows]

    def _vectors(self, told: Sequence[SelfEdit] | Sequence[Memory]) -> list[bytes]:
        """What the journal keeps of where each of *told* stands."""
        from seal_agent.remembering.known import placed

        vectors = self.embedder.embed([placed(one.title, one.completion) for one in told])
        return [vector.astype("float32").tobytes() for vector in vectors]

    def anew(self, journal: Journal) -> bool:
        """
        Is what waits to be trained from the base, with all that was learned? Once it was refused, where that is not too much:
        adapters that continue from one another drift from the base further and further, and a small home rehearses all anyway.
        """
        tried = max(journal.buffer.attempts().values(), default=0)
        return bool(tried and self.settings.rehearsal and 0 < len(journal.memories.all("learned")) <= _ANEW)

    def mix(self, rows: Sequence[SelfEdit], journal: Journal, anew: bool = False) -> list[Example]:
        """New rows, rehearsed rows and general anchors, as examples; *anew*: all that was learned, as new as the new rows."""
        from seal_agent.editing.room import example
        from seal_agent.remembering.replay import choose

        learned = journal.memories.all("learned")
        anchors = [Example(m.prompt, m.completion, m.title, anchor=True) for m in journal.memories.all("general")]
        if anew:
            return [*map(example, rows), *map(example, learned), *anchors]
        # what was refused once, where all that was learned is too much to train, comes back with twice the rehearsal
        dial = self.settings.rehearsal * (1 + max(journal.buffer.attempts().values(), default=0))
        # a short lesson takes as many steps as a middling one: old rows fill it, or a few would be drilled and the rest fade
        count = min(len(learned), round(parts.OLD_TURNS * max(dial * len(rows), dial and _EPOCH - len(rows))))
        seed = int(content_id("m", *sorted(row.id for row in rows))[1:9], 16) ^ self.settings.seed
        rehearsed = choose(learned, self._near(rows, learned, journal), count, seed)
        return [*map(example, rows), *(example(memory, old=True) for memory in rehearsed), *anchors]

    def _near(self, rows: Sequence[SelfEdit], learned: Sequence[Memory], journal: Journal) -> list[str]:
        """Ids of learned rows about sentences near the new ones, the nearest first."""
        from seal_agent.remembering.known import placed

        facts = list(dict.fromkeys(placed(row.title, row.fact) for row in rows))
        near: dict[str, float] = {}
        for memory, likeness in chain(*self._nearby(facts, journal, 2)):
            near[memory.completion] = max(likeness, near.get(memory.completion, likeness))
        told = [memory for memory in learned if memory.completion in near]
        return [memory.id for memory in sorted(told, key=lambda memory: -near[memory.completion])]

    def _remembered(self, journal: Journal) -> Known:
        """What is remembered now; where nothing came or went since it was looked at, as it was."""
        from seal_agent.remembering.known import known

        with self._kept.lock:
            stands, before = journal.memories.fingerprint(), self._kept.remembered
            if before is None or before.stands != stands:
                if old := journal.memories.placed_otherwise(
                    self.embedder.fingerprint
                ):  # the home was made with another embedder
                    journal.memories.add(list(zip(old, self._vectors(old), strict=True)), self.embedder.fingerprint)
                vectors = dict(zip(*journal.memories.vectors(self.embedder.fingerprint), strict=True))
                before = self._kept.remembered = known(stands, journal.memories.all("learned"), vectors, before)
            return before

    def _nearby(self, texts: Sequence[str], journal: Journal, k: int) -> list[list[tuple[Memory, float]]]:
        """For each of *texts* the *k* remembered sentences nearest to it, and their cosines."""
        known = self._remembered(journal)
        # with nothing remembered the embedder stays unloaded
        found = known.index.near(self.embedder.embed(texts), k) if texts and len(known.index) else [[] for _ in texts]
        return [[(known.told[name], likeness) for name, likeness in hits] for hits in found]

    def retrieve(self, query: str, journal: Journal, k: int) -> list[tuple[Memory, float]]:
        """The *k* remembered sentences nearest to *query*, and their cosines."""
        return self._nearby([query], journal, k)[0]

    def nearest(self, questions: Sequence[str], journal: Journal, k: int) -> list[list[tuple[Memory, float]]]:
        """For each question the remembered sentences nearest to it, one a document and at most *k*, and their cosines."""
        best: list[dict[str, tuple[Memory, float]]] = [{} for _ in questions]
        for of, hits in zip(best, self._nearby(questions, journal, 2 * k), strict=True):
            for memory, likeness in hits:
                if likeness > _RELATED:
                    of.setdefault(memory.document, (memory, likeness))
        return [list(of.values())[:k] for of in best]

    def recall(self, learner: Learner, journal: Journal, scoped: bool = True, judged: bool = False) -> Recall:
        """
        *learner* as it answers people who ask about what *journal* was taught; *scoped*, if the settings say so too and all that
        it was taught has a title. Where it is *judged*, what is claimed counts as taught.
        """
        from seal_agent.remembering.recall import Recall

        routes = scoped and self.settings.scope and not journal.memories.untitled(claimed=judged)
        return Recall(learner, frozenset(journal.memories.titles()), self.embedder.embed, routes)

    # -- judging

    def judge(
        self,
        learner: Learner,
        journal: Journal,
        documents: Sequence[str],
        live: Path | None,
        candidate: Path,
        say: Say,
    ) -> GateReport:
        """The gate's report on *candidate*, which learned *documents*."""
        from seal_agent.judging import gate

        every = {check.id: check for check in (*journal.checks.of(documents), *journal.checks.all("fact"))}
        unseen = self._unseen(journal, list(every.values()))
        new = [check for check in unseen if check.document in documents]
        kept = [check for check in unseen if check.document not in documents]
        attempt = journal.versions.judged() + 1
        beside = self._beside(documents, journal)
        near = sorted((c for c in kept if c.document in beside), key=lambda c: -beside[c.document])[:_NEAR_CHECKS]
        old = gate.sample(kept, attempt)
        learned = journal.checks.when_learned([check.id for check in old])
        questions = gate.Questions(new, old, journal.checks.all("general"), near, journal.checks.all("user"), learned)
        would_serve, serving = self.recall(learner, journal, judged=True), self.recall(learner, journal)
        return gate.judge(would_serve, questions, live, candidate, say, self._answered(live), attempt, serving)

    def unanswered(self, learner: Learner, journal: Journal, documents: Sequence[str], live: Path | None) -> int:
        """How many of the wordings that *documents* reserved *live* answers wrongly: by these a lesson is judged."""
        from seal_agent.judging import gate

        served, unseen = self.recall(learner, journal), self._unseen(journal, journal.checks.of(documents))
        return sum(not right for right, _ in gate.ask(served, unseen, live, self._answered(live)).values())

    def _unseen(self, journal: Journal, checks: Sequence[Check]) -> list[Check]:
        """*checks* but for what was trained on, in whatever document: that checks nothing."""
        from seal_agent.judging.grading import wording

        shown = set(map(wording, journal.memories.prompts()))
        return [check for check in checks if wording(check.question) not in shown]

    def _answered(self, live: Path | None) -> gate.Answers:
        """What the base and the version that is *live* answered before; of other versions nothing will be wanted again."""
        serving = {str(live or ""), ""}
        self._kept.answered = {key: said for key, said in self._kept.answered.items() if key[0] in serving}
        return self._kept.answered

    def _beside(self, documents: Sequence[str], journal: Journal) -> dict[str, float]:
        """The documents remembered that have a sentence near one of *documents*, and how near (cosine)."""
        from seal_agent.remembering.known import placed

        said = {
            placed(e.title, e.fact) for name in documents for e, _ in journal.buffer.of(name) if e.origin == "verbatim"
        }
        out: dict[str, float] = {}
        for memory, likeness in chain(*self._nearby(sorted(said), journal, 2)):
            if likeness >= _NEAR and memory.document not in documents:
                out[memory.document] = max(likeness, out.get(memory.document, 0.0))
        return out


def resolve(home: Path, **given: Any) -> Rooms:
    """
    The rooms of *home* by its settings and what is *given*; a writer may be given as a function, too. ConfigError names every
    part that is not installed.
    """
    make_writer = given.get("writer")
    if callable(make_writer):
        named = make_writer if hasattr(make_writer, "__qualname__") else type(make_writer)
        given["writer"] = f"{named.__module__}:{named.__qualname__}"
    chosen = settings.read(home, **given)
    missing: list[str] = []

    def look(find: Callable[[str, Any], Any], kind: str, named: str | Sequence[str]) -> Any:
        try:
            return find(kind, named)
        except ConfigError as error:
            missing.append(str(error))

    rooms = Rooms(
        home=home,
        settings=chosen,
        styles=look(_chosen, "styles", chosen.styles),
        screens=look(_chosen, "screens", chosen.screens),
        checks=parts.installed("checks"),
        decider=look(parts.find, "deciders", chosen.decider),
        make_learner=look(parts.find, "learners", chosen.learner),
        make_writer=make_writer if callable(make_writer) else look(parts.find, "writers", chosen.writer),
    )
    if missing:
        raise ConfigError("; ".join(missing))
    return rooms


def lora_learner(chosen: Settings) -> Learner:
    """The built-in learner: transformers and peft."""
    with LOADING:
        from seal_agent.learning.learner import LoraLearner

        return LoraLearner(chosen.model, chosen.rank)


def _chosen(kind: str, names: Sequence[str]) -> dict[str, Any]:
    everything = parts.installed(kind)
    if not names:
        return {name: part for name, part in everything.items() if name not in _ON_REQUEST}
    missing = [name for name in names if name not in everything]
    if missing:
        raise ConfigError(f"no {kind} called {', '.join(missing)}; installed: {', '.join(everything) or 'none'}")
    return {name: everything[name] for name in names}


def _questions(memory: Memory, asked: Mapping[tuple[str, str], Sequence[str]]) -> list[tuple[str, str]]:
    """(gold span, question) pairs about a remembered sentence: cut from it, else those it was learned with."""
    from seal_agent.editing.asking import questions
    from seal_agent.editing.spans import key_span
    from seal_agent.editing.styles import named

    said, title = memory.completion, memory.title
    cut: dict[str, str] = {}
    for span, question in questions(said, title):
        if span.lower() not in title.lower():  # with the title every answer begins
            cut.setdefault(span, named(question, title))  # as it was taught: with the subject named in full
    prompts = asked.get((memory.document, said), ())
    learned = [(key_span(said, f"{prompt} {title}"), prompt) for prompt in prompts]
    return list(cut.items()) or [(span, prompt) for span, prompt in learned if span]


def _rows_of(name: str, style: Callable[..., list[Any]]) -> parts.Style:
    def call(*given: Any) -> list[SelfEdit]:
        rows = style(*given)
        if odd := [row for row in rows if not isinstance(row, SelfEdit)]:
            raise PartError(f"style {name!r} gave {odd[0]!r:.80}, which is no SelfEdit")
        return rows

    return call


def _boundary(kind: str, name: str, part: Callable[..., Iterable[Any]]) -> Callable[..., list[Any]]:
    """*part*, which may be someone else's code: it is run to its end here, and named if it breaks."""

    def call(*given: Any) -> list[Any]:
        try:
            return list(part(*given))
        except SealError:
            raise
        except Exception as error:
            raise _failed(f"{kind} {name!r}", error) from error

    return call


def _failed(part: str, error: Exception, document: Document | None = None) -> PartError:
    """*part*, which may be someone else's code, broke."""
    where = f" on document {document.id}" if document else ""
    return PartError(f"{part} failed{where}: {type(error).__name__}: {error}")
