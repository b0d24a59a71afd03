"""`watch`, and what it looks at: it goes on whatever breaks, and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from conftest import BARN, LIGHT, MILL, PROCESS, Run

from seal_agent import watching
from seal_agent.errors import HomeBusy
from seal_agent.journal.buffer import FAILURES
from seal_agent.testing import FakeLearner, fake_agent


def test_watch_once_reads_what_is_there_and_consolidates_when_due(run: Run, notes: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "seal.toml").write_text("consolidate_after = 20\n")
    ran = run("watch", notes, "--once", "--json")
    assert ran.code == 0
    assert (ran.data["documents"], ran.data["refused"]) == (2, 1)
    outcomes = [done["outcome"] for done in ran.data["consolidations"]]
    assert outcomes == ["accepted", "accepted"], "when it is due, not when all is read"
    (notes / "noise.txt").write_bytes(b"\x00\x01\x02" * 50)
    assert run("watch", notes / "noise.txt", "--once").code == 1
    assert run("watch", notes / "nothing", "--once").code == 1
    assert run("watch", "-", "--once").code == 2


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_watch_reads_what_appears_and_ends_cleanly(stop: signal.Signals, notes: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, "watch", str(notes), "--every", "0.1", "--json"]
    env = {**os.environ, "SEAL_HOME": str(tmp_path / "home")}
    long_ago = time.time() - 60
    late = tmp_path / "late.txt"
    late.write_text("Pell Weir was built by Orla Finn in 1802.")
    for file in (*notes.iterdir(), late):
        os.utime(file, (long_ago, long_ago))  # files still being written are left for a later look
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout
        assert process.stderr
        for _ in range(3):
            process.stderr.readline()
        late.rename(notes / "late.txt")
        assert "Late" in process.stderr.readline()
        process.send_signal(stop)
        out = process.stdout.read()
    assert process.returncode == 0
    assert json.loads(out)["documents"] == 3


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of `watch`, which none lasts; Ctrl-C ends the fifth."""
    pauses: list[float] = []

    def slept(pause: float) -> None:
        pauses.append(pause)
        if len(pauses) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", slept)
    return pauses


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), OSError("no space left"), MemoryError()])
def test_watch_tells_of_any_error_and_goes_on(
    error: Exception, looks: list[float], notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document and a training break once; the next look reads and trains them, and nothing is lost."""
    told: list[str] = []
    for file in notes.iterdir():
        os.utime(file, (0, 0))
    with fake_agent(tmp_path / "home", consolidate_after=20) as agent:
        for part, name in ((agent, "observe"), (agent.learner, "train")):
            _break_once(monkeypatch, part, name, error)
        done = watching.watch(agent, [notes], 5.0, False, told.append)
        total = agent.status()["documents"]["edited"]

    kind = f"{type(error).__name__}: {error}"
    assert [line for line in told if kind in line] == [
        f"{notes / 'light.jsonl'} not read: {kind}",
        f"not consolidated: {kind}",
    ]
    assert (done["looks"], looks) == (5, [5.0] * 5)
    assert [one["outcome"] for one in done["consolidations"]] == ["accepted", "accepted"]
    assert total == 2


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_watch_ends_when_it_is_told_to_and_the_rows_wait(
    end: type[BaseException], looks: list[float], notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in notes.iterdir():
        os.utime(file, (0, 0))
    with fake_agent(tmp_path / "home", consolidate_after=20) as agent:
        _break_once(monkeypatch, agent.learner, "train", end())
        with pytest.raises(SystemExit) if end is SystemExit else nullcontext():
            watching.watch(agent, [notes], 5.0, False, lambda line: None)
        assert looks == []
        assert agent.due()
        assert agent.consolidate().outcome == "accepted"


def test_one_look_that_was_interrupted_is_no_success(
    run: Run, notes: Path, learner: FakeLearner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has it run by a clock would take it for done."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "seal.toml").write_text("consolidate_after = 20")
    for file in notes.iterdir():
        os.utime(file, (0, 0))
    _break_once(monkeypatch, learner, "train", KeyboardInterrupt())

    ran = run("watch", notes, "--once", "--json")

    assert (ran.code, list(ran.data)) == (1, ["error"])
    assert run("status", "--json").data["waiting"] > 0


def test_looks_that_are_too_far_apart_are_refused(run: Run, notes: Path) -> None:
    assert run("watch", notes, "--every", "inf").code == 2


def test_watch_reads_a_file_that_could_not_be_opened_at_first(
    looks: list[float], notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    for file in notes.iterdir():
        os.utime(file, (0, 0))
    with fake_agent(tmp_path / "home") as agent:
        os.mkfifo(notes / "pipe.txt")  # who opens it waits for a writer
        os.utime(notes / "pipe.txt", (0, 0))
        _break_once(monkeypatch, Path, "open", PermissionError("not yours yet"))
        done = watching.watch(agent, [notes], 5.0, False, told.append)
    assert sum("not read: PermissionError: not yours yet" in line for line in told) == 1
    assert sum("not a regular file" in line for line in told) == 1
    assert (done["documents"], done["refused"]) == (2, 2)


def test_watch_says_once_that_it_follows_no_link_out_of_the_folder(
    looks: list[float], notes: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    (tmp_path / "secret.md").write_text("The safe of Anstrow opens with 4711.")
    (notes / "out.md").symlink_to(tmp_path / "secret.md")
    with fake_agent(tmp_path / "home") as agent:
        done = watching.watch(agent, [notes, tmp_path / "nothing yet"], 5.0, False, told.append)
        assert done["looks"] == 5
        assert not any("4711" in document.text for document in agent.journal.documents())
    assert sum("out.md: refused: it is a link that leads out of the folder" in line for line in told) == 1


@pytest.mark.parametrize(("rest", "tries"), [(3600.0, 2), (0.0, 4)])
def test_a_machine_that_is_out_of_memory_for_a_while_costs_watch_no_rows(
    rest: float, tries: int, looks: list[float], notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third training that breaks sets its rows aside, so it comes an hour after the second. Each file read has its own."""
    assert watching._REST == 3600
    monkeypatch.setattr(watching, "_REST", rest)
    for file in notes.iterdir():
        os.utime(file, (0, 0))
    with fake_agent(tmp_path / "home", consolidate_after=20) as agent:
        tried = []

        def train(*given: Any) -> None:
            tried.append(given)
            raise RuntimeError("out of memory")

        monkeypatch.setattr(agent.learner, "train", train)
        watching.watch(agent, [notes], 5.0, False, lambda line: None)
        assert len(looks) == 5
        assert len(tried) == tries
        monkeypatch.undo()
        assert agent.consolidate().outcome == ("accepted" if tries < FAILURES else "nothing")


def test_trainings_that_break_with_one_between_that_does_not_are_not_in_a_row(
    looks: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of each of two lessons breaks: neither is rested after."""
    notes, listed = [tmp_path / "a.txt", tmp_path / "b.txt"], watching._files
    for file, document in zip(notes, (MILL, LIGHT), strict=True):
        file.write_text(document.text)
        os.utime(file, (0, 0))
    with fake_agent(tmp_path / "home", consolidate_after=5) as agent:
        train, tried = agent.learner.train, []

        def breaks(*given: Any, **how: Any) -> Any:
            tried.append(given)
            if len(tried) in (1, 3):
                raise MemoryError
            return train(*given, **how)

        monkeypatch.setattr(agent.learner, "train", breaks)
        monkeypatch.setattr(watching, "_files", lambda paths: list(listed(paths))[: 1 + (len(looks) > 2)])
        done = watching.watch(agent, notes, 5.0, False, lambda line: None)

    assert [each["outcome"] for each in done["consolidations"]] == ["accepted", "accepted"]


def test_a_home_that_another_process_trains_costs_watch_no_rest(
    looks: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing broke, however often it is busy."""
    file = tmp_path / "a.txt"
    file.write_text(MILL.text)
    os.utime(file, (0, 0))
    with fake_agent(tmp_path / "home", consolidate_after=5) as agent:
        consolidate, tried = agent.consolidate, []

        def busy() -> Any:
            tried.append(1)
            if len(tried) <= 3:
                raise HomeBusy("another process trains")
            return consolidate()

        monkeypatch.setattr(agent, "consolidate", busy)
        done = watching.watch(agent, [file], 5.0, False, lambda line: None)

    assert [each["outcome"] for each in done["consolidations"]] == ["accepted"]


def test_watch_reads_a_file_again_that_changed_and_none_that_is_being_written(
    looks: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing, fresh = tmp_path / "a.txt", tmp_path / "b.txt"
    changing.write_text(MILL.text)
    os.utime(changing, (0, 0))
    fresh.write_text(BARN.text)
    slept = watching.time.sleep

    def meanwhile(pause: float) -> None:
        slept(pause)
        if len(looks) == 2:
            changing.write_text(LIGHT.text)
            os.utime(changing, (100, 100))

    monkeypatch.setattr(watching.time, "sleep", meanwhile)
    monkeypatch.setattr(watching, "_SETTLED", 3600.0)
    with fake_agent(tmp_path / "home") as agent:
        watching.watch(agent, [changing, fresh], 5.0, False, lambda line: None)

        assert [document.text for document in agent.journal.documents()] == [LIGHT.text]


def test_watch_goes_on_where_a_look_itself_breaks(
    looks: list[float], notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to itself leads nowhere; what is beside it is read."""
    (notes / "loop.txt").symlink_to("loop.txt")
    told: list[str] = []
    for file in (notes / "mill.md", notes / "light.jsonl"):
        os.utime(file, (0, 0))
    with fake_agent(tmp_path / "home") as agent:
        _break_once(monkeypatch, agent, "due", ZeroDivisionError("due"))
        _break_once(monkeypatch, watching, "_files", PermissionError("the folder is not yours"))
        done = watching.watch(agent, [notes], 5.0, False, told.append)
    assert told[:2] == [
        "this look broke off: PermissionError: the folder is not yours",
        "not consolidated: ZeroDivisionError: due",
    ]
    assert (done["looks"], done["documents"], done["refused"]) == (5, 2, 1)


def _break_once(monkeypatch: pytest.MonkeyPatch, part: object, name: str, error: BaseException) -> None:
    """The first call of *name* raises *error*, the others do what it did."""
    real, broke = getattr(part, name), []

    def breaks(*given: Any, **how: Any) -> Any:
        if not broke:
            broke.append(name)
            raise error
        return real(*given, **how)

    monkeypatch.setattr(part, name, breaks)


def test_a_path_that_is_not_there_is_told_of_by_watch(run: Run, notes: Path, tmp_path: Path) -> None:
    ran = run("watch", notes, tmp_path / "typo.txt", "--once", "--json")
    assert ran.data["refused"] == 2
    assert "typo.txt: refused: there is no such file or folder" in ran.err
