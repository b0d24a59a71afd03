"""
Forgetting a document: the home lives through everything that was asked of it again, without that document.

Promises: the home ends as a home would that was never given the document and otherwise asked the same (same machine, number
of threads and settings, on a CPU: adapters equal byte for byte); what the document could not have touched is taken over, not
computed; until the last transaction the home answers as before, and a process that dies leaves it so; what is left on disk is
looked for, not assumed. What was tried of it in practice goes first, and the writers that learned from it: what they wrote of
other documents is written again by the nearest ancestor that did not.
Does not promise: to call back what was said to others, or copies made elsewhere; or that another document does not say the
same: that one is forgotten by its own id. No writer is tuned or judged again. The text of a document that was only practised on
is not known, so nothing is looked for.

Source: exact unlearning by training again from the last state that never saw the data, SISA (arXiv 1912.03817).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from typing import Any

from seal_agent import consolidating
from seal_agent.agent import FORGETTING, Past, SealAgent
from seal_agent.errors import Diverged, SealError
from seal_agent.journal import HomeLock, Journal, adapters, renewal
from seal_agent.journal.store import Study
from seal_agent.judging.gate import ask
from seal_agent.judging.grading import correct
from seal_agent.reading.sentences import sentences
from seal_agent.records import Call, Candidate, Check, Document, Forgotten, GateReport

_LEAST = 12  # characters of a piece of text that is looked for on disk
_WORDS = 6  # words of a sentence whose second half is asked for


def forget(agent: SealAgent, document_id: str) -> Forgotten:
    """See SealAgent.forget."""
    began = time.monotonic()
    with HomeLock(agent.home) as lock:
        agent.recover(lock)
        journal, folder = agent.journal, agent.home / FORGETTING
        document = journal.document(document_id)
        if document is None and document_id not in _practised(agent):
            raise SealError(
                f"no document {document_id} in {agent.home}; its receipt names it, and `observe` of the same text prints it again"
            )
        called = {call.document for call in journal.calls.since()}
        if untold := [other.id for other in journal.everything() if other.id not in called]:
            raise SealError(
                f"{untold[0]} was read before this home wrote down what was asked of it, so it cannot be lived through"
                f" again without {document_id}; start a new home"
            )
        # refused before anything is lost, if this is not the home's model
        before, old = agent.adapter(), {version.number for version in journal.versions.all()}
        tries, writers = _unpractised(agent, document_id, _pieces(agent, document))
        study = journal.study_of(document_id) if document else None
        renewal.begin(journal, folder).close()
        with closing(agent.twin(folder, _past(agent, document_id))) as again:
            replay = _Replay(again, document_id)
            while True:
                replay.live_through(agent, journal.calls.since(replay.seen))
                _move(again, agent.home / "adapters")
                if renewal.take_over(journal, again.journal, replay.seen, document_id):
                    break
        new = {version.number for version in journal.versions.all()}
        gone, made = sorted(old - new), sorted(new - old)
        probes = _probed(agent, document, study[2], before) if gone and document and study else {}
        agent.recover(lock)
        scanned, left = _scanned(agent, _pieces(agent, document))
        live = journal.versions.live()
    return Forgotten(
        id=document_id,
        gone=gone,
        made=made,
        live=live.number if live else 0,
        calls=replay.calls,
        computed=replay.computed,
        seconds=time.monotonic() - began,
        scanned_bytes=scanned,
        left=left,
        tries=tries,
        writers=writers,
        **probes,
    )


def _practised(agent: SealAgent) -> set[str]:
    """Ids of the documents that `improve` was given."""
    if not agent.writers.is_dir():
        return set()
    with Journal(agent.writers) as line:
        return renewal.practised(line)


def _unpractised(agent: SealAgent, document: str, pieces: Sequence[str]) -> tuple[int, list[int]]:
    """
    See renewal.unpractise. It comes before anything is lived through again: a broken writer is asked for nothing more, so a
    process that dies in between leaves a home that knows the document and whose writer does not.
    """
    if not agent.writers.is_dir():
        return 0, []
    with HomeLock(agent.writers) as lock, Journal(agent.writers) as line:
        found = renewal.unpractise(line, document, pieces)
        # of what a process that died left half tuned nobody knows what it learned from
        adapters.tidy(agent.writers / "adapters", [version.path for version in line.versions.all()], lock)
        return found


class _Replay:
    """The calls of a home, asked again of *again* without one document."""

    def __init__(self, again: SealAgent, forgotten: str) -> None:
        self.again, self.forgotten = again, forgotten
        self.seen = self.calls = self.computed = 0
        self._asked = 0  # the number of the last call of *again* that was looked at
        self._numbers = {0: 0}  # of each version that was, the one that was live after the same call now

    @property
    def live(self) -> int:
        """The number of the version that is live now; 0 is the base."""
        return self.again.journal.versions.live_number()

    def live_through(self, agent: SealAgent, calls: Sequence[Call]) -> None:
        """Ask *calls*, which were asked of *agent*."""
        for done, call in enumerate(calls):
            agent.say("living through it again", done / len(calls))
            self.seen = call.number
            if call.document != self.forgotten:
                self.calls += 1
                self.computed += self._ask(agent, call)
        agent.say("living through it again", 1.0)

    def _ask(self, agent: SealAgent, call: Call) -> bool:
        """Ask once more what *call* asked; whether that had to be computed."""
        if call.kind == "consolidate":
            known = self._numbers_of(self.again)
            if call.broke:
                self._break(call.state)
            else:
                with suppress(Diverged):  # as it would have in a home that was never given it; its rows count that
                    self.again.consolidate()
            if call.target is not None:
                self._numbers[call.target] = self.live
            return bool(self._numbers_of(self.again) - known - self._numbers_of(agent))
        if call.kind == "rollback":
            self._roll_back(call.target)
            return False
        document = agent.journal.document(call.document)
        assert document, "a call names a document that is there"
        self.again.writer_number = call.target or 0  # who wrote then writes again
        if call.kind == "release":
            if document.id not in {receipt.id for receipt in self.again.quarantine()}:
                return False  # it was held for what the forgotten one says, and is not now
            self.again.release(document.id)
        else:
            told = {"source": call.source, "external_id": call.external_id}
            given = self.again.observe(document.model_copy(update=told))
            if not given.id:  # nothing that is there may be lost on the way
                raise SealError(
                    f"{document.id} cannot be read again without {self.forgotten}: {given.decision.reason};"
                    " raise max_document_bytes in seal.toml"
                )
        if not (since := self.again.journal.calls.since(self._asked)):
            return False  # without the forgotten one it changes nothing
        asked = since[-1]
        self._asked = asked.number
        return bool(asked.state) and (document.id, asked.state, call.kind == "release") not in self.again.past.studies

    def _break(self, state: str) -> None:
        """A training that broke breaks again if it finds the same *state*; else it is tried."""
        again = self.again
        consolidating.seed(again)
        with again.journal.transaction():
            run, now = consolidating.turn(again)
            if now == state and again.journal.buffer.count():
                fence, _ = again.journal.buffer.claim(run)
                again.journal.buffer.release(run, fence, state=state)
                return
        with suppress(Exception):  # which is counted there
            again.consolidate()

    @staticmethod
    def _numbers_of(agent: SealAgent) -> set[int]:
        return {number for number, _, _ in agent.journal.versions.made()}

    def _roll_back(self, target: int | None) -> None:
        # without the document there may be no version to leave, or none to return to
        with suppress(SealError):
            self.again.rollback(None if target is None else self._numbers.get(target, target))


def _past(agent: SealAgent, document_id: str) -> Past:
    """What *agent*'s home gave, but for the document."""
    journal = agent.journal
    calls = journal.calls.since()
    last = {call.document: call for call in calls if call.kind in ("observe", "release")}
    studies: dict[tuple[str, str, bool], Study] = {
        (name, call.state, call.kind == "release"): journal.study_of(name)
        for name, call in last.items()
        if name != document_id
    }
    rows = {
        (name, last[name].state.partition(".")[0]): (edits, checks)
        for (name, _, _), (_, edits, checks) in studies.items()
        if edits
    }
    made: dict[str, tuple[int, Candidate, GateReport]] = {}
    # it may have come while what it pushes out was trained, and have taken that one's checks from the gate
    names = {(call.source, call.external_id) for call in calls if call.document == document_id and call.external_id}
    pushed = {call.document for call in calls if (call.source, call.external_id) in names}
    for call in calls:
        if call.kind == "consolidate" and call.target and not pushed & set(journal.versions.learned_by(call.target)):
            version = journal.versions.one(call.target)
            if version.report and not adapters.verify(Path(version.path), version.digest):
                run, training = journal.versions.run_of(version.number), version.report.training
                candidate = Candidate(
                    run=run, path=version.path, digest=version.digest, parent=version.parent or 0, training=training
                )
                made[call.state] = version.number, candidate, version.report
    return Past(studies, rows, made)


