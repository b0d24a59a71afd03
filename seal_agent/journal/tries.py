"""
What practising tried, kept under what it rests on: nothing is tried twice.

Promises: each row names the document it is of, and goes when that one is forgotten.
Does not promise: anything that could not be had again by trying it once more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from seal_agent.journal.database import Database, dumped


class Tries:
    """The tries of one journal: a writer's."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def kept(self, key: str) -> Any:
        """What was kept under *key*, as JSON gives it back; None if nothing was."""
        rows = self._db.read("SELECT said FROM tries WHERE key = ?", key)
        return json.loads(rows[0][0]) if rows else None

    def keep(self, key: str, document: str, said: Any) -> None:
        """Keep *said*, which came of trying *document*, under *key*."""
        with self._db.transaction():
            self._db.write("INSERT OR REPLACE INTO tries VALUES (?, ?, ?)", key, document, dumped(said))

    def documents(self) -> set[str]:
        """Ids of the documents that something was tried of."""
        return {row[0] for row in self._db.read("SELECT DISTINCT document FROM tries")}

    def drop(self, document: str, pieces: Sequence[str] = ()) -> int:
        """Keep nothing of *document*, nor what holds one of these *pieces* of its text; how many rows went."""
        return self._db.write(
            "DELETE FROM tries WHERE document = ? OR EXISTS (SELECT 1 FROM json_each(?) AS piece"
            " WHERE instr(said, piece.value))",
            document,
            dumped(list(pieces)),
        )
