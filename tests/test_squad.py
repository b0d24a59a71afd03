"""`bench squad`: what SEAL's published edits are trained as, and arms that are paired by passage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny

from seal_agent.bench import squad
from seal_agent.errors import ConfigError

TEXT = "Alder Mill was started in 1871 by Tobias Renn. It ground barley for the brewers of Calden."


def lines(completion: str) -> list[str]:
    return [example.completion for example in squad.sequences("Alder Mill", completion, TEXT)]


def test_each_line_of_an_edit_is_trained_by_itself_and_the_passage_last() -> None:
    assert lines("one\n\n two \n---\nthree") == ["one", "two", "three", TEXT]
    assert lines("") == [TEXT]
    assert {example.title for example in squad.sequences("Alder Mill", "one", TEXT)} == {"Alder Mill"}


def test_what_stands_before_a_numbered_list_is_dropped() -> None:
    assert lines("Here are some implications:\n1. one\n2. two") == ["1. one", "2. two", TEXT]


def test_questions_and_answers_stay_together() -> None:
    edit = "Question 1: When?\nAnswer: In 1871.\n\nQuestion 2: Who?\nAnswer: Tobias Renn."

    assert lines(edit) == ["Question 1: When?\nAnswer: In 1871.", "Question 2: Who?\nAnswer: Tobias Renn.", TEXT]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two passages, two questions each, edits by one other writer."""
    folder = tmp_path / "data"
    folder.mkdir()
    asked = [{"question": "Who started it?", "answer": "Tobias Renn"}, {"question": "When?", "answer": "1871"}]
    passages = [{"title": f"Mill {n}", "context": f"{TEXT} It has {n} wheels.", "questions": asked} for n in (2, 3)]
    (folder / "passages.json").write_text(json.dumps(passages))
    (folder / "edits-base-implications.json").write_text(json.dumps([["one\ntwo"] * 5] * 2))
    return folder


def test_every_arm_answers_the_same_questions_of_the_same_passages(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is finished is not done again; another arm is added to it."""
    monkeypatch.setattr(squad, "_TOKENS", 300)
    model = str(tiny.write(tmp_path / "tiny"))

    fewer = squad.run(tmp_path / "out", data, n=2, arms=["passage"], model=model)
    result = squad.run(tmp_path / "out", data, n=2, model=model)

    assert set(fewer["arms"]) == {"base", "open_book", "passage"}
    assert fewer["arms"]["passage"] == result["arms"]["passage"]
    arms = {"base", "open_book", "passage", "base-implications", "ours_before"}
    for table in (result, result["alone"]):
        assert set(table["arms"]) == arms
        assert {"ours_before - passage", "ours_before - base-implications"} == set(table["paired"])
    assert (result["n"], result["alone"]["n"], result["questions"]) == (2, 2, 4)
    assert squad.run(tmp_path / "out", data, n=2, model=model) == result
    assert "one passage an adapter" in squad.told(result)


def test_an_arm_nobody_knows_and_a_home_without_a_tuned_writer_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no arm called gpt-5; there are passage, base-implications, ours_before"):
        squad.run(tmp_path / "out", data, n=2, arms=["gpt-5"])
    with pytest.raises(ConfigError, match="no writer was tuned"):
        squad.run(tmp_path / "out", data, n=2, practised=tmp_path / "home", model=str(tiny.write(tmp_path / "tiny")))


def test_fewer_passages_than_wanted_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="2 passages, 3 wanted"):
        squad.run(tmp_path, data, n=3)
