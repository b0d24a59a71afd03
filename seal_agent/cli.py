"""
The command line: `seal-agent`.

Promises: with --json, stdout is exactly one JSON document; progress goes to stderr; exit 0 only if the
command did what it says, 2 on bad usage, 1 otherwise with the reason. Heavy imports stand in the commands
that need them.
Does not promise: stable wording. What people read may change; the JSON shapes may only grow.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from io import TextIOWrapper
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from seal_agent import cli_show as show
from seal_agent.cli_bench import bench
from seal_agent.cli_show import Json, Model, Reply
from seal_agent.errors import ConfigError, HomeBusy, SealError

if TYPE_CHECKING:
    from seal_agent.agent import SealAgent
    from seal_agent.reading.sources import Refusal
    from seal_agent.records import Document, Receipt

app = typer.Typer(
    help="A language model that teaches itself from what it reads.",
    no_args_is_help=False,  # no command is bad usage: exit 2
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(bench, name="bench")


Home = Annotated[
    Path,
    typer.Option(
        "--home", metavar="DIR", parser=show.folder, envvar="SEAL_HOME", help="The home's folder; made if need be."
    ),
]
Which = Annotated[str | None, typer.Option("--version", help="'base' or a number; by default the live one.")]


def _named(paths: list[str]) -> list[str]:
    if not all(paths):
        raise typer.BadParameter('"" is no path; the folder you are in is "."')
    return paths


Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH…",
        help="Folders, texts (.txt, .md), lines of JSON (.jsonl: text, and title, source, id if you like), passages in SQuAD's"
        " shape (.json); - is standard input.",
        callback=_named,
    ),
]
Question = Annotated[str, typer.Argument(metavar="QUESTION", help="In your own words.")]
Number = Annotated[str, typer.Argument(help="A version's number, or 'base'.")]
Watched = Annotated[list[str], typer.Argument(metavar="PATH…", help="Files and folders to look at.", callback=_named)]
HOME = Path("seal-home")
_TOLD = ("seal-agent", "torch", "transformers", "peft", "chromadb", "langchain-core")  # by doctor


_INTERRUPTED, _CTRL_C = "interrupted; what was acknowledged is kept", 130


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    as_json, stdout = "--json" in options, sys.stdout
    if isinstance(stdout, TextIOWrapper):
        stdout.reconfigure(errors="backslashreplace")  # a terminal may know fewer characters than a text has
    # A library that prints would spoil the one JSON document, or its lines.
    machine = (as_json or "--json-lines" in options) and "--help" not in options
    with redirect_stdout(sys.stderr) if machine else nullcontext():
        reply, code = _run(arguments, stdout)
    if reply is None:
        return code
    if reply.error:
        show.complain(reply.error)
    if stdout is None and (as_json or reply.text):
        show.complain("standard output is closed; the answer could not be written")
        return code or 1
    try:
        if as_json:
            document = {"error": reply.error, **reply.data} if reply.error else reply.data
            print(show.as_json(document), file=stdout, flush=True)
        elif reply.text:  # beside an error too: what was done before it, or what was found besides
            print(show.encodable(reply.text() if callable(reply.text) else reply.text), file=stdout, flush=True)
    except OSError as error:
        # whoever reads has gone, or the disk is full: Python's own last flush must find an open end
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            show.complain(f"the answer could not be written: {error}")
        return code or 1
    return code


def _run(arguments: list[str], stdout: IO[str]) -> tuple[Reply | None, int]:
    command = typer.main.get_command(app)
    try:
        said = command.main(list(arguments), prog_name="seal-agent", standalone_mode=False, obj=stdout)
    except (SealError, OSError) as error:
        return Reply({}, error=str(error)), 1
    except (typer.Abort, KeyboardInterrupt):
        return Reply({}, error=_INTERRUPTED), 1
    except Exception as error:
        if hasattr(error, "format_message"):  # click's usage errors; typer brings its own copy of click
            asked = getattr(getattr(error, "ctx", None), "command_path", "seal-agent")
            return Reply({}, error=f"{error.format_message()} ({asked} --help tells more)"), 2
        return Reply({}, error=_said(error)), 1
    if said == _CTRL_C:  # typer makes it of the KeyboardInterrupt
        return Reply({}, error=_INTERRUPTED), 1
    return (said, said.code) if isinstance(said, Reply) else (None, int(said or 0))


def _said(error: Exception) -> str:
    """What *error* says to people; the way to it goes to stderr, if it is a mistake of ours."""
    if isinstance(error, (SealError, OSError)):
        return str(error)
    show.traceback()
    return f"{type(error).__name__}: {error}"


@contextmanager
def _opened(home: Path, model: str | None) -> Iterator[SealAgent]:
    from seal_agent import agent

    with show.Progress() as say, agent.open(home, model, say=say) as opened:
        yield opened


def _number(version: str | None) -> int | None:
    if version is None:
        return None
    if version == "base":
        return 0
    if not version.isdecimal() or len(version) > 18:  # no longer one fits the table
        raise typer.BadParameter(f"a version is 'base' or a number, not {version!r}")
    return int(version)


# -- reading -------------------------------------------------------------------------------------------------


@app.command()
def observe(
    context: typer.Context,
    paths: Paths,
    home: Home = HOME,
    model: Model = None,
    json: Json = False,
    json_lines: Annotated[bool, typer.Option("--json-lines", help="One receipt a line, once committed.")] = False,
) -> Reply:
    """Read documents: decide on each, and write edits of what is worth learning."""
    if json and json_lines:
        raise typer.BadParameter("--json prints one document and --json-lines many; choose one")
    missing = [path for path in paths if path != "-" and not os.path.exists(path)]
    receipts: list[dict[str, Any]] = []
    with _opened(home, model) as agent:
        try:
            for receipt in _stream(agent, paths):
                receipts.append(show.receipt(receipt))
                if json_lines:
                    print(show.as_json(receipts[-1], indent=None), file=context.obj, flush=True)
        except BrokenPipeError:
            raise
        except Exception as error:
            broke = f"the stream broke after {len(receipts)} documents: {_said(error)}"
            return Reply({"receipts": receipts}, error=broke)
        except KeyboardInterrupt:
            return Reply({"receipts": receipts}, error=f"{_INTERRUPTED}: {len(receipts)} documents")
    text = "" if json_lines else lambda: show.receipts(receipts)
    nothing = f"there is no such file or folder: {', '.join(missing)}" if len(missing) == len(paths) else ""
    if receipts and not nothing and not any(receipt["id"] for receipt in receipts):
        nothing = f"nothing could be read: {receipts[0]['reason']}"
    return Reply({"receipts": receipts}, text, error=nothing)


def _stream(agent: SealAgent, paths: Iterable[str | Path]) -> Iterator[Receipt]:
    # One by one, so that a stream that breaks raises here instead of ending as one more refusal.
    for found in _found(paths, agent.settings.max_document_bytes):
        yield from agent.stream(found)


def _found(paths: Iterable[str | Path], limit: int) -> Iterator[Document | Refusal]:
    from seal_agent.reading import sources

    for path in paths:
        if path == "-" and sys.stdin is None:
            yield sources.Refusal(name="standard input", reason="it is closed")
        elif path == "-":
            yield from sources.stdin_documents(sys.stdin, limit_bytes=limit)
        else:
            yield from sources.documents(Path(path), limit_bytes=limit)


@app.command()
def quarantine(
    home: Home = HOME,
    model: Model = None,
    json: Json = False,
    release: Annotated[
        str | None,
        typer.Option("--release", metavar="ID", help="Let this held document through, whatever it contradicts."),
    ] = None,
) -> Reply:
    """What is held, which rows were set aside, and why; with --release, decide on a held document again, unscreened."""
    with _opened(home, model) as agent:
        found = agent.quarantine() if release is None else [agent.release(release)]
        told = {"document", "title", "prompt", "completion"}
        aside = [{**edit.model_dump(include=told), "reason": reason} for edit, reason in agent.journal.buffer.aside()]
    rows = [show.receipt(receipt) for receipt in found]
    data = {"receipts": rows, "aside": aside}
    return Reply(data, lambda: show.quarantine(data))


# -- learning ------------------------------------------------------------------------------------------------


@app.command()
def consolidate(home: Home = HOME, model: Model = None, json: Json = False) -> Reply:
    """Train on what waits, judge the candidate, and publish it or set it aside."""
    with _opened(home, model) as agent:
        done = agent.consolidate()
    data = done.model_dump(mode="json")
    return Reply(data, lambda: show.consolidation(data))


@app.command()
def improve(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Passages in SQuAD's shape; where questions are few the model asks itself."
        ),
    ],
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Writers tuned one after another.")] = 2,
    samples: Annotated[int, typer.Option("--samples", min=2, help="Edits tried of each passage.")] = 4,
    styles: Annotated[
        bool, typer.Option("--styles", help="Leave the writer as it is; see which styles of edit teach.")
    ] = False,
    home: Home = HOME,
    model: Model = None,
    json: Json = False,
) -> Reply:
    """Practise writing edits: learn from the questions given, then sample several edits of each passage and keep what helped."""
    from seal_agent.judging.quiz import practised
    from seal_agent.practising import cleaned

    read = practised(file)
    with _opened(home, model) as agent:
        given = cleaned(read, agent.settings.max_document_bytes)
        documents = [document.id for document in given]  # what `forget` is told
        if styles:
            menu = agent.menu(given)
            return Reply({**menu.model_dump(mode="json"), "documents": documents}, lambda: show.menu(menu))
        reports = agent.improve(given, rounds, samples)
        live = agent.writer()
    data = {
        "rounds": [report.model_dump(mode="json") for report in reports],
        "writer": live.number if live else 0,
        "documents": documents,
    }
    return Reply(data, "\n".join(f"round {n}: {r.outcome}: {r.reason}" for n, r in enumerate(reports, 1)))


@app.command()
def watch(
    paths: Watched,
    home: Home = HOME,
    model: Model = None,
    json: Json = False,
    every: Annotated[float, typer.Option("--every", min=0.1, max=1e6, help="Seconds between looks.")] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="One look, then end.")] = False,
) -> Reply:
    """Observe what appears under PATH…, consolidate when it is due; Ctrl-C ends it."""
    from seal_agent.watching import watch as run

    if "-" in paths:
        raise typer.BadParameter("standard input cannot be watched; use `seal-agent observe -`")
    with _opened(home, model) as agent:
        data = run(agent, [Path(path) for path in paths], every, once, show.note)
    missing = [path for path in paths if once and not os.path.exists(path)]
    nothing = f"there is no such file or folder: {', '.join(missing)}" if len(missing) == len(paths) else ""
    if once and data["refused"] and not data["documents"]:
        nothing = nothing or "nothing could be read"
    told = f"{data['documents']} documents read, {len(data['consolidations'])} consolidations"
    return Reply(data, told, error=nothing)


# -- answering -----------------------------------------------------------------------------------------------


@app.command()
def ask(question: Question, home: Home = HOME, model: Model = None, json: Json = False, version: Which = None) -> Reply:
    """Answer a question, closed-book, and say which version did."""
    number = _number(version)
    with _opened(home, model) as agent:
        answer = agent.ask(question, number)
    data = answer.model_dump(mode="json", exclude={"text"})
    return Reply({"answer": answer.text, **data}, f"{answer.text}\n\n{show.by(answer.version)}")


@app.command()
def quiz(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="[{title, context, questions: [{question, answer}]}], or SQuAD as it is published.",
        ),
    ],
    home: Home = HOME,
    model: Model = None,
    json: Json = False,
    version: Which = None,
    open_book: Annotated[bool, typer.Option("--open-book", help="Show the passage with it.")] = False,
    topic: Annotated[bool, typer.Option("--topic", help='Begin with "Topic: TITLE".')] = False,
) -> Reply:
    """Put the questions of a SQuAD-shaped file to a version, and grade the answers."""
    from seal_agent.judging import quiz as judging

    number, items = _number(version), judging.read(file)
    with _opened(home, model) as agent:
        data = judging.quiz(agent, items, number, open_book, topic)
    return Reply(data, lambda: show.quiz(data))


# -- looking back --------------------------------------------------------------------------------------------


@app.command()
def status(home: Home = HOME, model: Model = None, json: Json = False) -> Reply:
    """Counts of everything. Loads no model."""
    with _opened(home, model) as agent:
        data = agent.status()
    return Reply(data, lambda: show.status(data, home))


@app.command()
def versions(home: Home = HOME, model: Model = None, json: Json = False) -> Reply:
    """Every version, oldest first."""
    with _opened(home, model) as agent:
        data = [version.model_dump(mode="json") for version in agent.versions()]
    return Reply(data, (lambda: show.versions(data)) if data else "no version yet: the untouched base answers")


@app.command(name="show")
def show_version(number: Number, home: Home = HOME, model: Model = None, json: Json = False) -> Reply:
    """The gate's report on a version."""
    with _opened(home, model) as agent:
        data = agent.journal.versions.one(_number(number) or 0).model_dump(mode="json")
    return Reply(data, lambda: show.version(data))


