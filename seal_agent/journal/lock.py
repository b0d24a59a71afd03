"""
One process at a time may consolidate in a home.

Promises: a second holder is refused at once and told the first one's process id; the operating system frees
the lock when its holder dies, however it dies.
Does not promise: anything to readers, who need no lock, or safety on network file systems without flock.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from seal_agent.errors import HomeBusy, SealError


class HomeLock:
    """The lock of one home, `with HomeLock(home): ...`. A second one is refused, even in the same process."""

    def __init__(self, home: Path) -> None:
        self.home = Path(home)
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock now."""
        return self._handle is not None

    def acquire(self) -> HomeLock:
        """Take the lock or raise HomeBusy; never waits."""
        if self._handle is not None:
            raise _busy(self.home, str(os.getpid()))
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.home / "seal.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise SealError(
                f"{self.home} cannot be locked: {error.strerror}; who learns must be able to write there"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
            os.close(handle)
            raise _busy(self.home, holder) from None
        self._handle = handle
        with suppress(OSError):  # a full disk: who holds it is for people to read, the lock holds without it
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        return self

    def release(self) -> None:
        """Give the lock back; harmless if it is not held. The file stays, for unlinking it would race."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> HomeLock:
        return self.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def _busy(home: Path, holder: str) -> HomeBusy:
    return HomeBusy(f"{home} is held by process {holder or 'unknown'}; wait until it is done, or stop it")
