"""
What the home has been able to do: its numbered versions, which one is live, and how one goes back.

Promises: at most one version is live; only what was accepted and is sound can be; what a version learned is told by its lineage.
Does not promise: that the folder of a version is whole, which `adapters` tells.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from seal_agent.errors import SealError
from seal_agent.journal.calls import Calls
from seal_agent.journal.crash import crashpoint
from seal_agent.journal.database import Database, dumped
from seal_agent.records import Candidate, GateReport, Version, content_id

_TOO_LARGE = 2**63  # for a number of the table


class Versions:
    """The versions of one journal."""

    def __init__(self, database: Database, home: Path, calls: Calls) -> None:
        self._db, self._home, self._calls = database, home, calls

    def all(self) -> list[Version]:
        """Every numbered version, oldest first; the base is not among them."""
        return self._versions("1")

    def one(self, number: int) -> Version:
        """Version *number*; 0 is the untouched base. SealError if there is none."""
        if _whole(number) == 0:
            status: Literal["retired", "live"] = "retired" if self.live_number() else "live"
            return Version(number=0, id=content_id("v", "base"), parent=None, status=status, created="")
        found = self._versions("number = ?", number) if abs(number) < _TOO_LARGE else []
        if not found:
            raise SealError(f"there is no version {number} in {self._home}; `seal-agent versions` lists them")
        return found[0]

    def made(self) -> list[tuple[int, str, str]]:
        """Number, id and path of every version, oldest first: `all` without the reports, which are long."""
        rows = self._db.read("SELECT number, id, path FROM versions ORDER BY number")
        return [(number, key, str(self._home / path)) for number, key, path in rows]

    def judged(self) -> int:
        """How many candidates were ever judged, those that are gone since included."""
        return self._db.number("SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'versions'")

    def live(self) -> Version | None:
        """The version that answers; None when that is the untouched base."""
        found = self._versions("status = 'live'")
        return found[0] if found else None

    def live_number(self) -> int:
        """The live version's number; 0 is the untouched base."""
        return self._db.number("SELECT ifnull(max(number), 0) FROM versions WHERE status = 'live'")

    def standing(self) -> str:
        """What versions there are and which of them is live, as an id."""
        rows = self._db.read("SELECT number, status, digest FROM versions ORDER BY number")
        return content_id("v", *(f"{number} {status} {digest}" for number, status, digest in rows))

    def lost(self) -> dict[int, list[str]]:
        """By broken version that was live once: the documents it learned that stand and that the live line has not learned."""
        rows = self._db.read(
            "SELECT DISTINCT number, document FROM versions JOIN lessons USING (fence)"
            " JOIN current_documents ON current_documents.id = document"
            " WHERE versions.status = 'broken' AND report ->> 'outcome' = 'accepted'"
            " AND document NOT IN (SELECT document FROM learned) ORDER BY number, current_documents.seq"
        )
        found: dict[int, list[str]] = {}
        for number, document in rows:
            found.setdefault(number, []).append(document)
        return found

    def line(self) -> list[Version]:
        """The sound versions from the first to the live one, oldest first; the base is not among them."""
        return self._versions("number IN (SELECT number FROM ancestry) AND status IN ('live', 'retired')")

    def learned_by(self, number: int) -> list[str]:
        """Ids of the documents that version *number* learned."""
        rows = self._db.read(
            "SELECT DISTINCT document FROM lessons JOIN versions USING (fence) WHERE number = ? ORDER BY document",
            number,
        )
        return [row[0] for row in rows]

    def run_of(self, number: int) -> str:
        """The id of the run that made version *number*."""
        return str(self._db.read("SELECT run FROM runs JOIN versions USING (fence) WHERE number = ?", number)[0][0])

    def made_by(self, run: str) -> Version | None:
        """The version that *run* made; None if it made none."""
        found = self._versions("fence IN (SELECT fence FROM runs WHERE run = ?)", run)
        return found[0] if found else None

    def add(self, candidate: Candidate, report: GateReport, fence: int, number: int | None) -> int:
        """Give *candidate* a *number*, the next by default, and its place: live if *report* accepts it."""
        status: str = report.outcome
        if status == "accepted":
            self._assert_parent(candidate)
            self._db.write("UPDATE versions SET status = 'retired' WHERE status = 'live'")
            crashpoint("publish.retired")
            status = "live"
        return self._db.insert(
            "INSERT INTO versions (number, id, parent, status, created, digest, path, report, training, fence)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            number,
            # from content alone: a run that died before this one must not make it another version
            content_id("v", candidate.run, candidate.digest),
            candidate.parent,
            status,
            self._db.now(),
            candidate.digest,
            self.inside(candidate.path),
            dumped(report.model_dump()),
            dumped(candidate.training),
            fence,
        )

    def rollback(self, to: int | None = None) -> int:
        """Make an accepted version live, 0 for the base; by default the live one's nearest sound ancestor."""
        crashpoint("rollback.begin")
        with self._db.transaction():
            live, target = self.live_number(), self.returns_to(to).number
            self._calls.note("rollback", target=to)
            if target != live:
                self._go_live(target)
                self._db.event("rollback", left=live, to=target)
        crashpoint("rollback.committed")
        return target

    def returns_to(self, to: int | None = None) -> Version:
        """The version that `rollback` would make live; 0 is the base."""
        live = self.live_number()
        if to is None and live == 0:
            raise SealError("nothing to roll back: the untouched base is live; name a version")
        target = self._sound_parent(live) if to is None else _whole(to)
        self._assert_returnable(target, live)
        return self.one(target)

    def mark_broken(self, number: int, reason: str) -> int:
        """Never serve version *number* again; if it was live, its nearest sound ancestor is now."""
        with self._db.transaction():
            version = self.one(number)
            if number == 0:
                raise SealError("version 0 is the untouched base; check the model's files instead")
            if version.status != "broken":
                self._db.write("UPDATE versions SET status = 'broken' WHERE number = ?", number)
                crashpoint("broken.marked")
                if version.status == "live":
                    self._go_live(self._sound_parent(number))
                self._db.event("broken", number=number, reason=reason, live=self.live_number())
            live = self.live_number()
        crashpoint("broken.committed")
        return live

    def inside(self, path: str | Path) -> str:
        """*path* as it is written down: from the home on, so that a home can be moved."""
        return str(Path(path).relative_to(self._home) if Path(path).is_relative_to(self._home) else path)

    def _go_live(self, target: int) -> None:
        self._db.write("UPDATE versions SET status = 'retired' WHERE status = 'live'")
        crashpoint("rollback.retired")
        self._db.write("UPDATE versions SET status = 'live' WHERE number = ?", target)
        crashpoint("rollback.live")

    def _sound_parent(self, number: int) -> int:
        """The nearest ancestor that can be served."""
        while number:
            number = self._db.number("SELECT parent FROM versions WHERE number = ?", number)
            if number == 0 or self.one(number).status == "retired":
                break
        return number

    def _assert_returnable(self, target: int, live: int) -> None:
        rows = self._db.read("SELECT number FROM versions WHERE status IN ('live', 'retired') ORDER BY number")
        possible = [0, *(row[0] for row in rows)]
        if target not in possible:
            known = [row.status for row in self._versions("number = ?", target)] if abs(target) < _TOO_LARGE else []
            told = "; `seal-agent verify` tells what it knew" if known == ["broken"] else ""
            what = f"version {target} is {known[0]}{told}" if known else f"there is no version {target}"
            others = ", ".join(str(number) for number in possible if number != live) or "none"
            raise SealError(f"cannot roll back: {what}; possible: {others}")

    def _assert_parent(self, candidate: Candidate) -> None:
        if candidate.parent != (live := self.live_number()):
            raise SealError(
                f"run {candidate.run} was judged against version {candidate.parent}, but {live} is live"
                " now; consolidate again"
            )

    def _versions(self, where: str, *values: Any) -> list[Version]:
        rows = self._db.read(
            "SELECT number, id, parent, status, created, digest, path, report FROM versions"
            f" WHERE {where} ORDER BY number",
            *values,
        )
        return [
            Version(
                number=number,
                id=key,
                parent=parent,
                status=status,
                created=created,
                digest=digest,
                path=str(self._home / path),
                report=GateReport.model_validate(json.loads(report)),
            )
            for number, key, parent, status, created, digest, path, report in rows
        ]


def _whole(number: object) -> int:
    """*number* as it is. SealError if it is none: Python would say of "base" only that it has no absolute value."""
    if not isinstance(number, int):
        raise SealError(f"{number!r:.80} is no version; give a number, 0 is the base")
    return number
