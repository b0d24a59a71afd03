"""
Places where a test may kill the process, to prove that dying there loses nothing.

Promises: does nothing at all unless SEAL_CRASH_AT names the point; then the process dies as by `kill -9`.
Does not promise: power loss. The page cache survives SIGKILL; fsync order is what speaks for the rest.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

POINTS = (
    "open.migrating",
    "open.migrated",
    "record.begin",
    "record.document",
    "record.attested",
    "record.edits",
    "record.checks",
    "record.committed",
    "attest.counted",
    "attest.committed",
    "redecide.cleared",
    "redecide.committed",
    "release.committed",
    "claim.begin",
    "claim.run",
    "claim.edits",
    "claim.committed",
    "failed.edits",
    "failed.committed",
    "sweep.edits",
    "sweep.committed",
    "adapter.staged",
    "adapter.files",
    "adapter.manifest",
    "adapter.synced",
    "adapter.renamed",
    "adapter.kept",
    "publish.begin",
    "publish.retired",
    "publish.version",
    "publish.settled",
    "publish.memories",
    "publish.committed",
    "rollback.begin",
    "rollback.retired",
    "rollback.live",
    "rollback.committed",
    "broken.marked",
    "broken.committed",
    "renew.unpractised",
    "renew.cleared",
    "renew.filled",
    "renew.committed",
    "renew.vacuumed",
    "tidy.removing",
    "tidy.removed",
)
"""Every step boundary of the journal, in the order a document and its adapter pass them."""

_passed: Counter[str] = Counter()


def crashpoint(name: str) -> None:
    """Die here if SEAL_CRASH_AT is *name*, or "name:N" and this is the Nth passage."""
    wanted = os.environ.get("SEAL_CRASH_AT")
    if not wanted:
        return
    _passed[name] += 1
    point, _, passage = wanted.partition(":")
    if point == name and _passed[name] == int(passage or 1):
        os.kill(os.getpid(), signal.SIGKILL)