@app.command()
def diff(older: Number, newer: Number, home: Home = HOME, model: Model = None, json: Json = False) -> Reply:
    """Which checks versions OLDER and NEWER answer in other words."""
    from seal_agent.judging import comparing

    numbers = _number(older) or 0, _number(newer) or 0
    with _opened(home, model) as agent:
        data = comparing.diff(agent, *numbers)
    return Reply(data, lambda: show.pairs(data))


@app.command()
def bisect(question: Question, home: Home = HOME, model: Model = None, json: Json = False) -> Reply:
    """Which consolidation changed the answer to QUESTION into the one given now."""
    from seal_agent.judging import comparing

    with _opened(home, model) as agent:
        data = comparing.bisect(agent, question)
    return Reply(data, lambda: show.pairs(data))


@app.command()
def why(question: Question, home: Home = HOME, model: Model = None, json: Json = False) -> Reply:
    """The answer to QUESTION, the taught sentences nearest to that, and which consolidation learned them."""
    from seal_agent.judging import comparing

    with _opened(home, model) as agent:
        data = comparing.why(agent, question)
    return Reply(data, lambda: show.pairs(data))


@app.command()
def rollback(
    to: Annotated[str | None, typer.Argument(metavar="[N]", help="'base' or a number.")] = None,
    home: Home = HOME,
    model: Model = None,
    json: Json = False,
) -> Reply:
    """Return to the live version's parent, or to version N."""
    number = _number(to)
    with _opened(home, model) as agent:
        live = agent.rollback(number)
    return Reply({"live": live}, f"live now: {show.name(live)}")


