"""
SealAgent: the one class a user meets. It observes, consolidates, answers, and can always go back.

Promises: what `observe` returned a receipt for is committed; a consolidation ends in a version, in a report that says
why not, or in an error that leaves every edit waiting; every answer names the version that gave it.
Does not promise: that everything read is learned. A document may be skipped or held, a candidate refused; both say why.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent import errors
from seal_agent.journal import Journal, adapters, renewal
from seal_agent.journal.lock import HomeLock
from seal_agent.journal.store import Study
from seal_agent.parts import Learner, Say, silent
from seal_agent.reading import sources
from seal_agent.records import (
    Answer,
    Candidate,
    Check,
    Consolidation,
    Decision,
    Document,
    Forgotten,
    GateReport,
    Memory,
    Menu,
    Receipt,
    SelfEdit,
    Version,
    content_id,
)
from seal_agent.wiring import Rooms, resolve

if TYPE_CHECKING:  # imported where it is used: the home opens without it
    from seal_agent.adapting.adapt import Adapted
    from seal_agent.adapting.strategy import Strategy
    from seal_agent.adapting.tasks import Pair
    from seal_agent.remembering.recall import Recall

WRITER = "writer"  # the folder of the writer's versions: a home's journal and adapters, without documents
FORGETTING = "forgetting"  # the folder in which a home lives through its calls again
_SOURCES = 3  # documents named beside an answer
_REPLY = 256  # tokens of a chat's reply at most, unless it is told otherwise


@dataclass(frozen=True)
class Past:
    """
    What a home gave once, by the state it stood in: in that state it gives the same again, and nothing is computed.

    studies: by document, state, and whether it was released. rows: what was written of a document, with its checks, by document
    and what that rests on. consolidations: version, candidate and report by state.
    """

    studies: Mapping[tuple[str, str, bool], Study] = field(default_factory=dict)
    rows: Mapping[tuple[str, str], tuple[Sequence[SelfEdit], Sequence[Check]]] = field(default_factory=dict)
    consolidations: Mapping[str, tuple[int, Candidate, GateReport]] = field(default_factory=dict)


class SealAgent:
    """A language model that learns from what it reads. Open one with `seal_agent.open`."""

    def __init__(self, home: Path, rooms: Rooms, say: Say = silent) -> None:
        self.home = home
        self.rooms = rooms
        self.settings = rooms.settings
        self.say = say
        self.journal = Journal(home)
        self.past = Past()
        self.writers = home / WRITER
        self.writer_number: int | None = None  # the version of the writer to use; None: the live one
        self._serving = threading.RLock()
        self._verified: set[str] = set()
        self._refused_writers: set[str] = set()
        self._learner: Learner | None = None
        self.too_few: tuple[int | str, ...] = ()  # under which version which documents wait for more to learn

    def __enter__(self) -> SealAgent:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the journal. Nothing is lost without it; but what is still being read for this agent is then not written down."""
        self.journal.close()

    # -- reading ---------------------------------------------------------------------------------------------------

    def stream(self, *inputs: Any) -> Iterator[Receipt]:
        """
        Observe everything *inputs* hold (texts, Documents, pathlib.Paths, loaders …); one receipt each, refusals included. A str
        is a text, never a path.
        """
        for found in sources.documents(*inputs, limit_bytes=self.settings.max_document_bytes):
            yield self._refused(found) if isinstance(found, sources.Refusal) else self.observe(found)

    def observe(self, document: Document | str) -> Receipt:
        """
        Decide on one document and, if it is worth learning, write its edits. The receipt means: committed. What cannot be read,
        or holds several documents, is refused in it. Raises SealError if a part or the model fails; nothing is written then.
        """
        found = self._read(document)
        if isinstance(found, sources.Refusal):
            return self._refused(found)
        with self.journal.transaction():
            if known := self.journal.attest(found):
                # a change was taken back: judged by what had been asked of it
                if found.id in self.journal.buffer.documents():
                    self.journal.checks.add(self.rooms.asked_again(found, self.journal), again=True)
                return self._told_again(known)
        return self._studied(found, self.journal.record, released=False)

    def _read(self, document: Document | str) -> Document | sources.Refusal:
        refused = sources.Refusal(name="nothing", reason="it holds no document")
        known: Document | None = None
        for found in sources.documents(document, limit_bytes=self.settings.max_document_bytes):
            if isinstance(found, sources.Refusal):
                refused = found
            elif known:
                reason = "it holds several documents; give it to `stream`"
                return sources.Refusal(name=f"a {type(document).__name__}", reason=reason)
            else:
                known = found
        return known or refused

    def _told_again(self, known: Receipt) -> Receipt:
        since = ""
        if self.journal.names.superseded(known.id):
            since = ", and a newer text has taken its place; told under its own name it stands again"
        elif self.journal.left(known.id):
            then = f"return to it, if it is sound, or `seal-agent forget {known.id}` and read it again"
            since = f", and the version that learned it was left: {then}"
        reason = f"the same text was read before{since}; then: {known.decision.reason}"
        again = Decision(action="skip", reason=reason, numbers=known.decision.numbers)
        return known.model_copy(update={"decision": again, "edits": 0, "refused": 0})

    def decide(self, document: Document) -> Decision:
        """What `observe` would decide on *document*, were it not read before; nothing is written down."""
        found = self._read(document)
        if isinstance(found, sources.Refusal):
            return Decision(action="skip", reason=f"refused: {found.reason}")
        if reason := self.rooms.screen(found):
            return Decision(action="hold", reason=reason)
        return self.rooms.decide(found, self.learner, self.adapter(), self.journal, False)

    def release(self, document_id: str) -> Receipt:
        """Let a held document through: it is decided on again without screening. SealError if it is not held."""
        return self._studied(self.journal.release(document_id), self.journal.redecide, released=True)

    def quarantine(self) -> list[Receipt]:
        """What is held, each with the reason."""
        return self.journal.quarantine()

    def _state(self, document: Document, writer: Version | None) -> str:
        """Two ids with a dot between: what the rows this *writer* makes of *document* rest on; and what waits."""
        state = self.journal.state_for(document)
        rows = content_id("s", state, writer.digest) if writer else state
        waits = content_id("w", *(part for said in self.journal.buffer.sentences() for part in said))
        return f"{rows}.{waits}"

    def _studied(self, document: Document, write: Callable[..., Receipt], released: bool) -> Receipt:
        """
        Study *document* and *write* it down. If what it rests on changed meanwhile (a document came, one was forgotten), it is
        decided on again: each receipt must follow from the state that is stored beside it.
        """
        kept = dict(self.past.rows)
        while True:
            writer = self.writer()
            state, number = self._state(document, writer), writer.number if writer else None
            study = self._study(document, state, writer, released, kept)
            with self.journal.transaction():
                if self._state(document, writer) == state and self._writes(writer):
                    return write(document, *study, state, number)

    def _writes(self, writer: Version | None) -> bool:
        """May *writer* still write? `forget` marks as broken those that learned from the document."""
        if writer is None:
            return True
        with Journal(self.writers) as line:  # and no more than that: who holds the journal must not wait for the model
            return line.versions.one(writer.number).status != "broken"

    def _study(
        self,
        document: Document,
        state: str,
        writer: Version | None,
        released: bool,
        kept: dict[tuple[str, str], tuple[Sequence[SelfEdit], Sequence[Check]]],
    ) -> Study:
        """The decision and what follows from it; rows that were written before are in *kept*, by what they rest on."""
        if given := self.past.studies.get((document.id, state, released)):
            return given
        if not released and (reason := self.rooms.screen(document)):
            return Decision(action="hold", reason=reason), [], []
        decision = self.rooms.decide(document, self.learner, self.adapter(), self.journal, released)
        if decision.action != "edit":
            return decision, [], []
        rooms = self.rooms.writing_with(Path(writer.path) if writer else None)
        rests = document.id, state.partition(".")[0]
        if rests not in kept:
            kept[rests] = rooms.edit(document, self.learner, self.adapter(), self.journal)
        edits, checks = kept[rests]
        if all(edit.refused or edit.reserved for edit in edits):
            reason = f"no edit could be proved ({len(edits)} refused)"
            return Decision(action="skip", reason=reason, numbers=decision.numbers), edits, []
        return decision, edits, checks

    def _refused(self, refusal: sources.Refusal) -> Receipt:
        # no name in words: it may be a title that is forgotten later
        self.journal.event("refused", name=content_id("n", refusal.name))
        decision = Decision(action="skip", reason=f"refused: {refusal.reason}")
        return Receipt(id="", decision=decision, title=refusal.name)

    # -- learning --------------------------------------------------------------------------------------------------

    def due(self) -> str:
        """Why a consolidation is due, or "". Rows of a run that died wait again."""
        from seal_agent.consolidating import due

        return due(self)

    def consolidate(self) -> Consolidation:
        """Train on what waits, judge the candidate, and publish it or set it aside. Raises HomeBusy, SealError."""
        from seal_agent.consolidating import consolidate

        return consolidate(self)

    def forget(self, document_id: str) -> Forgotten:
        """
        Make the home what it would be had it never been given this document: not in its tables, adapters, vectors or pages.

        Everything since is lived through again without it, as far as it could have mattered; a version of the writer that learned
        from it is gone. SealError if it is unknown, HomeBusy.
        """
        from seal_agent.forgetting import forget

        return forget(self, document_id)

    def twin(self, home: Path, past: Past) -> SealAgent:
        """The same agent on another home, in which *past* need not be computed again."""
        other = SealAgent(home, self.rooms.of(home), self.say)
        other._learner, other.past, other.writers = self.learner, past, self.writers
        return other

    def recover(self, lock: HomeLock) -> None:
        """Under the home's lock: rows of runs that died wait again; what no version and no journal names is removed."""
        # first what makes room: on a disk that our own leavings fill nothing below can be written
        shutil.rmtree(self.home / FORGETTING, ignore_errors=True)
        adapters.tidy(self.home / "adapters", [path for _, _, path in self.journal.versions.made()], lock)
        self.journal.buffer.abandon()  # of ours, too: who could only now take the lock is in no run
        self.journal.buffer.sweep(lock)
        renewal.clean(self.journal)
        if self.writers.is_dir():
            with Journal(self.writers) as line:
                renewal.clean(line)

    def same_base(self, learner: Learner) -> None:
        """ConfigError if this home was made with another base. Nothing is marked by it: the right one may open it again."""
        known, name = self.journal.meta("base"), self.journal.meta("model")
        if known and known != learner.fingerprint:
            made = f"{name!r} (base {known})" if name else f"base {known}"
            raise errors.ConfigError(
                f"this home was made with {made}, the model {self.settings.model!r} is {learner.fingerprint}; "
                f"open it with the model it was made with (an earlier release may have named the same one otherwise), or start"
                f" a new home"
            )

    # -- answering -------------------------------------------------------------------------------------------------

    def ask(self, question: str, version: int | None = None) -> Answer:
        """
        Answer closed-book with the live version, or with *version* (0 is the untouched base).

        What names nothing that was learned is answered by the base, unless a version is named or `scope` is off. SealError if
        the question is no text or too long, or the version is not there or damaged.
        """
        return self.ask_all([question], version)[0]

    def ask_all(
        self, questions: Iterable[str], version: int | None = None, contexts: Sequence[str] = ()
    ) -> list[Answer]:
        """Answers to many questions as `ask` gives them. *contexts*, one each, are shown before the question (open book)."""
        questions = [questions] if isinstance(questions, str) else list(questions)
        errors.legible(questions)
        if contexts and len(contexts) != len(questions):
            raise errors.SealError(f"{len(contexts)} contexts for {len(questions)} questions; give one each, or none")
        if blank := [number for number, question in enumerate(questions, 1) if not question.strip()]:
            raise errors.SealError(f"question {blank[0]} of {len(questions)} is empty; ask something")
        number, digest, adapter = self._serve(version)
        if contexts:
            said = [(text, adapter) for text in self.learner.answer(questions, adapter, contexts)]
        else:
            # a version that is named speaks for itself, whatever it is asked
            said = self._recall(scoped=version is None).answers(questions, adapter)
        live = number and number == self.journal.versions.live_number()  # of another version nobody knows what is near
        named = self.rooms.nearest(questions, self.journal, _SOURCES) if live else [[] for _ in questions]
        return [
            Answer(text=text, version=number, digest=digest, sources=[memory.document for memory, _ in near])
            if who
            else Answer(text=text, version=0, digest="")
            for (text, who), near in zip(said, named, strict=True)
        ]

    def nearest(self, text: str) -> list[tuple[Memory, float]]:
        """The sentences the live version was taught that are nearest to *text*, one a document, and their cosines."""
        errors.legible([text])
        return self.rooms.nearest([text], self.journal, _SOURCES)[0]

    def _recall(self, scoped: bool) -> Recall:
        return self.rooms.recall(self.learner, self.journal, scoped)

    def chat(
        self,
        messages: Sequence[dict[str, str]],
        version: int | None = None,
        *,
        asked: str = "",
        scoped: bool | None = None,
        **how: Any,
    ) -> tuple[Version | None, Iterator[str]]:
        """
        A reply to a conversation, piece by piece, and the version that gives it (None: the base).

        *asked*: the question, where the last turn says more. *scoped*: does the base answer what names nothing learned? Unless
        said, where no *version* is named. What was learned is recited before the first piece, the rest comes as it is made.
        """
        if odd := [message for message in messages if not {"role", "content"} <= set(message)]:
            raise errors.SealError(f'{odd[0]!r:.80} is no message; give {{"role": …, "content": …}}')
        errors.legible([message["content"] for message in messages])
        number, _, adapter = self._serve(version)
        serving = self.journal.versions.one(number) if number else None
        if adapter and any(message["role"] == "user" for message in messages):
            recall = self._recall(version is None if scoped is None else scoped)
            if how.get("temperature"):  # what is drawn by chance is not weighed
                named = not recall.scoped or recall.names(messages, adapter)
            else:
                (text,) = recall.recalled([messages], adapter, how.get("max_new_tokens", _REPLY), asked)
                if text is not None:
                    return serving, iter(re.findall(r"\s*\S+", text))
                named = not recall.scoped
            if not named:
                serving, adapter = None, None
        return serving, self.learner.chat(messages, adapter, **how)

    def improve(
        self, documents: Mapping[Document, Sequence[Check]], rounds: int = 2, samples: int = 4
    ) -> list[GateReport]:
        """
        Practise writing on *documents*, each with questions (where there are few, it asks itself, too), and tune the writer:
        the first time on the questions given, if any, then on its own edits that helped. A report for each round. What the home
        knows and serves is not touched. Raises HomeBusy.

        Versions of the writer are kept in the folder `writer` of the home, which is a home to `versions` and `rollback`.
        """
        from seal_agent.practising import improve

        return improve(self, documents, rounds, samples)

    def menu(self, documents: Mapping[Document, Sequence[Check]]) -> Menu:
        """
        Practise on *documents* as `improve` does, but leave the writer as it is and see which styles teach. Raises HomeBusy.

        Nothing is changed by it; what stays on the menu can be named as `styles` in seal.toml.
        """
        from seal_agent.practising import menu

        return menu(self, documents)

    def writer(self) -> Version | None:
        """
        The version of the writer that `improve` made and that writes edits; None: the base as it is.

        In place of one that is broken or was tuned on another base its nearest ancestor that is not writes; an event says so.
        """
        if self.writer_number == 0 or not self.writers.is_dir():
            return None
        with Journal(self.writers) as line:
            version = line.versions.one(self.writer_number) if self.writer_number else line.versions.live()
            while version and (version.status == "broken" or self._damaged(version, line) or self._foreign(version)):
                version = line.versions.one(version.parent) if version.parent else None
        return version

    def _damaged(self, version: Version, line: Journal) -> bool:
        """Is this version of the writer not as it was made? Then it is marked in its *line*, and an event of the home says so."""
        if version.digest in self._verified or not (problems := adapters.verify(Path(version.path), version.digest)):
            return False
        line.versions.mark_broken(version.number, "; ".join(problems))
        self.journal.event("writer refused", number=version.number, reason=f"it is damaged: {'; '.join(problems)}")
        return True

    def _foreign(self, version: Version) -> bool:
        """Was this version of the writer tuned on another base? It is not marked: the home may be opened with that one again."""
        if version.digest in self._verified:
            return False
        if adapters.manifest(Path(version.path)).fingerprint == self.learner.fingerprint:
            self._verified.add(version.digest)
            return False
        if version.digest not in self._refused_writers:
            self._refused_writers.add(version.digest)
            reason = f"it was tuned on another base than {self.settings.model!r}; the one before it writes, or the base"
            self.journal.event("writer refused", number=version.number, reason=reason)
        return True

    def adapt(self, pairs: Iterable[Pair | tuple[str, str]], strategy: Strategy | None = None) -> Adapted:
        """
        The base trained for the moment on a few-shot task, (input, output) *pairs* of one rule; a context manager.

        No version is made and none is used; without a *strategy* one that this task can afford is used. ConfigError if the pairs
        are no task, or *strategy* costs too much; SealError if the training diverges.
        """
        from seal_agent.adapting.adapt import adapt
        from seal_agent.adapting.strategy import Strategy
        from seal_agent.adapting.tasks import task_of

        task = task_of(pairs)
        errors.legible(side for pair in task.demonstrations for side in (pair.input, pair.output))
        chosen = strategy or Strategy().within(task, self.learner.count) or Strategy()
        (adapted,) = adapt(self.learner, task, [chosen], self.settings.seed, self.say)
        if not adapted.training["finite"]:
            adapted.close()
            raise errors.SealError(f"the loss is not finite at learning rate {chosen.learning_rate}; try a smaller one")
        return adapted

    def versions(self) -> list[Version]:
        """Every version, oldest first, those that the gate refused included; the base, number 0, is not among them."""
        return self.journal.versions.all()

    def rollback(self, to: int | None = None) -> int:
        """
        Return to the live version's parent, or to version *to* (0 is the base); the number that is live now. SealError if that
        version is not there, was refused or is damaged; HomeBusy.
        """
        with HomeLock(self.home):
            while True:
                target = self.journal.versions.returns_to(to)
                problems = adapters.verify(Path(target.path), target.digest) if target.number else []
                if not problems:
                    return self.journal.versions.rollback(to)
                if to is not None:
                    raise errors.SealError(f"version {to} is damaged: {'; '.join(problems)}; name another one")
                self.journal.versions.mark_broken(target.number, "; ".join(problems))

    def status(self) -> dict[str, Any]:
        """
        Counts, without loading the model: documents {total, edited, skipped, held}, waiting (rows), live (number; 0 is the
        base), versions, memories and more.
        """
        return self.journal.counts()

    def verify(self) -> list[str]:
        """Every problem found in the journal and in the adapters on disk; empty if all is sound."""
        problems = self.journal.verify()
        try:
            if self._unclean():
                problems.append(
                    "old pages of a journal may hold what was forgotten; the next consolidation overwrites them"
                )
            problems += _damages("version", self.journal)
            problems += [_lost(number, documents) for number, documents in self.journal.versions.lost().items()]
            if self.writers.is_dir():
                with Journal(self.writers) as line:
                    problems += _damages("writer, version", line)
        except errors.SealError as error:  # of a damaged file not everything can be read
            problems.append(str(error))
        return problems

    def _unclean(self) -> bool:
        if renewal.unclean(self.journal):
            return True
        if not self.writers.is_dir():
            return False
        with Journal(self.writers) as line:
            return renewal.unclean(line)

    def _serve(self, version: int | None) -> tuple[int, str, Path | None]:
        if version is None:
            live = self._live()
            return (live.number, live.digest, Path(live.path)) if live else (0, "", None)
        if version == 0:
            return 0, "", None
        asked = self.journal.versions.one(version)
        if problems := self.problems_of(asked):
            raise errors.SealError(
                f"version {version} cannot be served: {'; '.join(problems)}; `seal-agent versions` lists them"
            )
        return asked.number, asked.digest, Path(asked.path)

    def adapter(self) -> Path | None:
        """The folder of the adapter that is live, verified; None is the base."""
        live = self._live()
        return Path(live.path) if live else None

    def _live(self) -> Version | None:
        """The live version, verified once per process; a damaged one is marked and the next sound ancestor serves."""
        with self._serving:
            while live := self.journal.versions.live():
                problems = self.problems_of(live)
                if not problems:
                    return live
                self.journal.versions.mark_broken(live.number, "; ".join(problems))
            return None

    def problems_of(self, version: Version) -> list[str]:
        """Why *version* cannot be served, or nothing; what was found sound is not looked at again."""
        if version.digest in self._verified:
            return []
        self.same_base(self.learner)
        folder = Path(version.path)
        problems = adapters.verify(folder, version.digest)
        if not problems and adapters.manifest(folder).fingerprint != self.learner.fingerprint:
            problems = [f"it was trained on another base than {self.settings.model!r}"]
        if not problems:
            self._verified.add(version.digest)
        return problems

    @property
    def learner(self) -> Learner:
        """The model, loaded on first use, once whichever thread asks first. ConfigError if the home was made with another."""
        with self._serving:
            if self._learner is None:
                learner = self.rooms.learner()
                self.same_base(learner)
                self._learner = learner
            return self._learner


