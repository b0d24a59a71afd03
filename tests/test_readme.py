"""The README's blocks run as they stand, and its commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

import seal_agent
from seal_agent import agent as agents
from seal_agent.cli import main
from seal_agent.testing import fake_agent

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line
]


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Homes open in a temporary folder, with a learner that needs no torch."""
    monkeypatch.chdir(tmp_path)

    def opened(home: str | Path, model: str | None = None, **given: object) -> agents.SealAgent:
        return fake_agent(tmp_path / home)

    monkeypatch.setattr(agents, "open", opened)
    monkeypatch.setitem(vars(seal_agent), "open", opened)


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.strip().splitlines()[-1][:40])
def test_a_python_block_runs(block: str) -> None:
    """Word for word."""
    exec(compile(block, "README.md", "exec"), {})


def test_there_are_blocks_to_run() -> None:
    """A README without examples would pass the test above."""
    assert len(PYTHON) >= 2
    assert len(COMMANDS) >= 10


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("seal-agent")])
def test_a_command_of_the_readme_exists(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And takes the options shown."""
    words = shlex.split(line, comments=True)[1:]
    shown = {word for word in words if word.startswith("--")}

    assert main([words[0], "--help"]) == 0
    text = capsys.readouterr().out
    assert all(option in text for option in shown)


def test_every_command_is_in_the_readme() -> None:
    """Nobody has to guess what there is."""
    from seal_agent.cli import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands}

    assert not {
        name
        for name in names
        if f"`{name}" not in README and f"seal-agent {name}" not in README and f"{name} " not in README
    }


def test_the_make_targets_of_the_readme_exist() -> None:
    """make demo and make test."""
    makefile = (Path(__file__).parent.parent / "Makefile").read_text("utf-8")

    for target in re.findall(r"^make (\w+)", "\n".join(COMMANDS), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("place", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_what_the_readme_shows_is_in_the_repository(place: str) -> None:
    """Pictures and links; what git ignores would be missing in every clone."""
    root = Path(__file__).parent.parent
    ignored = subprocess.run(["git", "check-ignore", "-q", place], cwd=root, check=False).returncode == 0

    assert (root / place).is_file()
    assert not ignored