@app.command()
def forget(
    document: Annotated[str, typer.Argument(metavar="ID", help="As `observe` and `quarantine` print it.")],
    home: Home = HOME,
    model: Model = None,
    json: Json = False,
) -> Reply:
    """Make the home what it would be had it never read document ID; exit 1 if some of its text is still there."""
    with _opened(home, model) as agent:
        data = agent.forget(document).model_dump(mode="json")
    left = f"text of {document} still stands in {', '.join(data['left'])}" if data["left"] else ""
    return Reply(data, lambda: show.pairs(data), error=left)


@app.command()
def verify(home: Home = HOME, model: Model = None, json: Json = False) -> Reply:
    """Check the journal and the adapters on disk; exit 1 if anything is wrong."""
    with _opened(home, model) as agent:
        problems = agent.verify()
    sound = "" if problems else f"{home}: all is sound"
    return Reply({"problems": problems}, sound, error="\n".join(problems))


@app.command()
def doctor(home: Home = HOME, model: Model = None, json: Json = False) -> Reply:
    """What is installed, which device is used, whether the models are there; exit 1 if not all is well."""
    data = _examined(home, model)
    return Reply(data, lambda: show.pairs(data), error="\n".join(data["problems"]))


def _examined(home: Path, model: str | None) -> dict[str, Any]:
    from importlib.metadata import version

    from seal_agent import settings
    from seal_agent.learning import embedded

    chosen = settings.read(home, model=model).model
    free = shutil.disk_usage(_existing(home)).free / 2**30
    wheels = [embedded.EMBEDDER, *([embedded.MODEL] if chosen == embedded.MODEL.folder else [])]
    cache = embedded.cache()
    lacking = [wheel.folder for wheel in wheels if not (cache / wheel.folder / "config.json").exists()]
    problems = [f"{name} is not in {cache}; bring it with: seal-agent fetch" for name in lacking]
    if chosen != embedded.MODEL.folder and (problem := _missing(chosen)):
        lacking.append(chosen)
        problems.append(problem)
    lock, locked = _lock(home)
    if not (place := _existing(home)).is_dir():
        problems.append(f"{place} is no folder; name another home")
    elif locked:
        problems.append(locked)
    if free < 1:
        problems.append(f"{free:.1f} GiB are free where {home} lies; a home needs about 1")
    return {
        "python": sys.version.split()[0],
        **{name: version(name) for name in _TOLD},
        **_device(),
        "cache": str(cache),
        "model": chosen,
        "models present": not lacking,
        "free GiB": round(free, 1),
        "home": str(home.absolute()),
        "lock": lock,
        "problems": problems,
    }


