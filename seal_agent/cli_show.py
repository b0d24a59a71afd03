"""
What people see: replies, tables, progress, complaints. And JSON for everyone else.

Promises: progress and complaints go to stderr; as_json never writes NaN, which is no JSON; text of
documents and models is printed as it is, never read as rich's markup.
Does not promise: stable wording.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from seal_agent.records import Menu, Receipt

Model = Annotated[str | None, typer.Option("--model", help="smollm2-135m, a folder, or a cached hub id.")]


def folder(name: str) -> Path:
    """The folder *name* for a home; an empty one is a variable that was not set."""
    if not name:
        raise typer.BadParameter('"" is no folder for a home; the folder you are in is "."')
    return Path(name).expanduser()


Kept = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", parser=folder, help="Keep the home here; else it is thrown away."),
]


def drawable(picture: Path | None) -> Path | None:
    """*picture*, whose folder is there from now on: what cannot be drawn is refused before hours of measuring, not after."""
    if picture is None:
        return None
    if picture.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise typer.BadParameter(f"{picture} is no .png, .svg or .pdf")
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{picture.parent} is no folder: {error.strerror}") from error
    if picture.is_dir() or not os.access(picture if picture.exists() else picture.parent, os.W_OK):
        raise typer.BadParameter(f"{picture} cannot be written")
    return picture


Seed = Annotated[int, typer.Option("--seed", help="Another one draws, orders and trains in another way.")]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on stdout.")]
Row = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What a command says: one JSON document, the same for people, and what went wrong, for stderr."""

    data: Any
    text: str | Callable[[], str] = ""  # a table is drawn only if somebody will look at it
    error: str = ""

    @property
    def code(self) -> int:
        return 1 if self.error else 0


def as_json(data: Any, indent: int | None = 1) -> str:
    """*data* as one JSON document."""
    ascii_only = "utf" not in (getattr(sys.__stdout__, "encoding", None) or "utf-8").lower()
    return encodable(json.dumps(_finite(data), indent=indent, ensure_ascii=ascii_only, allow_nan=False, default=str))


def encodable(text: str) -> str:
    """*text* with what is no character escaped, as in the name of a file that is not UTF-8; such an escape is JSON, too."""
    return text.encode("utf-8", "backslashreplace").decode()


def _finite(data: Any) -> Any:
    """*data* with null where a number is not finite."""
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, (list, tuple)) else data


# -- stderr


def complain(reason: str) -> None:
    """Why it did not work."""
    note(f"seal-agent: {reason}")


def note(text: str) -> None:
    """Something that happened on the way. Where it cannot be told, what was to be done is done all the same."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(encodable(text), file=sys.stderr, flush=True)


def traceback() -> None:
    """Where an error came from that nobody foresaw."""
    from traceback import format_exc

    note(format_exc().rstrip())


class Progress:
    """`say(stage, share)` as bars on stderr, drawn from the first call on; rich stays unloaded until then."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bars:
            with suppress(OSError, ValueError):
                self._bars.stop()

    def __call__(self, stage: str, share: float) -> None:
        with suppress(OSError, ValueError):  # nobody sees it: that stops no training
            self._draw(stage, share)

    def _draw(self, stage: str, share: float) -> None:
        if self._bars is None:
            self._bars = _bars()
            self._bars.start()
        if stage not in self._stages:
            self._stages[stage] = self._bars.add_task(stage, total=1.0)
        self._bars.update(self._stages[stage], completed=share)


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    shape = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    return Bars(*shape, console=Console(stderr=True))


