"""
Checks: the questions that a version is judged by.

Promises: what is superseded is not asked, but where all are wanted; a fact is asked of a version once its line has learned it.
Does not promise: that a check was never trained on. Whoever asks leaves those out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from seal_agent.journal.database import Database
from seal_agent.records import Check

_ROW = "id, kind, question, gold, answer, document"


class Checks:
    """The checks of one journal."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, checks: Sequence[Check], again: bool = False) -> None:
        """Add held-out questions; one that is there already stays as it is."""
        with self._db.transaction():
            for check in checks:
                self._db.write(
                    "INSERT OR IGNORE INTO checks (id, kind, question, gold, answer, document, again)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    check.id,
                    check.kind,
                    check.question,
                    check.gold,
                    check.answer,
                    check.document or None,
                    again,
                )

    def keep_users(self, checks: Sequence[Check]) -> None:
        """Users' checks are *checks* from now on, and no others: who corrects one does not want the old one asked."""
        with self._db.transaction():
            if checks != self.all("user"):
                self._db.write("DELETE FROM checks WHERE kind = 'user'")
                self.add(checks)

    def all(self, kind: str | None = None) -> list[Check]:
        """General and users' checks, and those of documents that the live version's line has learned."""
        return self._current(
            "(?1 IS NULL OR kind = ?1) AND (kind != 'fact' OR document IN (SELECT document FROM learned))",
            kind,
        )

    def of(self, document_ids: Sequence[str]) -> list[Check]:
        """The checks of these documents that are not superseded, learned or not."""
        return self._current("document IN (SELECT value FROM json_each(?))", json.dumps(list(document_ids)))

    def all_of(self, document_ids: Sequence[str]) -> list[Check]:
        """The checks of these documents, superseded ones too."""
        rows = self._db.read(
            f"SELECT {_ROW} FROM checks WHERE document IN (SELECT value FROM json_each(?)) ORDER BY seq",
            json.dumps(list(document_ids)),
        )
        return [_check(row) for row in rows]

    def written_of(self, document_id: str) -> list[Check]:
        """The checks that were written with this document's rows."""
        rows = self._db.read(f"SELECT {_ROW} FROM checks WHERE document = ? AND NOT again ORDER BY seq", document_id)
        return [_check(row) for row in rows]

    def when_learned(self, check_ids: Sequence[str]) -> dict[str, tuple[bool, float]]:
        """Of these checks those whose document the live line learned: were they right then, and at what loss?"""
        rows = self._db.read(
            "WITH first AS (SELECT checks.id, min(number) AS number FROM checks JOIN lessons USING (document)"
            " JOIN versions USING (fence) JOIN ancestry USING (number)"
            " WHERE checks.id IN (SELECT value FROM json_each(?)) GROUP BY checks.id)"
            " SELECT first.id, result.value ->> 'after', result.value ->> 'after_nll' FROM first JOIN versions USING (number),"
            " json_each(report, '$.results') AS result WHERE result.value ->> 'check' = first.id",
            json.dumps(list(check_ids)),
        )
        return {key: (bool(right), float(loss)) for key, right, loss in rows}

    def _current(self, where: str, *values: Any) -> list[Check]:
        rows = self._db.read(f"SELECT {_ROW} FROM current_checks WHERE {where} ORDER BY seq", *values)
        return [_check(row) for row in rows]


def _check(row: tuple[Any, ...]) -> Check:
    key, kind, question, gold, answer, document = row
    return Check(id=key, kind=kind, question=question, gold=gold, answer=answer, document=document or "")
