"""The front door opens at once: importing the package and asking for the status load nothing heavy."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import seal_agent

HEAVY = ("torch", "transformers", "peft", "chromadb", "langchain", "langchain_core", "scipy", "matplotlib")


def loaded(code: str) -> tuple[float, set[str]]:
    """Seconds that *code* takes in a fresh interpreter, and what it loads."""
    told = "import sys, time; t = time.perf_counter()\n" + code + "\nprint(time.perf_counter() - t, *sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    seconds, *modules = done.stdout.splitlines()[-1].split()
    return float(seconds), set(modules)


def test_importing_the_package_is_quick_and_light() -> None:
    runs = [loaded("import seal_agent") for _ in range(3)]
    assert min(seconds for seconds, _ in runs) < 0.3  # the best of three: the machine may be busy with others
    assert not runs[0][1] & {*HEAVY, "numpy", "pydantic", "typer"}


@pytest.mark.parametrize(
    "code",
    [
        "import seal_agent; [getattr(seal_agent, name) for name in seal_agent.__all__]",
        "import seal_agent; seal_agent.open({home!r}).status()",
        "from seal_agent.cli import main; main(['status', '--json', '--home', {home!r}])",
        "from seal_agent.cli import main; main(['versions', '--home', {home!r}])",
        "import seal_agent.testing",
    ],
)
def test_what_needs_no_model_loads_none(code: str, tmp_path: Path) -> None:
    _, modules = loaded(code.format(home=str(tmp_path)))
    assert not modules & set(HEAVY)


@pytest.mark.alone
def test_status_answers_within_a_second(tmp_path: Path) -> None:
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        command = [sys.executable, "-m", "seal_agent", "status", "--json", "--home", str(tmp_path)]
        subprocess.run(command, capture_output=True, check=True)
        taken.append(time.perf_counter() - started)
    assert min(taken) < 1.0


def test_every_public_name_is_there_and_listed() -> None:
    assert set(seal_agent.__all__) <= set(dir(seal_agent))
    assert all(getattr(seal_agent, name) is not None for name in seal_agent.__all__)
    assert seal_agent.__version__ == "0.1.0"


def test_a_name_that_is_not_there_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Seal'"):
        seal_agent.Seal  # noqa: B018 - looking it up is the test
