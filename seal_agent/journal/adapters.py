"""
Adapter folders: the only allowed way to make one, and to tell whether one is whole.

Promises: a folder under its final name is complete and on disk, and its manifest was written last; `verify`
finds a changed, missing or added file; pickles are refused.
Does not promise: that the weights make sense. Finite values and the right tensors are the learner's to check.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seal_agent.errors import SealError
from seal_agent.journal.crash import crashpoint
from seal_agent.journal.lock import HomeLock
from seal_agent.records import Candidate, Record, Version

MANIFEST = "manifest.json"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_GONE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_STAGED = ".tmp-"


class FileFact(Record):
    """What a file must be."""

    sha256: str
    size: int


class Manifest(Record):
    """What an adapter is and where it comes from. parent is its parent's digest, "" for the base."""

    files: dict[str, FileFact]
    fingerprint: str
    parent: str
    run: str
    rows: str
    report: dict[str, Any] | None = None  # in manifests of old: their digests are over it


def stage(root: Path) -> Path:
    """A new empty staging folder under *root* (the home's adapters folder)."""
    folder = root / f"{_STAGED}{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    crashpoint("adapter.staged")
    return folder


@contextmanager
def staged(root: Path) -> Iterator[Path]:
    """The same for as long as it takes to fill and `seal` it: what was not sealed is taken away again."""
    folder = stage(root)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # half an adapter may be what fills the disk


def seal(
    staged: Path,
    final: Path,
    *,
    fingerprint: str,
    parent: str,
    run: str,
    rows: str,
) -> str:
    """Make *staged* durable, give it its manifest and its final name; returns the digest."""
    if final.exists():
        raise SealError(f"{final} exists already; an adapter is never written over")
    if problems := _odd_entries(staged):
        raise SealError(f"{staged} cannot become an adapter: {'; '.join(problems)}")
    names = sorted(entry.name for entry in staged.iterdir())
    for name in names:
        _sync(staged / name)
    crashpoint("adapter.files")
    files = {name: _fact(staged / name) for name in names}
    manifest = Manifest(files=files, fingerprint=fingerprint, parent=parent, run=run, rows=rows)
    return _keep(staged, final, manifest)


def candidate(
    staged: Path, live: Version | None, *, run: str, fingerprint: str, rows: str, training: dict[str, Any]
) -> Candidate:
    """*staged*, trained from *live* or (None) the base, sealed under its final name: to be judged."""
    final = staged.parent / run
    made = seal(staged, final, fingerprint=fingerprint, parent=live.digest if live else "", run=run, rows=rows)
    return Candidate(run=run, path=str(final), digest=made, parent=live.number if live else 0, training=training)


def _keep(staged: Path, final: Path, manifest: Manifest) -> str:
    (staged / MANIFEST).write_text(json.dumps(manifest.model_dump(), indent=1, sort_keys=True))
    _sync(staged / MANIFEST)
    crashpoint("adapter.manifest")
    _sync(staged)
    crashpoint("adapter.synced")
    if problems := verify(staged):
        raise SealError(f"{staged} did not read back as written: {'; '.join(problems)}")
    os.rename(staged, final)
    crashpoint("adapter.renamed")
    _sync(final.parent)
    _sync(final.parent.parent)  # the adapters folder itself may be new
    crashpoint("adapter.kept")
    return digest(final)


def move(folder: Path, root: Path) -> Path:
    """Give the adapter in *folder* a place under *root*, the adapters folder of another home; where it stands now."""
    final = root / folder.name
    if final.exists():  # the same rows beside other memories make another adapter of the same run
        final = root / f"{folder.name}-{digest(folder)[:8]}"
    root.mkdir(parents=True, exist_ok=True)
    os.rename(folder, final)
    _sync(root)
    return final


def manifest(folder: Path) -> Manifest:
    """The manifest of *folder*; SealError if there is none, or what is there is none."""
    try:
        return Manifest.model_validate(json.loads((folder / MANIFEST).read_bytes()))
    except (*_GONE, ValueError, RecursionError) as error:
        what = f"{error.error_count()} fields are wrong" if isinstance(error, ValidationError) else str(error)
        raise SealError(f"{folder / MANIFEST} cannot be read: {what}") from error


def digest(folder: Path) -> str:
    """The hash of *folder*'s manifest, which names the hash of every file: the adapter's identity."""
    return _fact(folder / MANIFEST).sha256


def verify(folder: Path, expected: str = "") -> list[str]:
    """
    What is wrong with the adapter in *folder*, if anything. *expected* is the digest it should have.

    SealError if that cannot be told now: whoever has no file handle left has no damaged adapter.
    """
    try:
        promised = manifest(folder)
        problems = _odd_entries(folder) + _differences(folder, promised.files)
        if expected and digest(folder) != expected:
            problems.append(f"{MANIFEST} is not the one that was judged")
        return problems
    except SealError as error:
        return [str(error)]
    except _GONE as error:
        return [f"{folder} cannot be read: {error}"]
    except OSError as error:
        raise SealError(f"{folder} cannot be read now: {error}; nothing was changed, so try again") from error


def tidy(root: Path, known: Collection[str], lock: HomeLock) -> list[str]:
    """Under the HomeLock, remove staging folders and those no version names (*known*: paths or names)."""
    if not lock.held:
        raise SealError(f"only the holder of the home's lock may tidy {root}; another may be writing there")
    if not root.is_dir():
        return []
    names = {Path(path).name for path in known}
    stray = sorted(entry for entry in root.iterdir() if entry.is_dir() and entry.name not in names)
    for folder in stray:
        crashpoint("tidy.removing")
        shutil.rmtree(folder)
        crashpoint("tidy.removed")
    return [folder.name for folder in stray]


def _odd_entries(folder: Path) -> list[str]:
    """Entries that have no place in any adapter: pickles (loading one runs its code), links, folders."""
    problems = []
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink() or not entry.is_file():
            problems.append(f"{entry.name} is not a plain file")
        elif entry.suffix.lower() in PICKLES:
            problems.append(f"{entry.name} is a pickle; only safetensors are read")
    return problems


def _differences(folder: Path, files: dict[str, FileFact]) -> list[str]:
    # what a file manager or a network file system leaves there is read by nobody
    present = {e.name for e in folder.iterdir() if e.name in files or not e.name.startswith(".")} - {MANIFEST}
    problems = [f"{name} is not in the manifest" for name in sorted(present - set(files))]
    # Comparing with the listing first keeps a name like "../x" in a forged manifest from being followed.
    problems += [f"{name} is missing" for name in sorted(set(files) - present)]
    for name in sorted(present & set(files)):
        if (folder / name).is_file() and _fact(folder / name) != files[name]:
            problems.append(f"{name} has changed")
    return problems


def _fact(file: Path) -> FileFact:
    with file.open("rb") as handle:
        sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
    return FileFact(sha256=sha256, size=file.stat().st_size)


def _sync(path: Path) -> None:
    # A failed fsync ends the attempt: the kernel may have dropped the pages; another would prove nothing.
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        raise SealError(f"{path} could not be made durable: {error}; check the disk") from error
    finally:
        os.close(handle)
