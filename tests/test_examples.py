"""Every example runs, on a fake model where it needs one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from seal_agent.testing import fake_agent

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run_here() -> None:
    here = Path(__file__).read_text()

    assert [path.stem for path in EXAMPLES.glob("*.py") if f'example("{path.stem}")' not in here] == []


def test_the_langchain_agent_learns_what_its_tool_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("langchain_agent").main(fake_agent(tmp_path))

    assert "smollm2-135m@1: Anstrow: Mirelle Oake keeps the lighthouse of Anstrow." in capsys.readouterr().out


def test_a_watched_folder_is_learned_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "tarn.txt").write_text(example("custom_check").NEWS)
    agent = fake_agent(tmp_path / "home", consolidate_after=1)
    example("watch_folder").main(agent, folder, rounds=2, pause=0)

    said = capsys.readouterr().out
    assert said.count("tarn.txt: edit") == 1
    assert "version 1 is live" in said


def test_a_custom_check_is_asked_by_the_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("custom_check").main(fake_agent(tmp_path))

    assert capsys.readouterr().out.count("before False, after False") == 2


def test_replay_keeps_the_first_lesson_in_a_loop_of_ones_own() -> None:
    kept = example("own_training_loop").main()

    assert kept["after the first lesson"] == 1
    assert kept["after the second, replay"] >= kept["after the second, no replay"] + 0.4


def test_a_few_tickets_are_labelled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("few_shot").main(fake_agent(tmp_path))

    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ", 1)[1] for line in said] == example("few_shot").TICKETS