# -- stdout


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> str:
    """A table as text, as wide as the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title or None, title_justify="left")
    for column in columns:
        drawn.add_column(column, overflow="fold")  # an id or a path that is cut off is of no use
    for row in rows:
        drawn.add_row(*(Text(_cell(value)) for value in row))
    console = Console(file=sys.stdout)
    with console.capture() as kept:
        console.print(drawn)
    return kept.get().rstrip()


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else str(value)


def receipt(said: Receipt) -> Row:
    """A receipt in the shape `observe` promises."""
    return {
        "id": said.id,
        "action": said.decision.action,
        "reason": said.decision.reason,
        "numbers": said.decision.numbers,
        "edits": said.edits,
        "refused": said.refused,
        "title": said.title,
    }


def receipts(rows: Sequence[Row]) -> str:
    """Receipts as a table."""
    shown = [(row["action"], row["title"] or row["id"], row["edits"], row["reason"], row["id"]) for row in rows]
    return table(("action", "document", "edits", "reason", "id"), shown)


def quarantine(data: Row) -> str:
    """What is held, and the rows that were refused with every version they were trained into."""
    held = receipts(data["receipts"]) if data["receipts"] else "nothing is held"
    rows = [(row["title"], row["prompt"] or row["completion"], row["reason"], row["document"]) for row in data["aside"]]
    return f"{held}\n{table(('set aside', 'row', 'reason', 'id'), rows)}" if rows else held


def consolidation(data: Row) -> str:
    """One consolidation: its outcome, then the report."""
    said = f"{data['outcome']}: {data['reason']}\nlive now: {name(data['version'])}"
    return f"{said}\n{_report(data['report'])}" if data["report"] else said


def version(data: Row) -> str:
    """One version with its report."""
    said = f"version {data['number']} ({data['id']}), {data['status']}"
    if data["report"] is None:
        return f"{said}: the untouched base"
    parent = name(data["parent"])
    return f"{said}, made {data['created']} from {parent}\n{data['report']['reason']}\n{_report(data['report'])}"


def _report(report: Row) -> str:
    keys = ("name", "n", "base", "before", "after", "p", "verdict", "reason")
    drawn = table(("finding", *keys[1:]), [[finding[key] for key in keys] for finding in report["findings"]])
    share = report["training"].get("origin", {})
    told = ", ".join(f"{origin} {part:.0%}" for origin, part in share.items())
    return f"{drawn}\ntraining tokens: {told}" if told else drawn


def menu(said: Menu) -> str:
    """What each style is worth, and the menu that stays."""
    rows = [(w.style, f"{w.gain:+.3f}", w.n, "stays" if w.kept else "leaves") for w in said.worth]
    stays = [w.style for w in said.worth if w.kept]
    told = table(("style", "reward with less without", "passages", ""), rows)
    if len(stays) == len(said.worth):
        return f"{told}\nno style leaves: none makes edits worse by more than chance"
    earned = f"on {said.n} other passages {said.before:.3f} to {said.after:.3f} (p = {said.p:.2g})"
    return f"{told}\n{earned}; in seal.toml:\nstyles = {json.dumps(['facts', *stays])}"


def quiz(data: Row) -> str:
    """A quiz: each answer, then the score."""
    rows = [("✓" if r["correct"] else "✗", r["question"], r["gold"], r["answer"]) for r in data["rows"]]
    score = f"{data['correct']} of {data['n']} right ({data['accuracy']:.0%}), F1 {data['f1']:.2f}"
    shuffled = f"against shuffled answers {data['shuffled']:.0%}"
    return f"{table(('', 'question', 'gold', 'answer'), rows)}\n{score}; {shuffled}; {by(data['version'])}"


def status(data: Row, home: Path) -> str:
    """The counts of a home."""
    read = data["documents"]
    rows = [
        (
            "documents",
            f"{read['total']}: {read['edited']} edited, {read['skipped']} skipped, {read['held']} held",
        ),
        ("rows waiting", data["waiting"]),
        ("rows set aside", data["aside"]),
        ("live", name(data["live"])),
        ("versions", data["versions"]),
        ("memories", data["memories"]),
    ]
    return table(("home", str(home)), rows)


def versions(data: Sequence[Row]) -> str:
    """Versions as a table."""
    rows = [
        (
            v["number"],
            v["status"],
            name(v["parent"]),
            v["created"],
            v["report"]["reason"] if v["report"] else "",
        )
        for v in data
    ]
    return table(("version", "status", "from", "made", "report"), rows)


def pairs(data: Row) -> str:
    """Any document: its single values as one table, each list of rows as another."""
    lists = {key: value for key, value in data.items() if _rows(value)}
    single = [(key, _flat(value)) for key, value in data.items() if key not in lists]
    parts = [table(("", "value"), single)] if single else []
    for key, rows in lists.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        parts.append(table(columns, [[_flat(row.get(column)) for column in columns] for row in rows], title=key))
    return "\n".join(parts)


def _rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _flat(value: Any) -> str:
    return (
        json.dumps(_finite(value), ensure_ascii=False, default=str) if isinstance(value, (dict, list)) else _cell(value)
    )


def name(number: int | None) -> str:
    """What to call version *number*."""
    return f"version {number}" if number else "the untouched base"


def by(number: int) -> str:
    """Who answered."""
    return f"answered by {name(number)}"
