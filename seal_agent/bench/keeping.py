"""
What a bench has finished, kept in files, so that a run that was killed goes on where it was.

Promises: a file under its final name is whole; a name that `named` made is found again only by the same model and by the same of
all else that it was told the result depends on.
Does not promise: to tell weights that were changed in their folder, or code that was. Take another --out then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from seal_agent.errors import ConfigError
from seal_agent.learning import embedded


def named(beginning: str, /, model: str | None = None, **depends: Any) -> str:
    """*beginning*, and after it a short hash of the *model* (None: the embedded one) and of all the result *depends* on."""
    name = model or embedded.MODEL.folder
    place = str(Path(name).resolve()) if os.path.isdir(name) else name
    whole = json.dumps({"model": place, **depends}, default=repr)  # records are told apart by what they print
    return f"{beginning}-{sha256(whole.encode()).hexdigest()[:12]}"


def read(file: Path, otherwise: Any) -> Any:
    """What is kept in *file*; *otherwise* if nothing is."""
    return json.loads(file.read_text("utf-8")) if file.is_file() else otherwise


def write(file: Path, data: Any) -> None:
    """Keep *data* in *file*: written beside it and renamed, so that a process killed here leaves what was there before."""
    beside = file.with_name(f"{file.name}.part")
    beside.write_text(json.dumps(data), "utf-8")
    os.replace(beside, file)


def once(file: Path, do: Callable[[], Any]) -> Any:
    """What is kept in *file*; if nothing is, what *do* gives, kept first."""
    if not file.is_file():
        write(file, do())
    return json.loads(file.read_text("utf-8"))


def chosen(arms: Sequence[str], known: Sequence[str], usual: Sequence[str] = ()) -> list[str]:
    """The *arms* that were named, each once; if none was, the *usual* ones or all *known*. ConfigError names the unknown."""
    if unknown := [name for name in arms if name not in known]:
        raise ConfigError(f"no arm called {', '.join(unknown)}; there are {', '.join(known)}")
    return list(dict.fromkeys(arms or usual or known))
