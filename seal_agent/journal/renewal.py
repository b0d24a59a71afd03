"""
One journal takes the place of another: how a home forgets without ever being half of the old and half of the new.

Promises: the second journal begins with what the first knew before anyone called; it takes the first one's place in one
transaction, and only if nothing was asked of the first meanwhile; what was there before is overwritten on disk. A writers'
journal is not renewed: it lets go of what is of one document.
Does not promise: that other files are clean, or that nobody copied this one. Events stay: they hold ids and numbers only.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from seal_agent.errors import SealError
from seal_agent.journal.crash import crashpoint
from seal_agent.journal.store import Journal
from seal_agent.records import Version

_RENEWED = ("documents", "attestations", "runs", "edits", "lessons", "versions", "memories", "checks", "meta", "calls")
_DATES = (("documents", "arrived", "id"), ("edits", "arrived", "id"), ("versions", "created", "number"))
_UNCLEAN = "old pages may still be in the file"


def begin(journal: Journal, home: Path) -> Journal:
    """A journal in *home* that knows what *journal* knew of the base, and gives new versions numbers never used before."""
    begun = Journal(home)
    db = begun._db
    with db.beside(journal.home / "seal.db"), db.transaction():
        db.write("INSERT INTO main.meta SELECT * FROM other.meta")
        for table in ("memories", "checks"):
            db.write(f"INSERT INTO main.{table} SELECT * FROM other.{table} WHERE document IS NULL")
        db.write("DELETE FROM main.sqlite_sequence WHERE name = 'versions'")
        db.write("INSERT INTO main.sqlite_sequence SELECT * FROM other.sqlite_sequence WHERE name = 'versions'")
    return begun


def place(journal: Journal, paths: Mapping[int, Path]) -> None:
    """Where the adapters of versions, by number, stand from now on."""
    with journal.transaction():
        for number, path in paths.items():
            journal._db.write("UPDATE versions SET path = ? WHERE number = ?", journal.versions.inside(path), number)


def take_over(journal: Journal, renewed: Journal, seen: int, forgotten: str) -> bool:
    """Put *renewed* in the place of *journal*, whose last call must be number *seen*; False, and nothing done, if not."""
    db, paths = journal._db, {version.number: Path(version.path) for version in renewed.versions.all()}
    with db.beside(renewed.home / "seal.db"), db.transaction():
        if db.number("SELECT ifnull(max(seq), 0) FROM main.calls") != seen:
            return False
        for table, column, key in _DATES:  # what is taken over is as old as it was
            db.write(
                f"UPDATE other.{table} AS new SET {column} = was.{column} FROM main.{table} AS was WHERE was.{key} = new.{key}"
            )
        db.write("PRAGMA defer_foreign_keys = ON")
        for table in reversed(_RENEWED):
            db.write(f"DELETE FROM main.{table}")
        crashpoint("renew.cleared")
        for table in _RENEWED:
            db.write(f"INSERT INTO main.{table} SELECT * FROM other.{table}")
        crashpoint("renew.filled")
        place(journal, paths)
        journal.set_meta(_UNCLEAN, "1")
        journal.event("forgotten", id=forgotten)
    crashpoint("renew.committed")
    return True


def clean(journal: Journal) -> bool:
    """Overwrite on disk what a renewal left behind, if anything; False while others read or write the old pages."""
    if not unclean(journal):
        return True
    db, busy = journal._db, 1
    with suppress(SealError):  # the file is locked: the next one who comes by cleans it
        db.alone("VACUUM")
        crashpoint("renew.vacuumed")
        ((busy, *_),) = db.alone("PRAGMA wal_checkpoint(TRUNCATE)")
    if not busy:
        with db.transaction():
            db.write("DELETE FROM meta WHERE key = ?", _UNCLEAN)
    return not busy


def practised(line: Journal) -> set[str]:
    """Ids of the documents that the writers of *line* practised on."""
    return line.tries.documents().union(*(_learned(v) or () for v in line.versions.all() if Path(v.path).exists()))


def unpractise(line: Journal, document: str, pieces: Sequence[str]) -> tuple[int, list[int]]:
    """
    Drop what was tried of *document*, or holds one of the *pieces* of its text, and break and remove the writers that learned
    from it, or from one that did: how many tries, and their numbers. A writer that does not say what it learned from is treated
    as one that learned from it.
    """
    gone: dict[int, Path] = {}
    for version in line.versions.all():  # parents come first
        learned = _learned(version)
        if learned is None or document in learned or version.parent in gone:
            gone[version.number] = Path(version.path)
    with line.transaction():
        tries = line.tries.drop(document, pieces)
        for number in gone:
            line.versions.mark_broken(number, f"{document}, which it learned from, was forgotten")
        line.set_meta(_UNCLEAN, "1")
    crashpoint("renew.unpractised")
    for folder in reversed(gone.values()):  # the eldest last: as long as it is there, the document is known here
        if folder.exists():
            shutil.rmtree(folder)
    clean(line)
    return tries, list(gone)


def _learned(version: Version) -> list[str] | None:
    """Ids of the documents that a version of the writer was tuned on; None if it does not say."""
    return version.report.training.get("documents") if version.report else None


def unclean(journal: Journal) -> bool:
    """May what was forgotten still stand in the journal's old pages?"""
    return journal.meta(_UNCLEAN) is not None
