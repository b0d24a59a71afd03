"""`kill -9` at every step boundary: nothing acknowledged is lost, nothing half done, the pass goes on."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crash_pass
import pytest
from crash_pass import CORN, LAMP, MILL, MILL_2, ODD, RAIN

from seal_agent.errors import HomeBusy
from seal_agent.journal import HomeLock, Journal, adapters, crash

AGAIN = ("record.attested:4", "claim.edits:4", "adapter.renamed:3", "publish.version:2", "publish.memories:3")
"""Points whose later passages stand on different ground: a superseding document, a version with a parent."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("undisturbed")
    crash_pass.drive(home)
    return summary(home)


def test_a_pass_that_is_not_disturbed_ends_as_meant(undisturbed: dict[str, Any]) -> None:
    assert undisturbed["versions"] == [(1, 0, "live"), (2, 1, "retired"), (3, 2, "broken")]
    assert undisturbed["counts"]["documents"] == {"total": 6, "edited": 4, "skipped": 1, "held": 0}
    assert sorted(undisturbed["learned"]) == sorted([LAMP.id, MILL_2.id])


# a renewal needs a whole agent: tests/test_forgetting.py
@pytest.mark.parametrize("point", [*(p for p in crash.POINTS if not p.startswith("renew.")), *AGAIN])
def test_dying_there_loses_nothing_and_the_pass_goes_on(
    point: str, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    acknowledged = killed_at(point, tmp_path)
    with HomeLock(tmp_path) as lock:  # the dead holder's lock is free at once
        assert_recovers(tmp_path, lock, acknowledged)

    crash_pass.drive(tmp_path)

    assert summary(tmp_path) == undisturbed


@pytest.mark.parametrize("second", ["sweep.edits", "tidy.removing"])
def test_dying_again_during_recovery_loses_nothing(second: str, tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    acknowledged = killed_at("adapter.renamed", tmp_path)
    acknowledged += killed_at(second, tmp_path)
    with HomeLock(tmp_path) as lock:
        assert_recovers(tmp_path, lock, acknowledged)

    crash_pass.drive(tmp_path)

    assert summary(tmp_path) == undisturbed


def test_every_crash_point_is_listed_and_every_listed_one_exists() -> None:
    folder = Path(crash.__file__).parent
    code = "".join(file.read_text() for file in folder.glob("*.py"))

    assert set(re.findall(r'crashpoint\("(.+?)"\)', code)) == set(crash.POINTS)
    assert len(crash.POINTS) >= 20


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    script = (
        "import sys, time; from pathlib import Path; from seal_agent.journal import HomeLock\n"
        "with HomeLock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_at_once_and_admitted_after_kill_9(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    begun = time.monotonic()
    for _ in range(100):
        with pytest.raises(HomeBusy, match=f"held by process {holder.pid};"):
            HomeLock(tmp_path).acquire()
    assert time.monotonic() - begun < 1

    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()

    with HomeLock(tmp_path) as lock:
        assert lock.held


def killed_at(point: str, home: Path) -> list[str]:
    """Drive *home* in a process that dies at *point*; the steps it had acknowledged."""
    done = subprocess.run(
        [sys.executable, crash_pass.__file__, str(home)],
        env={**os.environ, "SEAL_CRASH_AT": point, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == -signal.SIGKILL, f"{point} was never passed: {done.stderr}"
    return done.stdout.splitlines()


def assert_recovers(home: Path, lock: HomeLock, acknowledged: list[str]) -> None:
    """What was acknowledged is there once; at most one version is live, whole on disk; recovering twice changes nothing."""
    with Journal(home) as journal:
        crash_pass.recover(journal, lock)
        once = everything(home)
        crash_pass.recover(journal, lock)
        assert everything(home) == once, "recovering twice changes nothing"

        assert journal.verify() == []
        for step in acknowledged:
            what, which = step.split()
            if what == "document":
                assert journal.receipt(which) is not None
            if what == "version":
                assert journal.versions.one(int(which)).digest
        assert_edits_stand_together(journal)
        assert_versions_are_whole(journal)


def assert_edits_stand_together(journal: Journal) -> None:
    for document in journal.documents():
        states = {state for row, state in journal.buffer.of(document.id) if not row.reserved}
        if document == ODD:  # held: none of its rows may ever wait
            assert states <= {"refused"}
        else:
            assert states in ({"waiting"}, {"learned"}), "all waiting or all settled"


def assert_versions_are_whole(journal: Journal) -> None:
    versions = journal.versions.all()
    assert sum(version.status == "live" for version in versions) <= 1
    for version in versions:
        assert adapters.verify(journal.home / version.path, version.digest) == []
    folder = journal.home / "adapters"
    there = {path.name for path in folder.iterdir()} if folder.exists() else set()
    assert there == {Path(version.path).name for version in versions}, "no folder without a version"


def everything(home: Path) -> tuple[list[str], list[str]]:
    """The whole database as text, and every file's name."""
    with sqlite3.connect(home / "seal.db") as db:
        return list(db.iterdump()), sorted(str(path) for path in home.rglob("*"))


def summary(home: Path) -> dict[str, Any]:
    """The state a user could tell apart: no times, no fences, no events."""
    with Journal(home) as journal:
        assert journal.verify() == []
        known = [MILL, MILL_2, LAMP, ODD, CORN, RAIN]
        return {
            "counts": journal.counts(),
            "receipts": [journal.receipt(document.id) for document in known],
            "edits": [journal.buffer.of(document.id) for document in known],
            "learned": journal.learned_documents(),
            "memories": journal.memories.all(),
            "checks": journal.checks.all(),
            "versions": [(version.number, version.parent, version.status) for version in journal.versions.all()],
            "digests": [version.digest for version in journal.versions.all()],
        }
