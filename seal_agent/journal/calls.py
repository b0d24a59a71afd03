"""
What was asked of a home, in order, and the state it stood in: enough to live through it again without a document.

Promises: a call is written down in the transaction that does what it asks, or not at all; a consolidation stands where it took
what it learned, for what was observed while it trained came after; one whose training broke stands there too, since its rows
count that. A text told again where that changes nothing is no call.
Does not promise: calls of homes made before there was this list, or what was asked in vain.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from seal_agent.journal.database import Database
from seal_agent.records import Call, CallKind, Document

_OPEN = "begun by "  # and the fence: the state of a consolidation that goes on
_BROKE = "broke "  # and the state that one found whose training broke


class Calls:
    """The calls of one journal."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def note(
        self, kind: CallKind, document: Document | None = None, *, target: int | None = None, state: str = ""
    ) -> None:
        """Write down a call that found the home in *state*."""
        named = (document.id, document.source, document.external_id) if document else (None, None, None)
        with self._db.transaction():
            self._db.write(
                "INSERT INTO calls (kind, document, source, external_id, target, state) VALUES (?, ?, ?, ?, ?, ?)",
                kind,
                *named,
                target,
                state,
            )

    def touched(self, document: Document, names: Sequence[tuple[str, str]]) -> bool:
        """
        Since *document* was last told as it is now, was another text told under one of its *names*, or one released, which may
        have them too? Then telling it once more may change a home in which these were decided otherwise.
        """
        told = (document.id, document.source, document.external_id)
        last = self._db.number(
            "SELECT ifnull(max(seq), 0) FROM calls WHERE document = ? AND source = ? AND external_id = ?", *told
        )
        return bool(
            self._db.number(
                "SELECT EXISTS (SELECT 1 FROM calls WHERE seq > ?1 AND kind = 'release')"
                " OR EXISTS (SELECT 1 FROM json_each(?2) AS name JOIN calls ON calls.source = name.value ->> 0"
                " AND calls.external_id = name.value ->> 1 WHERE seq > ?1 AND document != ?3)",
                last,
                json.dumps(names),
                document.id,
            )
        )

    def begin(self, fence: int) -> None:
        """A consolidation takes what waits; it is none yet."""
        self.note("consolidate", state=f"{_OPEN}{fence}")

    def end(self, fence: int, target: int, state: str) -> None:
        """The consolidation of *fence*, which found the home in *state*, made version *target*."""
        self._db.write("UPDATE calls SET target = ?, state = ? WHERE state = ?", target, state, f"{_OPEN}{fence}")

    def broke(self, fence: int, state: str) -> None:
        """The training of *fence*, which found the home in *state*, broke: its rows count that."""
        self._db.write("UPDATE calls SET state = ? WHERE state = ?", f"{_BROKE}{state}", f"{_OPEN}{fence}")

    def drop(self, fence: int) -> None:
        """Nothing came of the consolidation of *fence*."""
        self._db.write("DELETE FROM calls WHERE state = ?", f"{_OPEN}{fence}")

    def since(self, number: int = 0) -> list[Call]:
        """The calls after call *number*, in order."""
        rows = self._db.read(
            "SELECT seq, kind, document, source, external_id, target, state FROM calls WHERE seq > ? ORDER BY seq",
            number,
        )
        return [
            Call(
                number=seq,
                kind=kind,
                document=document or "",
                source=source or "",
                external_id=external_id or "",
                target=target,
                state=state.removeprefix(_BROKE),
                broke=state.startswith(_BROKE),
            )
            for seq, kind, document, source, external_id, target, state in rows
        ]
