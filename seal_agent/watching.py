"""
The long-running loop: look, observe what is new or changed, consolidate when it is due, wait, look again.

Promises: Ctrl-C and SIGTERM end it cleanly, whatever it is doing: what was acknowledged is committed, a
training cut short leaves its rows waiting; what fails, whatever it is, is told of, tried again at the next look,
and does not end the loop. A third training in a row is tried an hour after the second: rows that break three
are set aside, and a machine short of memory is not their fault.
Does not promise: to notice a file within the second it is written in: a file still being written is left
for later.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent.errors import HomeBusy, SealError
from seal_agent.reading import sources
from seal_agent.reading.sources import Refusal

if TYPE_CHECKING:
    from seal_agent.agent import SealAgent

Stamp = tuple[int, ...]
"""When a file was last written and changed, in nanoseconds, and its bytes; of what is refused unread nothing."""
_SETTLED = 1.0  # seconds without a change after which a file counts as written
_REST = 3600.0  # seconds between trainings after two that broke


def watch(
    agent: SealAgent, paths: Sequence[Path], every: float, once: bool, note: Callable[[str], None]
) -> dict[str, Any]:
    """Look at *paths* again and again (or *once*) until interrupted; what was done, in numbers."""
    done: dict[str, Any] = {"looks": 0, "documents": 0, "refused": 0, "consolidations": []}
    seen: dict[Path | Refusal, Stamp] = {}
    broke: list[float] = []

    def learn() -> None:
        with _told(once, note, "not consolidated"):
            _consolidate(agent, broke, done, note)

    with _interruptible(), nullcontext() if once else suppress(KeyboardInterrupt):
        while True:
            with _told(once, note, "this look broke off"):
                _look(agent, paths, seen, once, done, note, learn)
            learn()
            done["looks"] += 1
            if once:
                break
            time.sleep(every)
    return done


def _look(
    agent: SealAgent,
    paths: Sequence[Path],
    seen: dict[Path | Refusal, Stamp],
    once: bool,
    done: dict[str, Any],
    note: Callable[[str], None],
    learn: Callable[[], None],
) -> None:
    for file, stamp in _files(paths):
        if seen.get(file) == stamp or not (once or _settled(stamp)):
            continue
        with _told(once, note, f"{file} not read"):
            if not once and isinstance(file, Path) and file.is_file():
                file.open("rb").close()  # what cannot be opened is refused as a document, and would count as seen
            for receipt in agent.stream(file):
                done["documents" if receipt.id else "refused"] += 1
                note(f"{receipt.decision.action}  {receipt.title or receipt.id}: {receipt.decision.reason}")
            seen[file] = stamp
        learn()  # when it is due, not only when all of a large folder is read


def _consolidate(agent: SealAgent, broke: list[float], done: dict[str, Any], note: Callable[[str], None]) -> None:
    """If it is due, and the last that *broke*, in a row, are few or long ago."""
    if (len(broke) > 1 and time.monotonic() - broke[-1] < _REST) or not (reason := agent.due()):
        return
    note(f"consolidating: {reason}")
    try:
        outcome = agent.consolidate()
    except HomeBusy:  # another process trains, and nothing broke
        raise
    except Exception:
        broke.append(time.monotonic())
        raise
    broke.clear()
    done["consolidations"].append(outcome.model_dump(mode="json", exclude={"report"}))
    note(f"{outcome.outcome}: {outcome.reason}")


@contextmanager
def _told(once: bool, note: Callable[[str], None], what: str) -> Iterator[None]:
    """An error is told of; the next look tries again, unless there is none."""
    try:
        yield
    except Exception as error:
        if once:
            raise
        kind = "" if isinstance(error, SealError) else f"{type(error).__name__}: "  # the text of ours says all
        note(f"{what}: {kind}{error}")


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path | Refusal, Stamp]]:
    """Files worth reading under *paths*, each with what changes when it does; what vanishes is left out."""
    for path in paths:
        if not os.path.exists(path):  # of a name that is too long Path's own raises
            yield Refusal(name=str(path), reason="there is no such file or folder"), ()
            continue
        for file in sources.files(path) if path.is_dir() else [path]:
            if isinstance(file, Refusal):
                yield file, ()
                continue
            with suppress(OSError):
                facts = file.stat()
                yield file, (facts.st_mtime_ns, facts.st_size, facts.st_ctime_ns)


def _settled(stamp: Stamp) -> bool:
    # A time in the future (another machine's clock) says nothing, so it does not keep a file waiting.
    return not stamp or not 0 <= time.time() - stamp[0] / 1e9 < _SETTLED


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM, which services are stopped with, ends the loop as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
