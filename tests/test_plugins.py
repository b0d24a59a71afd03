"""Someone else's package brings a style and a check through entry points; both are used like our own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import MILL, Make

from seal_agent.errors import ConfigError, PartError

OUTSIDE = '''
"""A package that knows seal_agent; seal_agent does not know it."""
from seal_agent.records import Check, SelfEdit

def mottoes(passage, writer, seed):
    for sentence in passage.sentences:
        yield SelfEdit(document=passage.document, title=passage.title, style="mottoes", origin="cut",
                       prompt=f"Motto: {sentence[:9]}", completion=sentence, fact=sentence)

def capitals():
    yield Check(id="c-capital", kind="user", question="Which city is the capital of France?", gold="Paris")
'''
ENTRY_POINTS = """
[seal_agent.styles]
mottoes = outside:mottoes

[seal_agent.checks]
capitals = outside:capitals
"""
PASS = """
import sys
from seal_agent.testing import fake_agent
agent = fake_agent(sys.argv[1])
agent.observe(sys.argv[2])
print(*{edit.style for edit in agent.journal.buffer.waiting()})
print(*(result.check for result in agent.consolidate().report.results))
"""


def test_a_style_and_a_check_from_outside_are_used(tmp_path: Path) -> None:
    facts = tmp_path / "outside-0.1.dist-info"
    facts.mkdir()
    (tmp_path / "outside.py").write_text(OUTSIDE)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 0.1\n")
    (facts / "entry_points.txt").write_text(ENTRY_POINTS)

    command = [sys.executable, "-c", PASS, str(tmp_path / "home"), MILL.text]
    where = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=where)

    styles, checks = done.stdout.splitlines()
    assert {"mottoes", "facts", "questions", "asked"} <= set(styles.split())
    assert "c-capital" in checks.split()


def test_a_setting_chooses_among_what_is_installed(make: Make) -> None:
    agent = make(styles=("facts",))
    agent.observe(MILL)
    assert {edit.style for edit in agent.journal.buffer.waiting()} == {"facts"}


def test_a_name_that_is_not_installed_lists_those_that_are(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"fatcs.*asked, blanks, facts, .*questions"):
        make(styles=("fatcs",))


def test_a_part_that_breaks_is_named_and_nothing_is_written_down(make: Make) -> None:
    def broken(*given: object) -> list[object]:
        raise ZeroDivisionError("by design")

    agent = make()
    agent.rooms.styles["odd"] = broken  # type: ignore[assignment]
    with pytest.raises(PartError, match="style 'odd' failed") as caught:
        agent.observe(MILL)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert agent.status()["documents"]["total"] == 0


def test_a_part_that_cannot_be_imported_is_named_with_its_package(tmp_path: Path) -> None:
    facts = tmp_path / "bad-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[seal_agent.checks]\nmine = nowhere:made\n")

    command = [sys.executable, "-m", "seal_agent", "status", "--json", "--home", str(tmp_path / "home")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "'mine' of bad cannot be imported from nowhere:made" in json.loads(done.stdout)["error"]


def test_a_decider_that_breaks_or_gives_no_decision_is_named(make: Make) -> None:
    agent = make()
    for decider, problem in ((lambda *given: 1 / 0, "failed on document"), (lambda *given: "edit", "is no Decision")):
        agent.rooms = replace(agent.rooms, decider=decider)
        with pytest.raises(PartError, match=f"decider 'novelty' .*{problem}"):
            agent.observe(MILL)
    assert agent.status()["documents"]["total"] == 0
