"""
Documents and decisions, and every step that goes through several tables; what waits, what is remembered, checks, names, versions
and calls have files of their own.

Promises: when a method returns, what it did is on disk; after `kill -9` at any instant each step happened
whole or not at all; nothing waits that comes from a held or superseded document.
Does not promise: speed if a caller does model work inside a transaction; protection from someone who edits
the file by hand: `verify` notices a changed event, not a shortened log.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from seal_agent.errors import SealError
from seal_agent.journal.buffer import Buffer
from seal_agent.journal.calls import Calls
from seal_agent.journal.checks import Checks
from seal_agent.journal.crash import crashpoint
from seal_agent.journal.database import Database, dumped
from seal_agent.journal.memories import Memories, Vectored
from seal_agent.journal.names import Names
from seal_agent.journal.tries import Tries
from seal_agent.journal.versions import Versions
from seal_agent.records import (
    Action,
    Candidate,
    Check,
    Decision,
    Document,
    GateReport,
    Memory,
    Receipt,
    Record,
    SelfEdit,
    Version,
    content_id,
)

STATE_OF: dict[Action, str] = {"edit": "edited", "skip": "skipped", "hold": "held"}
LEGAL = {
    "claimed edits belong to an open run": "SELECT e.id FROM edits e JOIN runs r USING (fence) WHERE r.state != 'open'",
    "waiting edits belong to a document worth learning": "SELECT e.id FROM edits e JOIN documents d ON d.id = e.document"
    " WHERE e.state IN ('waiting', 'claimed') AND d.state != 'edited'",
    "a document's state follows from its decision": "SELECT id FROM documents WHERE state NOT IN ('superseded', 'released')"
    " AND (action, state) NOT IN (VALUES ('edit', 'edited'), ('skip', 'skipped'), ('hold', 'held'))",
    "every current document is attested": "SELECT id FROM current_documents WHERE id NOT IN (SELECT document FROM attestations)",
    "every parent is a version": "SELECT number FROM versions WHERE parent != 0 AND parent NOT IN (SELECT number FROM versions)",
    "every version's run is settled": "SELECT v.number FROM versions v JOIN runs r USING (fence) WHERE r.state != 'settled'",
    "memories are learned by an accepted version": "SELECT id FROM memories WHERE version != 0"
    " AND version NOT IN (SELECT number FROM versions WHERE status IN ('live', 'retired', 'broken'))",
}
"""What must hold in every journal: the claim, and a query for the rows that break it."""

Study = tuple[Decision, Sequence[SelfEdit], Sequence[Check]]
"""What became of a document: the decision, the rows written from it, its checks."""


class Journal:
    """One home's journal. Threads may share it; any number of processes may read, and writers take turns."""

    def __init__(self, home: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.home = Path(home)
        self._db = Database(self.home, clock)
        self._states: dict[str, str] = {}
        self.calls, self.names, self.tries = Calls(self._db), Names(self._db), Tries(self._db)
        self.versions = Versions(self._db, self.home, self.calls)
        self.memories, self.checks = Memories(self._db, self.versions), Checks(self._db)
        self.buffer = Buffer(self._db, self.home, self.calls, self.memories)
        # what the file can do by itself
        self.transaction, self.event, self.events = self._db.transaction, self._db.event, self._db.events

    def close(self) -> None:
        """Close the file. Nothing is lost by not calling it."""
        self._db.close()

    @property
    def closed(self) -> bool:
        """Was it closed, or its file taken away?"""
        return self._db.closed or self._db.gone

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # Documents

    def record(
        self,
        document: Document,
        decision: Decision,
        edits: Sequence[SelfEdit],
        checks: Sequence[Check],
        state: str = "",
        writer: int | None = None,
    ) -> Receipt:
        """
        Write down a document with all that follows from it in *state*, written by that version of the *writer*; a text known
        already is only attested.
        """
        crashpoint("record.begin")
        with self.transaction():
            if known := self.attest(document):
                return known
            self._db.write(
                "INSERT INTO documents"
                " (id, text, title, source, external_id, action, decision, state, arrived)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                document.id,
                document.text,
                document.title,
                document.source,
                document.external_id,
                decision.action,
                _dump(decision),
                STATE_OF[decision.action],
                self._db.clock(),
            )
            crashpoint("record.document")
            self.names.say(document, STATE_OF[decision.action])
            crashpoint("record.attested")
            receipt = self._fill(document, decision, edits, checks)
            self.calls.note("observe", document, target=writer, state=state)
            self._told("document", receipt)
        crashpoint("record.committed")
        return receipt

    def attest(self, document: Document) -> Receipt | None:
        """Note under which name a known text was told again and return its receipt; None if the text is not known."""
        with self.transaction():
            known = self.receipt(document.id)
            if known is None:
                return None
            changed = self.names.say(document, STATE_OF[known.decision.action])
            crashpoint("record.attested")
            # who reads the same files every night asks for nothing, with or without any other document
            if changed or self.calls.touched(document, self.names.of(document)):
                self.calls.note("attest", document)
            crashpoint("attest.counted")
            receipt = self.receipt(document.id)
        crashpoint("attest.committed")
        return receipt

    def redecide(
        self,
        document: Document,
        decision: Decision,
        edits: Sequence[SelfEdit],
        checks: Sequence[Check],
        state: str = "",
        writer: int | None = None,
    ) -> Receipt:
        """Replace the decision on a held or released document, and all that followed from it: see `record`."""
        with self.transaction():
            if (stands := self._state(document.id)) not in ("held", "released"):
                raise SealError(f"{document.id} is {stands}; only what is held is decided on again")
            self._db.write("DELETE FROM edits WHERE document = ?", document.id)
            self._db.write("DELETE FROM checks WHERE document = ?", document.id)
            crashpoint("redecide.cleared")
            self._db.write(
                "UPDATE documents SET action = ?, decision = ?, state = ? WHERE id = ?",
                decision.action,
                _dump(decision),
                STATE_OF[decision.action],
                document.id,
            )
            if decision.action != "hold":
                self.names.supersede(document.id)
            receipt = self._fill(document, decision, edits, checks)
            self.calls.note("release", document, target=writer, state=state)
            self._told("redecided", receipt)
        crashpoint("redecide.committed")
        return receipt

    def release(self, document_id: str) -> Document:
        """Let a held document go on: observe it again without screening, then `redecide`."""
        with self.transaction():
            state = self._state(document_id)
            if state not in ("held", "released"):
                aside = any(row == "aside" for _, row in self.buffer.of(document_id))
                then = "its rows were set aside: `seal-agent forget` it and read it again, and they wait once more"
                raise SealError(
                    f"{document_id} is {state}, not held; {then if aside else '`seal-agent quarantine` lists what is'}"
                )
            if state == "held":
                self._db.write("UPDATE documents SET state = 'released' WHERE id = ?", document_id)
                self.event("released", id=document_id)
        crashpoint("release.committed")
        return cast(Document, self.document(document_id))

    def document(self, document_id: str) -> Document | None:
        """The document as it first came, superseded or not."""
        rows = self._db.read("SELECT text, title, source, external_id FROM documents WHERE id = ?", document_id)
        return _document(rows[0]) if rows else None

    def documents(self, action: Action | None = None) -> list[Document]:
        """Documents that are not superseded, in order of arrival; with *action*, those so decided."""
        rows = self._db.read(
            "SELECT text, title, source, external_id FROM current_documents"
            " WHERE ?1 IS NULL OR action = ?1 ORDER BY seq",
            action,
        )
        return [_document(row) for row in rows]

    def forgotten(self) -> set[str]:
        """Ids of all documents that were ever forgotten."""
        return {row[0] for row in self._db.read("SELECT data ->> 'id' FROM events WHERE kind = 'forgotten'")}

    def recalled(self, document_id: str) -> bool:
        """Was this text ever noted as one that is nothing but what was remembered? That outlives what it was remembered from."""
        asked = "SELECT EXISTS (SELECT 1 FROM events WHERE kind = 'recalled' AND data ->> 'id' = ?)"
        return bool(self._db.number(asked, document_id))

    def everything(self) -> list[Document]:
        """Every document of the home, superseded ones too."""
        rows = self._db.read("SELECT text, title, source, external_id FROM documents ORDER BY seq")
        return [_document(row) for row in rows]

    def receipt(self, document_id: str) -> Receipt | None:
        """What became of a document, as last decided."""
        rows = self._db.read(
            "SELECT decision, title, (SELECT count(*) FROM attestations WHERE document = d.id),"
            " (SELECT count(*) FROM edits e WHERE document = d.id AND e.state != 'refused' AND reserved = 0),"
            " (SELECT count(*) FROM edits e WHERE document = d.id AND e.state = 'refused')"
            " FROM documents d WHERE id = ?",
            document_id,
        )
        for decision, title, attestations, edits, refused in rows:
            return Receipt(
                id=document_id,
                decision=Decision.model_validate(json.loads(decision)),
                edits=edits,
                refused=refused,
                title=title,
                attestations=attestations,
            )
        return None

    def study_of(self, document_id: str) -> Study:
        """The last decision on a document with every row and check that came of it, superseded or not."""
        decision = self._db.read("SELECT decision FROM documents WHERE id = ?", document_id)[0][0]
        edits = [edit for edit, _ in self.buffer.of(document_id)]
        return Decision.model_validate(json.loads(decision)), edits, self.checks.written_of(document_id)

    def quarantine(self) -> list[Receipt]:
        """Receipts of what is held (their decisions say why) or was released but not yet decided on again."""
        rows = self._db.read("SELECT id FROM documents WHERE state IN ('held', 'released') ORDER BY seq")
        return [receipt for row in rows if (receipt := self.receipt(row[0]))]

    def learned_documents(self) -> list[str]:
        """Ids of the documents that the live version and its ancestors learned, in order of arrival."""
        rows = self._db.read("SELECT id FROM documents WHERE id IN (SELECT document FROM learned) ORDER BY seq")
        return [row[0] for row in rows]

    def left(self, document_id: str) -> bool:
        """Was this document learned by a version that is not live any more, and by none that is or was its ancestor?"""
        return bool(
            self._db.number(
                "SELECT ?1 NOT IN (SELECT document FROM learned)"
                " AND EXISTS (SELECT 1 FROM edits WHERE document = ?1 AND state = 'learned')",
                document_id,
            )
        )

    def _state(self, document_id: str) -> str:
        rows = self._db.read("SELECT state FROM documents WHERE id = ?", document_id)
        if not rows:
            raise SealError(f"no document {document_id} in {self.home}; `seal-agent quarantine` lists what is held")
        return str(rows[0][0])

    def taught_by(self, document_ids: Sequence[str]) -> list[Memory]:
        """
        What the live version and its ancestors learned from these documents, whether they stand or not, and what is being
        learned of them now.
        """
        claimed = (edit.learned() for edit in self.buffer.claimed_of(document_ids))
        taught = (*self.memories.of(document_ids), *claimed)
        return list({memory.id: memory for memory in taught}.values())

    def _fill(
        self, document: Document, decision: Decision, edits: Sequence[SelfEdit], checks: Sequence[Check]
    ) -> Receipt:
        """The edits and checks that follow from a decision. Without the decision to edit, none is of use."""
        unwanted = "" if decision.action == "edit" else f"its document is decided {decision.action!r}"
        self.buffer.add(document, edits, unwanted)
        crashpoint("record.edits")
        if decision.action == "edit":
            self.checks.add(checks)
        crashpoint("record.checks")
        return cast(Receipt, self.receipt(document.id))

    def _told(self, kind: str, receipt: Receipt) -> None:
        numbers = {"edits": receipt.edits, "refused": receipt.refused}
        self.event(kind, id=receipt.id, action=receipt.decision.action, **numbers)

    # What decisions rest on

    def state(self) -> str:
        """What decisions rest on, as an id: the adapter that is live, and everything that is remembered."""
        stands = self.memories.fingerprint()
        # counted anew each time, it would take longer with every document of the home
        if known := self._states.get(stands):
            return known
        live = self._db.read("SELECT digest FROM versions WHERE status = 'live'")
        learned = self._db.read("SELECT id FROM current_memories WHERE kind = 'learned' ORDER BY seq")
        state = content_id("s", live[0][0] if live else "", *(row[0] for row in learned))
        if self.memories.fingerprint() == stands:  # and no other process changed it between the looks
            self._states[stands] = state
        return state

    def state_for(self, document: Document) -> str:
        """What a decision on *document*, and the rows written of it, rest on: also what its names have said until now."""
        before = self.names.told_before(document)
        if not before:
            return self.state()
        rows = [memory.id for memory in self.taught_by(before)]
        return content_id("s", self.state(), *before, *self.names.superseded_by(document), *rows)

    # Publishing

    def publish(
        self,
        candidate: Candidate,
        report: GateReport,
        run: str,
        fence: int,
        memories: Sequence[Vectored] = (),
        embedder: str = "",
        *,
        state: str = "",
        number: int | None = None,
    ) -> Version:
        """
        Give *candidate* its number and place: live if the report accepts it, else kept for inspection.

        It learned in *state*; a *number* is given to a version that had it before and lives through its home again.
        """
        crashpoint("publish.begin")
        with self.transaction():
            self.buffer.assert_turn(run, fence)
            number = self.versions.add(candidate, report, fence, number)
            crashpoint("publish.version")
            outcome = report.outcome
            self.buffer.settle(run, fence, outcome=outcome, version=number, memories=memories, embedder=embedder)
            self.calls.end(fence, number, state)
            self.event("version", number=number, run=run, outcome=outcome, digest=candidate.digest)
        crashpoint("publish.committed")
        return self.versions.one(number)

    # The whole

    def verify(self) -> list[str]:
        """Every problem found in the file, the event chain and the states; an empty list means sound."""
        with self._db.guard:
            try:
                problems = [str(row[0]) for row in self._db.read("PRAGMA integrity_check") if row[0] != "ok"]
            except SealError as error:
                problems = [str(error)]
            if problems:
                return problems  # what else is read of damaged pages may be wrong
            dangling = self._db.read("PRAGMA foreign_key_check")
            problems += [f"row {row[1]} of {row[0]} points nowhere" for row in dangling]
            problems += self._db.broken_links()
            for claim, query in LEGAL.items():
                if rows := self._db.read(query):
                    problems.append(f"not so: {claim}; {len(rows)} rows, first {rows[0][0]}")
        return problems

    def meta(self, key: str) -> str | None:
        """A fact about the home, such as the base's fingerprint; None if it was never set."""
        rows = self._db.read("SELECT value FROM meta WHERE key = ?", key)
        return str(rows[0][0]) if rows else None

    def set_meta(self, key: str, value: str) -> None:
        """Set a fact about the home."""
        with self.transaction():
            self._db.write(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                key,
                value,
            )

    def counts(self) -> dict[str, Any]:
        """The numbers of `status`. Superseded documents are in the total only."""
        with self._db.guard:
            by_state = dict(self._db.read("SELECT state, count(*) FROM documents GROUP BY state"))
            return {
                "documents": {
                    "total": sum(by_state.values()),
                    "edited": by_state.get("edited", 0),
                    "skipped": by_state.get("skipped", 0),
                    "held": by_state.get("held", 0) + by_state.get("released", 0),
                },
                # what a run has claimed that goes on, or was cut short, is not learned yet
                "waiting": self._db.number("SELECT count(*) FROM edits WHERE state IN ('waiting', 'claimed')"),
                "aside": self._db.number("SELECT count(*) FROM edits WHERE state = 'aside'"),
                "live": self.versions.live_number(),
                "versions": self._db.number("SELECT count(*) FROM versions"),
                "memories": self.memories.count(),
            }


def _dump(record: Record) -> str:
    return dumped(record.model_dump())


def _document(row: tuple[Any, ...]) -> Document:
    return Document(text=row[0], title=row[1], source=row[2], external_id=row[3])