def _missing(model: str) -> str:
    """What is wrong with where *model* should be, or ""."""
    from seal_agent.learning.models import where

    try:
        there = (Path(where(model)) / "config.json").exists()
    except ConfigError as error:
        return str(error)
    return "" if there else f"{model} has no config.json; name another model"


def _device() -> dict[str, str]:
    from seal_agent.learning import devices

    return {"device": str(devices.device()), "dtype": str(devices.base_dtype()).removeprefix("torch.")}


def _lock(home: Path) -> tuple[str, str]:
    """What is to be told of the lock of *home*, and what is wrong with it, if anything is."""
    from seal_agent.journal import HomeLock

    if not (home / "seal.lock").exists():  # looking makes nothing
        return "free", ""
    try:
        with HomeLock(home):
            return "free", ""
    except HomeBusy as error:
        return str(error), ""
    except SealError as error:
        return "out of order", str(error)


def _existing(folder: Path) -> Path:
    """*folder* or the nearest folder above it that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


# -- beginning -----------------------------------------------------------------------------------------------


@app.command()
def fetch(home: Home = HOME, model: Model = None, json: Json = False) -> Reply:
    """Bring the embedded model and embedder, once."""
    from seal_agent.learning import embedded

    if model not in (None, embedded.MODEL.folder):
        raise ConfigError(f"only {embedded.MODEL.folder} can be fetched, not {model!r}; bring that yourself")
    folders = [str(folder) for folder in embedded.fetch(show.note)]
    return Reply({"folders": folders}, "\n".join(folders))


@app.command()
def demo(
    home: show.Kept = None,
    model: Model = None,
    json: Json = False,
    full: Annotated[bool, typer.Option("--full", help="All of the corpus, in six waves.")] = False,
    seed: show.Seed = 0,
    picture: Annotated[
        Path,
        typer.Option(
            "--picture", metavar="FILE.png", help="Where the picture of the figures goes.", callback=show.drawable
        ),
    ] = Path("demo.png"),
    unwritten: Annotated[bool, typer.Option("--unwritten", help="The arm without rows the model wrote.")] = False,
) -> Reply:
    """The main job on the built-in invented corpus: what is recalled before and after, and what is kept."""
    from seal_agent.bench.demo import UNWRITTEN, run, told

    arm = {"styles": UNWRITTEN} if unwritten else {}
    with tempfile.TemporaryDirectory(prefix="seal-demo-") as scratch, show.Progress() as say:
        data = run(home or Path(scratch), full, seed, model, picture, say, show.note, **arm)
    return Reply(data, lambda: f"{told(data)}\npicture: {picture}")


if __name__ == "__main__":
    sys.exit(main())