def _damages(name: str, line: Journal) -> list[str]:
    """What is wrong with the adapters of *line* that may serve."""
    return [
        f"{name} {version.number}: {problem}"
        for version in line.versions.all()
        if version.path and version.status in ("live", "retired")
        for problem in adapters.verify(Path(version.path), version.digest)
    ]


def _lost(number: int, documents: Sequence[str]) -> str:
    return (
        f"version {number} is broken, and what it learned of {len(documents)} documents is not known any more; `seal-agent"
        f" forget` each and read it again: {', '.join(documents)}"
    )


def open(home: str | Path, model: str | None = None, *, say: Say = silent, **settings: Any) -> SealAgent:
    """
    Open the home in folder *home*, creating it if need be.

    *model* is "smollm2-135m" (embedded), a folder or a Hugging Face id; *settings* are fields of settings.Settings, of which
    *writer* may also be a function (learner, adapter) -> parts.Writer. Raises ConfigError that lists every setting that cannot
    work or, where all can, every part that is not installed. Loads no model yet.
    """
    if not str(home):
        raise errors.ConfigError("'' names no folder for a home; the folder you are in is '.'")
    folder = Path(home).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # a NUL in the name is the latter
        why = getattr(error, "strerror", None) or error
        raise errors.ConfigError(
            f"{str(folder)!r:.200} cannot be the folder of a home ({why}); name another"
        ) from error
    return SealAgent(folder, resolve(folder, model=model, **settings), say)


__all__ = ["SealAgent", "open"]
