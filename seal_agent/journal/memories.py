"""
Memories: what may be rehearsed, and what the live version was taught.

Promises: what is superseded, or was learned by a version that is not of the live one's line, is not among them.
Does not promise: a vector for each; who asks for an embedder's gets those that it made.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from seal_agent.journal.database import Database
from seal_agent.journal.versions import Versions
from seal_agent.records import Memory, content_id

Vectored = tuple[Memory, bytes | None]
"""A memory and its float32 vector, if it has one yet."""

_ROW = "id, kind, prompt, completion, document, title, gold"


class Memories:
    """The memories of one journal."""

    def __init__(self, database: Database, versions: Versions) -> None:
        self._db, self._versions = database, versions

    def add(self, memories: Sequence[Vectored], embedder: str = "") -> None:
        """Add general rows, or vectors for rows that are there (a new vector replaces the old)."""
        with self._db.transaction():
            live = self._versions.live_number()
            for memory, vector in memories:
                known = vector is not None and self._db.write(
                    "UPDATE memories SET vector = ?, embedder = ? WHERE id = ?", vector, embedder, memory.id
                )
                if not known:
                    self.keep([(memory, vector)], live if memory.kind == "learned" else 0, embedder)

    def all(self, kind: str | None = None) -> list[Memory]:
        """What may be rehearsed: general rows, and what the live version and its ancestors learned."""
        rows = self._db.read(f"SELECT {_ROW} FROM current_memories WHERE ?1 IS NULL OR kind = ?1 ORDER BY seq", kind)
        return [_memory(row) for row in rows]

    def of(self, document_ids: Sequence[str]) -> list[Memory]:
        """What the live version and its ancestors learned from these documents, whether they stand or not."""
        rows = self._db.read(
            f"SELECT {_ROW} FROM memories WHERE seq IN (SELECT min(seq) FROM memories"
            " WHERE document IN (SELECT value FROM json_each(?)) AND version IN (SELECT number FROM ancestry)"
            " GROUP BY id) ORDER BY seq",
            json.dumps(list(document_ids)),
        )
        return [_memory(row) for row in rows]

    def vectors(self, embedder: str | None = None) -> tuple[list[str], list[bytes]]:
        """Ids and float32 vectors of what may be rehearsed, where there are any (by *embedder*, if named)."""
        rows = self._db.read(
            "SELECT id, vector FROM current_memories"
            " WHERE vector IS NOT NULL AND (?1 IS NULL OR embedder = ?1) ORDER BY seq",
            embedder,
        )
        return [row[0] for row in rows], [row[1] for row in rows]

    def placed_otherwise(self, embedder: str) -> list[Memory]:
        """What may be rehearsed and has a vector of another embedder."""
        rows = self._db.read(
            f"SELECT {_ROW} FROM current_memories WHERE vector IS NOT NULL AND embedder != ? ORDER BY seq", embedder
        )
        return [_memory(row) for row in rows]

    def fingerprint(self) -> str:
        """As an id what tells which memories are current: the live version, what is superseded, the last row that came."""
        with self._db.guard:
            live = self._db.read("SELECT number, digest FROM versions WHERE status = 'live'")
            hidden = self._db.read("SELECT id FROM documents WHERE state = 'superseded' ORDER BY id")
            last = self._db.number("SELECT ifnull(max(seq), 0) FROM memories")
        return content_id("m", repr(live), str(last), *(row[0] for row in hidden))

    def prompts(self) -> set[str]:
        """Every question that the live line was trained on, or that is claimed to be."""
        rows = self._db.read(
            "SELECT DISTINCT prompt FROM memories WHERE kind = 'learned' AND version IN (SELECT number FROM ancestry)"
            " UNION SELECT body ->> 'prompt' FROM edits WHERE state = 'claimed'"
        )
        return {row[0] for row in rows}

    def titles(self) -> set[str]:
        """What questions were about that any version was trained on, or that are claimed to be."""
        rows = self._db.read(
            "SELECT DISTINCT title FROM memories WHERE kind = 'learned' AND prompt != ''"
            " UNION SELECT body ->> 'title' FROM edits WHERE state = 'claimed' AND body ->> 'prompt' != ''"
        )
        return {row[0] for row in rows} - {""}

    def untitled(self, claimed: bool = False) -> bool:
        """Was the live version or an ancestor taught to answer about something without a title? Or is what is *claimed* so?"""
        found = self._db.number(
            "SELECT EXISTS (SELECT 1 FROM memories WHERE kind = 'learned' AND prompt != '' AND title = ''"
            " AND version IN (SELECT number FROM ancestry)) OR (?1 AND EXISTS (SELECT 1 FROM edits"
            " WHERE state = 'claimed' AND body ->> 'prompt' != '' AND body ->> 'title' = ''))",
            claimed,
        )
        return bool(found)

    def count(self) -> int:
        """How many rows may be rehearsed."""
        return self._db.number("SELECT count(*) FROM current_memories")

    def keep(self, memories: Sequence[Vectored], version: int, embedder: str) -> None:
        """Add what *version* learned (0: general rows). The caller holds the transaction."""
        for memory, vector in memories:
            self._db.write(
                "INSERT OR IGNORE INTO memories"
                " (id, version, kind, prompt, completion, document, title, gold, vector, embedder)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                memory.id,
                version,
                memory.kind,
                memory.prompt,
                memory.completion,
                memory.document or None,
                memory.title,
                memory.gold,
                vector,
                embedder,
            )


def _memory(row: tuple[Any, ...]) -> Memory:
    key, kind, prompt, completion, document, title, gold = row
    return Memory(
        id=key, kind=kind, prompt=prompt, completion=completion, document=document or "", title=title, gold=gold
    )
