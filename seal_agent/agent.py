"""
SealAgent: the one class a user meets. It observes, consolidates, answers, and can always go back.

Promises: what `observe` returned a receipt for is committed; a consolidation ends in a version, in a report that says
why not, or in an error that leaves every edit waiting; every answer names the version that gave it.
Does not promise: that everything read is learned. A document may be skipped or held, a candidate refused; both say why.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent import errors
from seal_agent.journal import Journal, adapters, renewal
from seal_agent.journal.crash import crashpoint
from seal_agent.journal.lock import HomeLock
from seal_agent.journal.store import Checks, Edits, Study
from seal_agent.parts import ENOUGH, Learner, Say
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

_NEVER: Say = lambda stage, share: None  # noqa: E731 - a default argument, nothing more
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
    rows: Mapping[tuple[str, str], tuple[Edits, Checks]] = field(default_factory=dict)
    consolidations: Mapping[str, tuple[int, Candidate, GateReport]] = field(default_factory=dict)


class SealAgent:
    """A language model that learns from what it reads. Open one with `seal_agent.open`."""

    def __init__(self, home: Path, rooms: Rooms, say: Say = _NEVER) -> None:
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
        self._too_few: tuple[int | str, ...] = ()  # under which version which documents wait for more to learn

    def __enter__(self) -> SealAgent:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the journal. Nothing is lost without it; what others still read for this agent cannot be written down after."""
        self.journal.close()

    # -- reading ---------------------------------------------------------------------------------------------------

    def stream(self, *inputs: Any) -> Iterator[Receipt]:
        """Observe everything *inputs* hold (texts, Documents, paths, loaders …); one receipt each, refusals included."""
        for found in sources.documents(*inputs, limit_bytes=self.settings.max_document_bytes):
            yield self._refused(found) if isinstance(found, sources.Refusal) else self.observe(found)

    def observe(self, document: Document | str) -> Receipt:
        """Decide on one document and, if it is worth learning, write its edits. The receipt means: committed."""
        nothing = sources.Refusal(name="nothing", reason="it holds no document")
        found = next(sources.documents(document, limit_bytes=self.settings.max_document_bytes), nothing)
        if isinstance(found, sources.Refusal):
            return self._refused(found)
        with self.journal.transaction():
            if known := self.journal.attest(found):
                if (
                    found.id in self.journal.waiting_documents()
                ):  # a change was taken back: judged by what had been asked of it
                    self.journal.add_checks(self.rooms.asked_again(found, self.journal))
                return self._told_again(known)
        return self._studied(found, self.journal.record, released=False)

    def _told_again(self, known: Receipt) -> Receipt:
        since = ""
        if self.journal.names.replaced(known.id):
            since = ", and a newer text has taken its place; told under its own name it stands again"
        elif self.journal.left(known.id):
            then = f"return to it, or `seal-agent forget {known.id}` and read it again"
            since = f", and the version that learned it was left: {then}"
        reason = f"the same text was read before{since}; then: {known.decision.reason}"
        again = Decision(action="skip", reason=reason, numbers=known.decision.numbers)
        return known.model_copy(update={"decision": again, "edits": 0, "refused": 0})

    def decide(self, document: Document) -> Decision:
        """What `observe` would decide on *document*; nothing is written down."""
        if reason := self.rooms.screen(document):
            return Decision(action="hold", reason=reason)
        return self.rooms.decide(document, self.learner, self.adapter(), self.journal, False)

    def release(self, document_id: str) -> Receipt:
        """Let a held document through: it is decided on again without screening."""
        return self._studied(self.journal.release(document_id), self.journal.redecide, released=True)

    def quarantine(self) -> list[Receipt]:
        """What is held, each with the reason."""
        return self.journal.quarantine()

    def _state(self, document: Document, writer: Version | None) -> str:
        """What the rows this *writer* makes of *document* rest on; after a dot what its decision rests on too: what waits."""
        state = self.journal.state_for(document)
        rows = content_id("s", state, writer.digest) if writer else state
        waits = content_id("w", *(part for said in self.journal.waiting_sentences() for part in said))
        return f"{rows}.{waits}"

    def _studied(self, document: Document, write: Callable[..., Receipt], released: bool) -> Receipt:
        """
        Study *document* and *write* it down: as it would be decided at that moment. What others commit meanwhile, a document
        or that one is forgotten, has it decided on again, or the home would hold what nothing in it explains.
        """
        kept: dict[tuple[str, str], tuple[Edits, Checks]] = {}
        while True:
            writer = self.writer()
            state, number = self._state(document, writer), writer.number if writer else None
            study = self._study(document, state, writer, released, kept)
            with self.journal.transaction():
                if self._state(document, writer) == state and self._writes(writer):
                    return write(document, *study, state, number)

    def _writes(self, writer: Version | None) -> bool:
        """Did nobody mark *writer* meanwhile, as `forget` does with those that learned from the document?"""
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
        kept: dict[tuple[str, str], tuple[Edits, Checks]],
    ) -> Study:
        """The decision and what follows from it; rows that were written a moment ago are in *kept*, by what they rest on."""
        if given := self.past.studies.get((document.id, state, released)):
            return given
        if not released and (reason := self.rooms.screen(document)):
            return Decision(action="hold", reason=reason), [], []
        decision = self.rooms.decide(document, self.learner, self.adapter(), self.journal, released)
        if decision.action != "edit":
            return decision, [], []
        rooms = self.rooms.writing_with(Path(writer.path)) if writer else self.rooms
        rests = document.id, state.partition(".")[0]
        written = self.past.rows.get(rests) or kept.get(rests)
        edits, checks = written or rooms.edit(document, self.learner, self.adapter(), self.journal)
        kept[rests] = edits, checks
        proved = [edit for edit in edits if not edit.refused and not edit.reserved]
        if not proved:
            nothing = Decision(
                action="skip",
                reason=f"no edit could be proved ({len(edits)} refused)",
                numbers=decision.numbers,
            )
            return nothing, edits, []
        return decision, edits, checks

    def _refused(self, refusal: sources.Refusal) -> Receipt:
        # no name in words: it may be a title that is forgotten later
        self.journal.event("refused", name=content_id("n", refusal.name))
        decision = Decision(action="skip", reason=f"refused: {refusal.reason}")
        return Receipt(id="", decision=decision, title=refusal.name)

    # -- learning --------------------------------------------------------------------------------------------------

    def due(self) -> str:
        """Why a consolidation is due, or "". Rows of a run that died wait again."""
        if self.journal.unfinished():
            with suppress(errors.HomeBusy), HomeLock(self.home) as lock:  # busy: it has not died
                self.recover(lock)
        if self._unjudgeable() or self._too_few == (self.journal.versions.live_number(), *self._waits()):
            return ""
        waiting = self.journal.waiting_count()
        age = self.journal.oldest_waiting_age() or 0.0
        if waiting >= self.settings.consolidate_after:
            return f"{waiting} rows wait"
        return f"the oldest row has waited {age:.1f} hours" if age >= self.settings.consolidate_age else ""

    def consolidate(self) -> Consolidation:
        """Train on what waits, judge the candidate, and publish it or set it aside. Raises HomeBusy, SealError."""
        with HomeLock(self.home) as lock:
            self.recover(lock)
            if reason := self._unjudgeable():
                self.journal.calls.note("consolidate")
                return Consolidation(outcome="nothing", reason=reason, version=self.journal.versions.live_number())
            self._seed()
            if self._turn()[1] not in self.past.consolidations and (reason := self._answered_already()):
                self.journal.calls.note("consolidate")
                return Consolidation(outcome="nothing", reason=reason, version=self.journal.versions.live_number())
            with self.journal.transaction():
                # what came while it was asked is claimed, too: the state has to tell of it
                run, state = self._turn()
                fence, edits = self.journal.claim(run)
            given = self.past.consolidations.get(state)
            if given and given[1].parent != self.journal.versions.live_number():
                given = None  # judged against a version that was damaged since and has another number now
            try:
                number, candidate, report = given or self._made(run, edits)
                learned = [edit for edit in edits if not edit.reserved] if report.outcome == "accepted" else []
                memories, embedder = self.rooms.memories(learned), self.rooms.embedder.fingerprint
                version = self.journal.publish(
                    candidate, report, run, fence, memories, embedder, state=state, number=number
                )
            except Exception as error:  # after Ctrl-C the next run's sweep returns the rows, and no failure is counted
                self.journal.release_claims(run, fence, f"{type(error).__name__}: {error}"[:500], state)
                raise
        live = self.journal.versions.live_number()
        return Consolidation(outcome=report.outcome, reason=report.reason, version=live, report=version.report)

    def _waits(self) -> tuple[str, ...]:
        return tuple(self.journal.waiting_documents())

    def _unjudgeable(self) -> str:
        """Why no consolidation of what waits could be judged, or "": nothing is trained for a verdict that cannot be given."""
        documents = self._waits()
        if not documents:
            return "no edit waits"
        found = len(self.journal.checks_for(documents))
        few = (
            f"a verdict needs {ENOUGH} reserved questions, of what waits there are {found}; it waits for more to learn"
        )
        return few if found < ENOUGH else ""

    def _answered_already(self) -> str:
        """Why no verdict could be given on what waits, the answers of the live version seen, or "". It costs these answers."""
        documents = self._waits()
        left = self.rooms.unanswered(self.learner, self.journal, documents, self.adapter())
        if left >= ENOUGH:
            return ""
        self._too_few = (self.journal.versions.live_number(), *documents)
        return (
            f"a verdict needs {ENOUGH} reserved questions that are not answered yet, of what waits there are {left};"
            " it waits for more to learn"
        )

    def forget(self, document_id: str) -> Forgotten:
        """
        Make the home what it were had it never been given this document: not in its tables, adapters, vectors or pages.

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
        self.journal.abandon()  # of ours, too: who could only now take the lock is in no run
        self.journal.sweep(lock)
        shutil.rmtree(self.home / FORGETTING, ignore_errors=True)
        renewal.clean(self.journal)
        if self.writers.is_dir():
            with Journal(self.writers) as line:
                renewal.clean(line)
        known = [path for _, _, path in self.journal.versions.made()]
        adapters.tidy(self.home / "adapters", known, lock)

    def _made(self, run: str, edits: Sequence[SelfEdit]) -> tuple[None, Candidate, GateReport]:
        candidate = self._train(run, edits)
        return None, candidate, self._judge(candidate, edits)

    def _train(self, run: str, edits: Sequence[SelfEdit]) -> Candidate:
        from seal_agent.editing.rewards import compression
        from seal_agent.remembering.replay import token_share

        live = self.journal.versions.live()
        rows = [edit for edit in edits if not edit.reserved]
        anew = self.rooms.anew(self.journal)
        examples = self.rooms.mix(rows, self.journal, anew)
        seed = int(hashlib.sha256(f"{run}{self.settings.seed}".encode()).hexdigest()[:8], 16)
        staged = adapters.stage(self.home / "adapters")
        log = self.learner.train(examples, None if anew else self.adapter(), staged, seed, self.say)
        if not log["finite"]:
            raise errors.SealError(f"training of run {run} stopped: the loss is not finite; its rows wait again")
        crashpoint("consolidate.trained")
        final = self.home / "adapters" / run
        digest = adapters.seal(
            staged,
            final,
            fingerprint=self.learner.fingerprint,
            parent=live.digest if live else "",
            run=run,
            rows=hashlib.sha256("".join(sorted(row.id for row in rows)).encode()).hexdigest(),
        )
        parent = live.number if live else 0
        written = [row.prompt or row.completion for row in rows if row.origin == "written"]
        training = {
            **log,
            "anew": anew,
            "origin": token_share(examples, self.learner.count, log),
            "compression": compression(written),
        }
        return Candidate(run=run, path=str(final), digest=digest, parent=parent, training=training)

    def _judge(self, candidate: Candidate, edits: Sequence[SelfEdit]) -> GateReport:
        documents = list(dict.fromkeys(edit.document for edit in edits))
        report = self.rooms.judge(self.learner, self.journal, documents, self.adapter(), Path(candidate.path), self.say)
        crashpoint("consolidate.judged")
        return report.model_copy(update={"training": candidate.training})

    def _seed(self) -> None:
        """General memories and checks, once in the life of a home; and the base's fingerprint."""
        self._same_base(self.learner)
        self.journal.keep_checks(self.rooms.user_checks())
        if self.journal.memories("general"):
            return
        self.say("remembering what it knows", 0.0)
        # not asked for under the journal's lock: who answers takes these two the other way round
        learner = self.learner
        memories, checks = self.rooms.seed(learner)
        with self.journal.transaction():
            self.journal.set_meta("base", learner.fingerprint)
            self.journal.add_memories([(memory, None) for memory in memories])
            self.journal.add_checks(checks)
        self.say("remembering what it knows", 1.0)

    def _same_base(self, learner: Learner) -> None:
        """ConfigError if this home was made with another base. Nothing is marked by it: the right one may open it again."""
        known = self.journal.meta("base")
        if known and known != learner.fingerprint:
            raise errors.ConfigError(
                f"this home was made with base {known}, the model {self.settings.model!r} is {learner.fingerprint}; "
                f"open it with the model it was made with, or start a new home"
            )

    def _turn(self) -> tuple[str, str]:
        """The id of the run whose turn it is, and of what it rests on."""
        run = self._run_id()
        # a user's own questions are no part of it: they may veto what came of it, and change nothing
        checks = sorted(check.id for check in self.journal.checks() if check.kind != "user")
        return run, content_id("s", self.journal.state(), run, *checks)

    def _run_id(self) -> str:
        """From content, not from a clock: the same rows after the same versions make the same run."""
        tried = sorted(self.journal.attempts().items())
        history = [key for _, key, _ in self.journal.versions.made()]
        return content_id("r", *self.journal.waiting_ids(), repr(tried), *history, str(self.settings.seed))

    # -- answering -------------------------------------------------------------------------------------------------

    def ask(self, question: str, version: int | None = None) -> Answer:
        """
        Answer closed-book with the live version, or with *version* (0 is the untouched base).

        What names nothing that was learned is answered by the base, unless a version is named or `scope` is off.
        """
        return self.ask_all([question], version)[0]

    def ask_all(
        self, questions: Iterable[str], version: int | None = None, contexts: Sequence[str] = ()
    ) -> list[Answer]:
        """Answers to many questions at once. *contexts*, one each, are shown before the question (open book)."""
        questions = [questions] if isinstance(questions, str) else list(questions)
        _legible(questions)
        if contexts and len(contexts) != len(questions):
            raise errors.SealError(f"{len(contexts)} contexts for {len(questions)} questions; give one each, or none")
        if blank := [number for number, question in enumerate(questions, 1) if not question.strip()]:
            raise errors.SealError(f"question {blank[0]} of {len(questions)} is empty")
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
        _legible([text])
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
        _legible([message["content"] for message in messages])
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
        chosen = strategy or Strategy().within(task, self.learner.count) or Strategy()
        (adapted,) = adapt(self.learner, task, [chosen], self.settings.seed, self.say)
        if not adapted.training["finite"]:
            adapted.close()
            raise errors.SealError(f"the loss is not finite at learning rate {chosen.learning_rate}; try a smaller one")
        return adapted

    def versions(self) -> list[Version]:
        """Every version, oldest first."""
        return self.journal.versions.all()

    def rollback(self, to: int | None = None) -> int:
        """Return to the live version's parent, or to version *to* (0 is the base); the number that is live now."""
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
        """Counts of everything, without loading the model."""
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
        if problems := self._problems(asked):
            raise errors.SealError(f"version {version} cannot be served: {'; '.join(problems)}")
        return asked.number, asked.digest, Path(asked.path)

    def adapter(self) -> Path | None:
        """The folder of the adapter that is live, verified; None is the base."""
        live = self._live()
        return Path(live.path) if live else None

    def _live(self) -> Version | None:
        """The live version, verified once per process; a damaged one is marked and the next sound ancestor serves."""
        with self._serving:
            while live := self.journal.versions.live():
                problems = self._problems(live)
                if not problems:
                    return live
                self.journal.versions.mark_broken(live.number, "; ".join(problems))
            return None

    def _problems(self, version: Version) -> list[str]:
        if version.digest in self._verified:
            return []
        self._same_base(self.learner)
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
                self._same_base(learner)
                self._learner = learner
            return self._learner


def _legible(texts: Iterable[str]) -> None:
    """SealError if one of *texts* is no valid Unicode."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise errors.SealError(f"{text!r} is not valid Unicode ({error.reason}); decode it first") from error


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


def open(home: str | Path, model: str | None = None, *, say: Say = _NEVER, **settings: Any) -> SealAgent:
    """
    Open the home in folder *home*, creating it if need be.

    *model* is "smollm2-135m" (embedded), a folder or a Hugging Face id; *settings* are fields of settings.Settings.
    Raises ConfigError listing every setting that cannot work. Loads no model yet.
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
