"""
The file under the journal: transactions that nest, rows in and out, and a chain of events.

Promises: a transaction is on disk when it ends, whole or not at all; one that runs inside another undoes its own part only;
writing outside of one is a mistake that is noticed; a changed event is noticed by the events after it.
Does not promise: to know what the rows mean; that is the journal's.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seal_agent.errors import SealError
from seal_agent.journal.schema import connect


class Database:
    """One home's file. Threads may share it: *guard* is held while one of them is inside."""

    def __init__(self, home: Path, clock: Callable[[], float]) -> None:
        self.clock, self.guard = clock, threading.RLock()
        self._home = home
        self._depth = 0
        self.closed = False
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SealError(f"{home} cannot be a home: {error}") from error
        with _explained(home):
            self._file = connect(home / "seal.db")
        self._opened = _inode(home)

    def close(self) -> None:
        """Close the file."""
        with self.guard:
            self._file.close()
            self.closed = True

    @property
    def gone(self) -> bool:
        """Was the file removed, or another one put in its place? SQLite would go on writing into what nobody will open again."""
        return _inode(self._home) != self._opened

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Re-entrant: an inner one that fails undoes its own part only."""
        with self.guard, _explained(self._home):
            inner = f"step{self._depth}"
            begin, commit, undo = ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
            if self._depth:
                begin, commit, undo = (f"SAVEPOINT {inner}", f"RELEASE {inner}", f"ROLLBACK TO {inner}")
            depth = self._depth
            if not (depth or self.closed) and self.gone:
                raise SealError(f"{self._home} was removed or replaced; open it again with seal_agent.open")
            try:
                self._file.execute(begin)  # Ctrl-C while this waits is raised when it has begun
                self._depth += 1
                yield
                self._file.execute(commit)
            except BaseException:
                # SQLite rolls back by itself when the disk is full; of a step that was not begun there is nothing to undo
                if self._file.in_transaction and (self._depth > depth or not depth):
                    self._file.execute(undo)
                raise
            finally:
                self._depth = depth

    def read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self.guard, _explained(self._home):
            return self._file.execute(sql, values).fetchall()

    def number(self, sql: str, *values: Any) -> int:
        """The one number that a query gives."""
        return int(self.read(sql, *values)[0][0])

    def write(self, sql: str, *values: Any) -> int:
        """Change rows, inside a transaction; how many."""
        assert self._depth, "writes belong in a transaction"
        return self._file.execute(sql, values).rowcount

    def insert(self, sql: str, *values: Any) -> int:
        """Add a row, inside a transaction; its number."""
        assert self._depth, "writes belong in a transaction"
        return self._file.execute(sql, values).lastrowid or 0

    @contextmanager
    def beside(self, file: Path) -> Iterator[None]:
        """Another journal's tables as `other.`, beside this one's as `main.`."""
        with self.guard:
            self.alone("ATTACH ? AS other", str(file))
            try:
                yield
            finally:
                self.alone("DETACH other")

    def alone(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What SQLite does only outside of transactions."""
        with self.guard:  # another thread's transaction is waited for
            assert not self._depth, "this is no part of a transaction"
            return self.read(sql, *values)

    def now(self) -> str:
        """The clock's time, ISO 8601 in UTC."""
        return datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="milliseconds")

    def event(self, kind: str, **data: Any) -> None:
        """Write down that something happened. No text of a document: events outlive what is forgotten."""
        with self.transaction():
            last = self.read("SELECT hash FROM events ORDER BY seq DESC LIMIT 1")
            previous, created, said = last[0][0] if last else "", self.now(), dumped(data)
            self.write(
                "INSERT INTO events (created, kind, data, previous, hash) VALUES (?, ?, ?, ?, ?)",
                created,
                kind,
                said,
                previous,
                _link(previous, created, kind, said),
            )

    def events(self, limit: int = 100) -> list[dict[str, Any]]:
        """The last *limit* events, oldest first: seq, created, kind, data."""
        rows = self.read("SELECT seq, created, kind, data FROM events ORDER BY seq DESC LIMIT ?", limit)
        return [
            {"seq": seq, "created": created, "kind": kind, "data": json.loads(data)}
            for seq, created, kind, data in reversed(rows)
        ]

    def broken_links(self) -> list[str]:
        """The first event that is not what was written, if there is one."""
        previous = ""
        for seq, created, kind, data, before, stored in self.read(
            "SELECT seq, created, kind, data, previous, hash FROM events ORDER BY seq"
        ):
            if before != previous or stored != _link(previous, created, kind, data):
                return [f"event {seq} ({kind}) is not what was written"]
            previous = stored
        return []


def dumped(data: Any) -> str:
    """*data* as JSON, its keys in order: the same data is the same text."""
    return json.dumps(data, sort_keys=True, ensure_ascii=False, default=str)


def _inode(home: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(home / "seal.db")
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _explained(home: Path) -> Iterator[None]:
    """What SQLite and the file system complain about, as an error for people."""
    try:
        yield
    except sqlite3.ProgrammingError as error:
        if "closed" not in str(error):
            raise  # a mistake of ours
        raise SealError(f"{home} was closed; open it again with seal_agent.open") from error
    except sqlite3.OperationalError as error:  # busy, full, not to be opened or written: nothing a check would find
        if home.is_dir() and not os.access(home, os.W_OK):
            raise SealError(f"{home} cannot be written; who asks must be able to write there, too") from error
        raise SealError(f"the journal of {home} refused: {error}; try again once that is mended") from error
    except sqlite3.IntegrityError as error:
        raise SealError(f"the journal of {home} refused: {error}; `seal-agent verify` tells more") from error
    except sqlite3.Error as error:
        raise SealError(
            f"the journal of {home} is damaged: {error}; put a copy in its place, or start a new home"
        ) from error
    except UnicodeEncodeError as error:
        raise SealError(f"this text is not valid Unicode ({error.reason}); clean it first") from error


def _link(previous: str, created: str, kind: str, data: str) -> str:
    return hashlib.sha256(json.dumps([previous, created, kind, data]).encode()).hexdigest()
