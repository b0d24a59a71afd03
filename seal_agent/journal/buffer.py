"""
The durable buffer: rows that wait to be trained on, and the runs that take them.

Promises: a row waits, is claimed by one run, and is learned, waits once more, or is set aside with the reason; the newest run has
the turn, and what an older one would still settle is refused; what a process that died had claimed waits again.
Does not promise: to know whether a process died. Who holds the home's lock knows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seal_agent.errors import SealError
from seal_agent.journal.calls import Calls
from seal_agent.journal.crash import crashpoint
from seal_agent.journal.database import Database, dumped
from seal_agent.journal.lock import HomeLock
from seal_agent.journal.memories import Memories, Vectored
from seal_agent.records import Document, Outcome, SelfEdit

RETRIES = 1  # verdicts against an edit after which it is tried once more; the next one sets it aside
FAILURES = 3  # broken trainings after which an edit is set aside: it may be the one that breaks them


class Buffer:
    """The buffer of one journal."""

    def __init__(self, database: Database, home: Path, calls: Calls, memories: Memories) -> None:
        self._db, self._home, self._calls, self._memories = database, home, calls, memories
        self._running: int | None = None  # the fence of our own run, which no sweep of ours may end

    def add(self, document: Document, edits: Sequence[SelfEdit], unwanted: str = "") -> None:
        """Rows written from *document*: they wait, or are kept as refused or reserved; all refused if they are *unwanted*."""
        key = document.id  # which hashes the text: once, not for each row while everybody waits for the journal
        for edit in edits:
            if edit.document != key:
                raise SealError(f"edit {edit.id} names document {edit.document!r}, not {key}")
            refused = edit.refused or unwanted
            state = "refused" if refused else "reserved" if edit.reserved else "waiting"
            self._db.write(
                "INSERT OR IGNORE INTO edits (id, document, body, reserved, state, reason, arrived)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                edit.id,
                key,
                dumped(edit.model_dump()),
                edit.reserved,
                state,
                refused,
                self._db.clock(),
            )

    def waiting(self) -> list[SelfEdit]:
        """Proved rows that wait to be trained on, in order of arrival."""
        return self._edits("state = 'waiting'")

    def documents(self) -> list[str]:
        """Ids of the documents that rows wait of, in the order of the ids."""
        rows = self._db.read("SELECT DISTINCT document FROM edits WHERE state = 'waiting' ORDER BY document")
        return [row[0] for row in rows]

    def ids(self) -> list[str]:
        """Ids of the rows that wait, in their order."""
        return [row[0] for row in self._db.read("SELECT id FROM edits WHERE state = 'waiting' ORDER BY id")]

    def sentences(self) -> list[tuple[str, str, str]]:
        """(document, title, sentence) of what waits or is being trained on, in order of arrival: told, but not remembered yet."""
        rows = self._db.read(
            "SELECT document, body ->> 'title', body ->> 'completion' FROM edits"
            " WHERE state IN ('waiting', 'claimed') AND body ->> 'origin' = 'verbatim' ORDER BY seq"
        )
        return [(document, title, sentence) for document, title, sentence in rows]

    def count(self) -> int:
        """How many rows wait."""
        return self._db.number("SELECT count(*) FROM edits WHERE state = 'waiting'")

    def oldest_age(self) -> float | None:
        """Hours since the oldest waiting row arrived, or until, where the clock was set back; None if nothing waits."""
        oldest = self._db.read("SELECT min(arrived) FROM edits WHERE state = 'waiting'")[0][0]
        return None if oldest is None else abs(self._db.clock() - oldest) / 3600

    def attempts(self) -> dict[str, int]:
        """Verdicts against each row that waits or is claimed: above 0, it is trained in another way."""
        rows = self._db.read("SELECT id, attempts FROM edits WHERE state IN ('waiting', 'claimed') ORDER BY seq")
        return dict(rows)

    def aside(self) -> list[tuple[SelfEdit, str]]:
        """Rows set aside for inspection, and why."""
        rows = self._db.read("SELECT body, reason FROM edits WHERE state = 'aside' ORDER BY seq")
        return [(_edit(body), reason) for body, reason in rows]

    def of(self, document_id: str) -> list[tuple[SelfEdit, str]]:
        """All rows written from a document, each with its state."""
        rows = self._db.read("SELECT body, state FROM edits WHERE document = ? ORDER BY seq", document_id)
        return [(_edit(body), state) for body, state in rows]

    def claimed_of(self, document_ids: Sequence[str]) -> list[SelfEdit]:
        """Rows of these documents that are being trained on."""
        return self._edits(
            "state = 'claimed' AND document IN (SELECT value FROM json_each(?))", json.dumps(list(document_ids))
        )

    def claim(self, run: str) -> tuple[int, list[SelfEdit]]:
        """Give everything that waits to *run*. The fence proves later that no newer run took its turn."""
        crashpoint("claim.begin")
        with self._db.transaction():
            new_run = "INSERT INTO runs (run, state, started) VALUES (?, 'open', ?)"
            fence = self._db.insert(new_run, run, self._db.clock())
            self._calls.begin(fence)
            crashpoint("claim.run")
            self._db.write("UPDATE edits SET state = 'claimed', fence = ? WHERE state = 'waiting'", fence)
            self._db.write("INSERT INTO lessons SELECT fence, id, document FROM edits WHERE fence = ?", fence)
            crashpoint("claim.edits")
            edits = self._edits("fence = ?", fence)
            self._db.event("claimed", run=run, fence=fence, edits=len(edits))
        self._running = fence
        crashpoint("claim.committed")
        return fence, edits

    def settle(
        self,
        run: str,
        fence: int,
        *,
        outcome: Outcome,
        version: int,
        memories: Sequence[Vectored] = (),
        embedder: str = "",
    ) -> None:
        """End a run: its rows are learned, or wait once more, or are set aside. Memories only if accepted."""
        with self._db.transaction():
            self.assert_turn(run, fence)
            if outcome == "accepted":
                # those too that a newer text took out of the run, taken back since or not: they are in the weights
                self._db.write(
                    "UPDATE edits SET state = 'waiting' WHERE state = 'superseded' AND NOT reserved"
                    " AND id IN (SELECT edit FROM lessons WHERE fence = ?)",
                    fence,
                )
                self._db.write(
                    "UPDATE edits SET state = 'claimed', fence = ?1 WHERE state = 'waiting'"
                    " AND id IN (SELECT edit FROM lessons WHERE fence = ?1)",
                    fence,
                )
                self._db.write("UPDATE edits SET state = 'learned', reason = '', fence = NULL WHERE fence = ?", fence)
                self._memories.keep(memories, version, embedder)
                crashpoint("publish.memories")
            else:
                # without the checks of a text that was replaced meanwhile there may have been too few for the others
                excused = outcome == "undecided" and self._db.number(
                    "SELECT EXISTS (SELECT 1 FROM lessons JOIN documents ON id = document"
                    " WHERE lessons.fence = ? AND documents.state = 'superseded')",
                    fence,
                )
                self._db.write(
                    "UPDATE edits SET state = iif(attempts + ?1 <= ?2, 'waiting', 'aside'), attempts = attempts + ?1,"
                    " reason = ?3, fence = NULL WHERE fence = ?4",
                    0 if excused else 1,
                    RETRIES,
                    f"version {version} was {outcome}",
                    fence,
                )
            self._db.write("UPDATE runs SET state = 'settled' WHERE fence = ?", fence)
            crashpoint("publish.settled")

    def release(self, run: str, fence: int, reason: str = "training failed", state: str = "") -> None:
        """End a run whose training broke, as it found the home in *state*: its rows wait again, until they broke too many."""
        with self._db.transaction():
            self.assert_turn(run, fence)
            self._db.write(
                "UPDATE edits SET state = iif(failures + 1 < ?, 'waiting', 'aside'), failures = failures + 1,"
                " reason = ?, fence = NULL WHERE fence = ?",
                FAILURES,
                reason,
                fence,
            )
            crashpoint("failed.edits")
            self._calls.broke(fence, state)
            self._drop_run(fence)
            # an error may quote what it was about; the rows keep it, and go with their document
            self._db.event("failed", run=run, fence=fence, reason=reason.partition(":")[0])
        crashpoint("failed.committed")

    def abandon(self) -> None:
        """Our own run was cut short, if there was one: a sweep may end it too."""
        self._running = None

    def unfinished(self) -> bool:
        """Is there a run that has not ended? If nobody holds the home's lock, its process has died."""
        return bool(self._db.number("SELECT count(*) FROM runs WHERE state = 'open'"))

    def sweep(self, lock: HomeLock) -> int:
        """Let the rows of runs whose process died wait again; how many. The lock proves that they died."""
        if not lock.held or lock.home.resolve() != self._home.resolve():
            raise SealError(f"only the holder of the lock of {self._home} may end other runs")
        with self._db.transaction():
            dead = self._db.read(
                "SELECT fence, run FROM runs WHERE state = 'open' AND fence IS NOT ? ORDER BY fence",
                self._running,
            )
            freed = 0
            for fence, run in dead:
                free = "UPDATE edits SET state = 'waiting', fence = NULL WHERE fence = ?"
                freed += self._db.write(free, fence)
                crashpoint("sweep.edits")
                self._drop_run(fence)
                self._db.event("swept", run=run, fence=fence)
        if dead:
            crashpoint("sweep.committed")
        return freed

    def assert_turn(self, run: str, fence: int) -> None:
        """SealError unless *run*, under that fence, is the newest run and goes on."""
        newest = self._db.read("SELECT fence, run, state FROM runs ORDER BY fence DESC LIMIT 1")
        if newest != [(fence, run, "open")]:
            last = "; the last is {1} (fence {0}, {2})".format(*newest[0]) if newest else ""
            raise SealError(f"run {run} (fence {fence}) does not hold the turn{last}; consolidate again")

    def _drop_run(self, fence: int) -> None:
        # No version came of it, so nothing descends from what it read.
        self._db.write("DELETE FROM lessons WHERE fence = ?", fence)
        self._calls.drop(fence)
        self._db.write("UPDATE runs SET state = 'released' WHERE fence = ?", fence)

    def _edits(self, where: str, *values: Any) -> list[SelfEdit]:
        rows = self._db.read(f"SELECT body FROM edits WHERE {where} ORDER BY seq", *values)
        return [_edit(row[0]) for row in rows]


def _edit(body: str) -> SelfEdit:
    return SelfEdit.model_validate(json.loads(body))