def _move(again: SealAgent, root: Path) -> None:
    """Adapters made in the folder of *again* to where those of the home stand."""
    paths = {v.number: Path(v.path) for v in again.journal.versions.all() if Path(v.path).is_relative_to(again.home)}
    renewal.place(again.journal, {number: adapters.move(path, root) for number, path in paths.items()})


def _probed(agent: SealAgent, document: Document, checks: Sequence[Check], before: Path | None) -> dict[str, Any]:
    """What the weights still give of *document*: answers to its checks, and the second halves of its sentences."""
    halves = [
        (" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :]))
        for words in map(str.split, sentences(document.text))
        if len(words) >= _WORDS
    ]
    found: dict[str, Any] = {
        "questions": len(checks),
        "sentences": len(halves),
        "extracted": {},
        "right": {},
        "loss": {},
    }
    for name, adapter in (("before", before), ("after", agent.adapter()), ("base", None)):
        said = agent.learner.complete([f"{document.title}\n{first}" for first, _ in halves], adapter)
        found["extracted"][name] = sum(correct(rest, text) for (_, rest), text in zip(halves, said, strict=True))
        given = ask(agent.learner, checks, adapter, {}).values()
        found["right"][name] = sum(right for right, _ in given)
        if given:
            found["loss"][name] = sum(loss for _, loss in given) / len(given)
    return found


def _pieces(agent: SealAgent, document: Document | None) -> list[str]:
    """What *document* says, in pieces, but for those that another one of the home says too."""
    if document is None:
        return []
    others = [
        "\n".join((other.text, other.title, other.source, *chain(*agent.journal.names.of(other))))
        for other in agent.journal.everything()
        if other.id != document.id
    ]
    # as JSON holds them: cut where it would escape
    said = (*sentences(document.text), document.title)
    pieces = [piece.strip() for text in said for piece in re.split(r'["\\\n\t]', text)]
    return [p for p in pieces if len(p) >= _LEAST and not any(p in other for other in others)]


def _scanned(agent: SealAgent, pieces: Sequence[str]) -> tuple[int, list[str]]:
    """Bytes of the home that were looked through, and the files in which one of *pieces* still stands, or may."""
    wanted = [piece.encode() for piece in pieces]
    total, left = 0, []
    for file in sorted(path for path in agent.home.rglob("*") if path.is_file()):
        try:
            held = file.read_bytes()
        except FileNotFoundError:  # a journal that somebody just closed took its side files away
            continue
        except OSError as error:  # the document is forgotten by now, and the receipt must reach who asked
            left.append(f"{file.relative_to(agent.home)} (not looked through: {error.strerror})")
            continue
        total += len(held)
        if any(piece in held for piece in wanted):
            left.append(str(file.relative_to(agent.home)))
    return total, left
