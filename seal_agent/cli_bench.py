"""
`seal-agent bench`: the measurements on the command line.

Promises: each prints one document with what it measured and on how much; finished parts are kept in --out and not done again.
Does not promise: to measure anything with --quick, which only shows that all runs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from seal_agent import cli_show as show
from seal_agent.cli_show import Json, Model, Reply

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        parser=show.folder,
        help="Measure the model this home is set to, unless --model names one; no more of it is used.",
    ),
]

Arms = Annotated[str, typer.Option("--arms", help="Some of the arms, with commas between.")]
bench = typer.Typer(help="The measurements.", pretty_exceptions_enable=False)


@bench.command()
def decide(
    home: show.Kept = None,
    model: Model = None,
    json: Json = False,
    tuning: Annotated[bool, typer.Option("--tuning", help="The stream the thresholds were frozen on.")] = False,
) -> Reply:
    """Seventy documents after twenty were learned: which are edited, held, skipped?"""
    from seal_agent.bench.decide import run

    with tempfile.TemporaryDirectory(prefix="seal-decide-") as scratch, show.Progress() as say:
        data = run(home or Path(scratch), "decide_tuning" if tuning else "decide_shown", model, say)
    return Reply(data, lambda: show.pairs({key: value for key, value in data.items() if key != "rows"}))


@bench.command()
def speed(
    data: Annotated[
        Path | None, typer.Option("--data", help="A folder of SEAL's published edits; else built in.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Finished parts are kept here.")] = Path("seal-speed"),
    quick: Annotated[bool, typer.Option("--quick", help="One lesson, one rate, two rivals, three epochs.")] = False,
    home: Home = None,
    model: Model = None,
    json: Json = False,
    seed: show.Seed = 0,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE.png", help="Draw the ladder.", callback=show.drawable)
    ] = None,
) -> Reply:
    """The engine against transformers, TRL and SEAL's inner loop: the same lessons until the same loss."""
    from seal_agent.bench.speed import draw, run, told

    with show.Progress() as say:
        result = run(data, _model(home, model), quick, seed, out, say, show.note)
    if picture:
        draw(result, picture)
    return Reply(result, lambda: told(result))


@bench.command()
def gate(
    home: Annotated[
        Path | None, typer.Option("--home", metavar="DIR", parser=show.folder, help="Taken as everywhere, not used.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Taken as everywhere, not used.")] = None,
    json: Json = False,
    n: Annotated[int, typer.Option("--n", min=1, help="Candidates of each kind.")] = 200,
    quick: Annotated[bool, typer.Option("--quick", help="Twenty candidates of each kind: does all of it run?")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Keep the result here, and give it again.")] = None,
    seed: show.Seed = 0,
) -> Reply:
    """Candidates of which it is known what they are worth, and twenty small losses in a row. Loads no model."""
    from seal_agent.bench.gate import run, told

    result = run(min(n, 20) if quick else n, seed, out)
    return Reply(result, lambda: told(result))


@bench.command()
def stream(
    data: Annotated[Path | None, typer.Option("--data", help="A folder with SEAL's passages; else built in.")] = None,
    n: Annotated[
        int, typer.Option("--n", min=1, help="Documents in a row; above 20 they are learned ten at a time.")
    ] = 8,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Streams, each in an order of its own.")] = 1,
    arms: Arms = "",
    quick: Annotated[bool, typer.Option("--quick", help="Two documents, two arms: does all of it run?")] = False,
    out: Annotated[Path, typer.Option("--out", help="Homes and finished steps are kept here.")] = Path("seal-stream"),
    home: Home = None,
    model: Model = None,
    json: Json = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE.png", help="Draw the curves.", callback=show.drawable)
    ] = None,
) -> Reply:
    """Documents in a row: what is left of each, under our policy, parts of it, SEAL's, and a vector store."""
    from seal_agent.bench.stream import draw, run, told

    with show.Progress() as say:
        result = run(out, data, n, seeds, _named(arms), quick, _model(home, model), say, show.note)
    if picture:
        draw(result, picture)
    return Reply(result, lambda: told(result))


