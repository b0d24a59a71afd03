"""
Who says what: a name (source and external id) says one text at a time, and a newer text takes the place of the older.

Promises: what a name said before is hidden, not deleted, and stands again when its source takes the change back; then what a
text between has taught otherwise waits to be learned once more, and nothing waits twice for a stream that is told twice.
Does not promise: anything for texts without an external id; they push nothing out. The caller holds the transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from seal_agent.journal.database import Database
from seal_agent.records import Document

_UNTRUSTED = ("held", "released")
_STANDS = ("edited", "skipped", *_UNTRUSTED)  # states of a document that is not superseded


class Names:
    """The names of one journal."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def say(self, document: Document, state: str) -> bool:
        """
        Note that *document*'s name says this text now: it stands (restored to *state* if it was superseded), and what the name
        said before is superseded. True if that changed anything. Without an external id nothing is restored.
        """
        said = (document.id, document.source, document.external_id)
        new = bool(self._db.write("INSERT OR IGNORE INTO attestations VALUES (?, ?, ?)", *said))
        if restored := bool(document.external_id) and self.superseded(document.id):
            self._restore(document.id, state)
        # what is not trusted must not push out what is, but is newer than what is not either
        over = _UNTRUSTED if state == "held" else _STANDS
        new |= self._supersede(document.id, document.source, document.external_id, over)
        if restored:
            self._learn_again(document)
        return new or restored

    def superseded(self, document_id: str) -> bool:
        """Has another text come in the place of this one?"""
        return bool(self._db.number("SELECT state = 'superseded' FROM documents WHERE id = ?", document_id))

    def supersede(self, document_id: str) -> None:
        """What the names of a document said before it stands no more."""
        for source, name in self._db.read(
            "SELECT source, external_id FROM attestations WHERE document = ?", document_id
        ):
            self._supersede(document_id, source, name)

    def superseded_by(self, document: Document) -> list[str]:
        """Ids of the documents in whose place *document* comes: what its names have said until now."""
        found = [old for source, name in self.of(document) for old in self._said(source, name, document.id)]
        return list(dict.fromkeys(found))

    def told_before(self, document: Document) -> list[str]:
        """Ids of all documents that the names of *document* have ever said and that stand no more once it does."""
        found = [
            row[0]
            for source, name in self.of(document)
            for row in self._db.read(
                "SELECT DISTINCT id FROM calls JOIN documents ON documents.id = calls.document"
                " WHERE calls.source = ? AND calls.external_id = ? AND id != ? AND documents.state = 'superseded'",
                source,
                name,
                document.id,
            )
        ]
        return sorted({*self.superseded_by(document), *found})

    def of(self, document: Document) -> list[tuple[str, str]]:
        """Under which names *document* is said: as it comes now, and as it came before."""
        said = self._db.read("SELECT source, external_id FROM attestations WHERE document = ?", document.id)
        return sorted({(source, name) for source, name in (*said, (document.source, document.external_id)) if name})

    def _said(self, source: str, name: str, but: str, states: Sequence[str] = _STANDS) -> list[str]:
        rows = self._db.read(
            "SELECT id FROM documents JOIN attestations ON document = id WHERE attestations.source = ?"
            " AND attestations.external_id = ? AND id != ? AND state IN (SELECT value FROM json_each(?))",
            source,
            name,
            but,
            json.dumps(states),
        )
        return [row[0] for row in rows]

    def _supersede(self, by: str, source: str, name: str, over: Sequence[str] = _STANDS) -> bool:
        replaced = self._said(source, name, by, over) if name else []
        for old in replaced:
            self._db.write("UPDATE documents SET state = 'superseded' WHERE id = ?", old)
            self._db.write(
                "DELETE FROM attestations WHERE document = ? AND source = ? AND external_id = ?", old, source, name
            )
            self._db.write(
                "UPDATE edits SET state = 'superseded', fence = NULL"
                " WHERE document = ? AND state IN ('waiting', 'claimed', 'aside', 'reserved')",
                old,
            )
            self._db.event("superseded", id=old, by=by)
        return bool(replaced)

    def _restore(self, document_id: str, state: str) -> None:
        self._db.write("UPDATE documents SET state = ? WHERE id = ?", state, document_id)
        self._db.write(
            "UPDATE edits SET state = iif(reserved, 'reserved', 'waiting') WHERE document = ? AND state = 'superseded'",
            document_id,
        )
        self._db.event("restored", id=document_id)

    def _learn_again(self, document: Document) -> None:
        """What *document* taught, and a text that stood in its place has taught otherwise since, waits once more."""
        self._db.write(
            "WITH last AS (SELECT document, max(number) AS number FROM lessons JOIN versions USING (fence)"
            " JOIN ancestry USING (number) GROUP BY document),"
            " since AS (SELECT document FROM last WHERE document IN (SELECT value FROM json_each(?1))"
            " AND number > (SELECT number FROM last WHERE document = ?2)),"
            " facts AS (SELECT body ->> 'fact' AS fact FROM edits JOIN since USING (document))"
            " UPDATE edits SET state = 'waiting', attempts = 0 WHERE document = ?2 AND state = 'learned'"
            " AND EXISTS (SELECT 1 FROM since)"
            " AND edits.body ->> 'fact' NOT IN (SELECT fact FROM facts)",
            json.dumps(self.told_before(document)),
            document.id,
        )