@bench.command()
def supersede(
    n: Annotated[int, typer.Option("--n", min=1, help="Documents; five facts of each change.")] = 10,
    arms: Arms = "",
    out: Annotated[Path, typer.Option("--out", help="Homes and finished steps are kept here.")] = Path(
        "seal-supersede"
    ),
    home: Home = None,
    model: Model = None,
    json: Json = False,
) -> Reply:
    """Newer texts of documents that were learned: new values, stale ones, and what did not change."""
    from seal_agent.bench.superseding import run, told

    with show.Progress() as say:
        result = run(out, n, _named(arms), _model(home, model), say, show.note)
    return Reply(result, lambda: told(result))


@bench.command()
def fewshot(
    data: Annotated[
        Path | None, typer.Option("--data", help="A folder with ARC's tasks; else built in, of text.")
    ] = None,
    arms: Arms = "",
    out: Annotated[Path, typer.Option("--out", help="Finished tasks are kept here.")] = Path("seal-fewshot"),
    quick: Annotated[bool, typer.Option("--quick", help="Two tasks of each part: does all of it run?")] = False,
    seed: show.Seed = 0,
    home: Home = None,
    model: Model = None,
    json: Json = False,
) -> Reply:
    """Few-shot tasks: shown only, trained in a fixed way, and as the model says before and after it learned what to say."""
    from seal_agent.bench.fewshot import run, told

    with show.Progress() as say:
        result = run(out, data, _model(home, model), seed, _named(arms), quick, say, show.note)
    return Reply(result, lambda: told(result))


@bench.command()
def squad(
    data: Annotated[Path, typer.Option("--data", help="A folder with SEAL's passages and edits.")],
    n: Annotated[int, typer.Option("--n", min=2, help="Passages.")] = 20,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each arm.")] = 1,
    arms: Arms = "",
    quick: Annotated[bool, typer.Option("--quick", help="Three passages, few tokens: does all of it run?")] = False,
    out: Annotated[Path, typer.Option("--out", help="Finished passages are kept here.")] = Path("seal-squad"),
    home: Annotated[
        Path | None,
        typer.Option(
            "--home",
            metavar="DIR",
            parser=show.folder,
            help="A home in which improve tuned the writer: the arm ours_after. Its model is measured.",
        ),
    ] = None,
    model: Model = None,
    json: Json = False,
) -> Reply:
    """Closed-book questions after training on a passage, on other writers' edits of it, and on ours."""
    from seal_agent.bench.squad import run, told

    with show.Progress() as say:
        result = run(out, data, n, seeds, home, _named(arms), quick, _model(home, model), say, show.note)
    return Reply(result, lambda: told(result))


@bench.command()
def reward(
    data: Annotated[Path, typer.Option("--data", help="A folder with SEAL's passages.")],
    n: Annotated[int, typer.Option("--n", min=1, help="Passages.")] = 10,
    samples: Annotated[int, typer.Option("--samples", min=2, help="Edits of each.")] = 5,
    seeds: Annotated[int, typer.Option("--seeds", min=2, help="Trainings of each edit.")] = 2,
    quick: Annotated[bool, typer.Option("--quick", help="Two passages, two edits: does all of it run?")] = False,
    out: Annotated[Path, typer.Option("--out", help="Finished passages are kept here.")] = Path("seal-reward"),
    home: Home = None,
    model: Model = None,
    json: Json = False,
) -> Reply:
    """Does the reward of the outer loop rank edits? Its agreement with itself, with right answers, with mere length."""
    from seal_agent.bench.reward import run, told

    with show.Progress() as say:
        result = run(out, data, *((2, 2, 2) if quick else (n, samples, seeds)), _model(home, model), say, show.note)
    return Reply(result, lambda: told(result))


def _named(arms: str) -> list[str]:
    named = [arm.strip() for arm in arms.split(",") if arm.strip()]
    if arms and not named:
        raise typer.BadParameter(f"{arms!r} names no arm")
    return named


def _model(home: Path | None, model: str | None) -> str | None:
    """The model that is named, else the one *home* is set to."""
    from seal_agent import settings

    return settings.read(home, model=model).model if home else model
