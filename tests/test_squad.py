"""`bench squad`: what SEAL's published edits are trained as, and arms that are paired by passage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
from test_forgetting import tune

from seal_agent import agent as agents
from seal_agent import parts
from seal_agent.bench import squad
from seal_agent.editing.styles import row
from seal_agent.errors import ConfigError
from seal_agent.learning.learner import LoraLearner
from seal_agent.parts import Example, Trial
from seal_agent.records import Document, SelfEdit, Version
from seal_agent.testing import FakeLearner, fake_agent
from seal_agent.wiring import Rooms

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
    """Two passages, two questions each, edits by two other writers."""
    folder = tmp_path / "data"
    folder.mkdir()
    asked = [{"question": "Who started it?", "answer": "Tobias Renn"}, {"question": "When?", "answer": "1871"}]
    passages = [{"title": f"Mill {n}", "context": f"{TEXT} It has {n} wheels.", "questions": asked} for n in (2, 3)]
    (folder / "passages.json").write_text(json.dumps(passages))
    for writer in ("base", "seal-round2"):
        (folder / f"edits-{writer}-implications.json").write_text(json.dumps([["one\ntwo"] * 5] * 2))
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
    others = {"passage", "base-implications", "seal-round2-implications", "seal_recipe"}
    for table in (result, result["alone"]):
        assert set(table["arms"]) == {"base", "open_book", "ours_before", *others}
        assert {f"ours_before - {other}" for other in others} == set(table["paired"])
    assert (result["n"], result["alone"]["n"], result["questions"]) == (2, 2, 4)
    assert all({"f1", "shuffled", "seen", "article_mean"} <= arm.keys() for arm in result["arms"].values())
    assert squad.run(tmp_path / "out", data, n=2, model=model) == result
    assert "one passage an adapter" in squad.told(result)


def test_an_arm_that_is_finished_is_kept_if_the_next_one_breaks(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many passages each takes an hour."""
    monkeypatch.setattr(squad, "_TOKENS", 300)
    model, trained, real = str(tiny.write(tmp_path / "tiny")), [], squad._Bench._trained

    def breaks(self: Any, lessons: Any, every: Any) -> Any:
        trained.append(list(lessons))
        if len(trained) == 2:
            raise KeyboardInterrupt
        return real(self, lessons, every)

    monkeypatch.setattr(squad._Bench, "_trained", breaks)
    arms = ["passage", "base-implications"]
    with pytest.raises(KeyboardInterrupt):
        squad.run(tmp_path / "out", data, n=2, arms=arms, model=model)
    result = squad.run(tmp_path / "out", data, n=2, arms=arms, model=model)

    assert trained == [["passage"], ["base-implications"], ["base-implications"], arms, arms]
    assert {"base", "open_book", *arms} == set(result["arms"]) == set(result["alone"]["arms"])


def test_no_arm_is_trained_on_more_tokens_than_another(data: Path, tmp_path: Path) -> None:
    """Whole times and a part more: rounded to epochs, whose edits are longer would be trained up to a third less."""
    with agents.open(tmp_path / "home", model=str(tiny.write(tmp_path / "tiny"))) as agent:
        bench = squad._Bench(agent, 0, [], 500, None, tmp_path, print)

        def tokens(rows: Sequence[Example]) -> int:
            return sum(agent.learner.count(f"{row.title} {row.prompt} {row.completion}") for row in rows)

        for size in (3, 7, 11):
            rows = [Example(f"Who has {n}?", f"Mill {n} has {n}.", "Mill") for n in range(size)]
            long = bench._long("ours_before", [rows[:2], rows[2:]])
            assert 0 <= tokens(long) - 2 * 500 <= max(tokens([row]) for row in rows)
            times = [long.count(row) for row in rows]
            assert max(times) - min(times) <= 1
        assert bench._long("seal_recipe", [rows]) == rows


def test_a_question_that_was_trained_in_the_same_words_is_told_of() -> None:
    from seal_agent.judging.quiz import seen

    items = [{"question": "When was the Mill built?"}, {"question": "Who built it?"}]
    assert seen(items, ["when was the mill built", "Who keeps it?"]) == [True, False]


def test_an_arm_nobody_knows_and_a_home_without_a_tuned_writer_are_refused(data: Path, tmp_path: Path) -> None:
    known = "passage, base-implications, seal-round2-implications, seal_recipe, ours_before, ours_after, ours_before_implications"
    with pytest.raises(ConfigError, match=f"no arm called gpt-5; there are {known}"):
        squad.run(tmp_path / "out", data, n=2, arms=["gpt-5"])
    for home in (None, tmp_path / "home"):
        for arm in ("ours_after", "ours_after_rewrite"):
            refused = rf"{arm} is written .*(no|none is live in .*) ?home.*`seal-agent improve .* --home DIR`"
            with pytest.raises(ConfigError, match=refused):
                squad.run(tmp_path / "out", data, n=2, home=home, arms=[arm])


def test_the_arm_of_a_tuned_writer_is_usual_where_the_home_has_one_and_else_said_to_be_left_out(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = Version(number=1, id="v", parent=0, status="live", created="", digest="d" * 64, path="writer")
    monkeypatch.setattr(agents, "open", fake_agent)
    said: list[str] = []

    def arms() -> set[str]:
        result = squad.run(tmp_path / "out", data, n=2, home=tmp_path / "home", say_line=said.append)
        return set(result["arms"])

    without = arms()
    monkeypatch.setattr(squad, "_writer", lambda home, model, measured: version)

    assert arms() - without == {"ours_after"}
    assert [line for line in said if "left out" in line] == said[:1]


def test_what_another_writer_another_model_or_other_edits_made_is_not_taken_for_this_ones(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written and trained anew; what was finished under the same names stays finished."""
    trained: list[str] = []
    train = FakeLearner.train_many

    def noting(learner: FakeLearner, trials: Sequence[Trial], *given: Any) -> list[dict[str, Any]]:
        trained.extend(trial.examples[0].completion for trial in trials)
        return train(learner, trials, *given)

    def written(rooms: Rooms, tuned: Path | None) -> Any:
        def edit(document: Document, *given: Any) -> tuple[list[SelfEdit], list[Any]]:
            row = SelfEdit(
                document=document.id, style="s", origin="written", prompt="", completion=f"by {tuned}", fact=""
            )
            return [row], []

        return SimpleNamespace(edit=edit)

    def ran(arm: str, writer: str = "first", model: str = "one") -> list[str]:
        version = Version(number=1, id="v", parent=0, status="live", created="", digest=writer * 9, path=writer)
        monkeypatch.setattr(squad, "_writer", lambda home, model, measured: version)
        trained.clear()
        squad.run(tmp_path / "out", data, n=2, home=tmp_path, arms=[arm], model=model)
        return sorted(set(trained))

    monkeypatch.setattr(agents, "open", fake_agent)
    monkeypatch.setattr(FakeLearner, "train_many", noting)
    monkeypatch.setattr(Rooms, "writing_with", written)

    assert ran("ours_after") == ["by first"]
    assert ran("ours_after") == []
    assert ran("ours_after", "second") == ["by second"]
    assert ran("ours_after", model="two") == ["by first"]
    assert ran("ours_after") == []
    assert ran("base-implications") == ["one"]
    (data / "edits-base-implications.json").write_text(json.dumps([["three\nfour"] * 5] * 2))
    assert ran("base-implications") == ["three"]
    (data / "passages.json").write_text((data / "passages.json").read_text().replace("1871", "1872"))
    assert ran("ours_after") == ["by first"]


def test_an_arm_of_one_style_trains_what_that_style_writes_and_the_passage_and_stands_beside_others_of_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes it; what our usual styles write of the same passage is another arm."""
    trained: dict[str, list[Example]] = {}
    train = FakeLearner.train_many

    def noting(learner: FakeLearner, trials: Sequence[Trial], *given: Any) -> list[dict[str, Any]]:
        trained.update({trial.out.name: list(dict.fromkeys(trial.examples)) for trial in trials})
        return train(learner, trials, *given)

    def find(kind: str, name: str, found: Any = parts.find) -> Any:
        def style(passage: Any, writer: Any, seed: int) -> Any:
            yield row(passage, name, "verbatim", "", passage.sentences[0], passage.sentences[0])

        return style if kind == "styles" else found(kind, name)

    version = Version(number=1, id="v", parent=0, status="live", created="", digest="d" * 64, path="writer")
    monkeypatch.setattr(squad, "_writer", lambda home, model, measured: version)
    monkeypatch.setattr(agents, "open", fake_agent)
    monkeypatch.setattr(FakeLearner, "train_many", noting)
    monkeypatch.setattr(parts, "find", find)
    arms = ["ours_before", "ours_before_rewrite", "ours_after_implications", "base-implications"]

    result = squad.run(tmp_path / "out", data, n=2, home=tmp_path, arms=arms)

    first, passage = (
        "Alder Mill was started in 1871 by Tobias Renn.",
        f"{TEXT} It has 3 wheels.",
    )  # the last to be trained
    for arm in arms[1:3]:
        assert [(one.prompt, one.completion) for one in trained[arm]] == [("", first), ("", passage)]
    assert len(trained["ours_before"]) > 2
    assert {f"{arm} - base-implications" for arm in arms[:3]} == set(result["paired"])
    for kept in ("before-rewrite", "d" * 12 + "-implications", "before"):
        assert len(list((tmp_path / "out").glob(f"*/rows-*-0-{kept}.json"))) == 2


def test_fewer_passages_than_wanted_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="2 passages, 3 wanted"):
        squad.run(tmp_path, data, n=3)


def test_seal_recipe_trains_its_edits_as_long_as_seal_does_whatever_the_others_may_take(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten epochs, a row a step; the other arms take the tokens they are given."""
    monkeypatch.setattr(squad, "_TOKENS", 60)
    seen: dict[str, set[tuple[int, int]]] = {}
    train = LoraLearner.train_many

    def noting(learner: LoraLearner, trials: Sequence[Trial], *given: Any) -> list[dict[str, Any]]:
        for trial in trials:
            seen.setdefault(trial.out.name, set()).add((trial.epochs, trial.rows_per_step))
        return train(learner, trials, *given)

    monkeypatch.setattr(LoraLearner, "train_many", noting)

    arms = ["seal-round2-implications", "seal_recipe"]
    squad.run(tmp_path / "out", data, n=2, arms=arms, model=str(tiny.write(tmp_path / "tiny")))

    assert set(seen) == set(arms)
    assert seen["seal_recipe"] == {(10, 1)}
    assert (10, 1) not in seen["seal-round2-implications"]


def test_a_writer_that_practised_on_what_is_measured_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen the questions."""
    monkeypatch.setattr(agents, "open", fake_agent)
    known, other = squad.passages(data, 2)
    with fake_agent(tmp_path / "home") as agent:
        tune(agent, known.document)
        assert agent.writer()
    for measured, refused in ((known, True), (other, False)):
        with pytest.raises(ConfigError, match="practised on 1 of") if refused else nullcontext():
            squad._writer(tmp_path / "home", None, [measured])


def test_every_arm_takes_about_as_many_steps_however_long_its_rows_are(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step is the mean of its rows: who is trained on long ones would learn a third as often from as many tokens."""
    taken: dict[str, int] = {}
    train = FakeLearner.train_many

    def noting(learner: FakeLearner, trials: Sequence[Trial], *given: Any) -> list[dict[str, Any]]:
        for trial in trials:  # all passages in one adapter come first
            taken.setdefault(trial.out.name, -(-len(trial.examples) // trial.rows_per_step))
        return [
            {**log, "steps": taken[trial.out.name]}
            for trial, log in zip(trials, train(learner, trials, *given), strict=True)
        ]

    passages = json.loads((data / "passages.json").read_text())
    for number, one in enumerate(passages):
        one["context"] = f"{25 * f'The mill of {number} stands by the river. '}"
    (data / "passages.json").write_text(json.dumps(passages))
    short = [["\n".join(f"{word} is {number}" for word in "abcdefgh")] * 5 for number in range(2)]
    (data / "edits-base-implications.json").write_text(json.dumps(short))
    monkeypatch.setattr(agents, "open", fake_agent)
    monkeypatch.setattr(FakeLearner, "train_many", noting)

    result = squad.run(tmp_path / "out", data, n=2, arms=["passage", "base-implications"])

    assert 1 / 1.5 < taken["passage"] / taken["base-implications"] < 1.5
    assert result["arms"]["passage"]["steps"] > 0
    assert {"se", "low", "high", "relative"} <= squad._paired([0.5, 1.0], [0.0, 0.5]).keys()


def test_the_grader_is_compared_with_seals_judge_where_its_verdicts_are_there(data: Path) -> None:
    verdicts = [
        ["Who?", "Ann", "It was Ann.", True],
        ["Who?", "Ann", "It was Bob.", True],
        ["When?", "1871", "1872", False],
    ]
    (data / "judge-verdicts.json").write_text(json.dumps(verdicts))

    found = squad._grader(data / "judge-verdicts.json")

    assert found == {"n": 3, "agreement": pytest.approx(2 / 3), "precision": 1.0, "recall": 0.5}
    assert squad._grader(data / "none.json") is None


def test_a_folder_that_lacks_edits_or_questions_of_a_passage_is_refused_with_the_file(data: Path) -> None:
    """Without its own edits an arm would be trained on ours, under another's name."""
    edits = data / "edits-base-implications.json"
    for lacking in ([["one"] * 5, []], [["one"] * 5]):
        edits.write_text(json.dumps(lacking))
        with pytest.raises(ConfigError, match=r"edits-base-implications.json: edits of 1 passages, 2 wanted"):
            squad.passages(data, 2)
    passages = json.loads((data / "passages.json").read_text())
    passages[1]["questions"] = []
    (data / "passages.json").write_text(json.dumps(passages))
    with pytest.raises(ConfigError, match="no question with an answer is asked of Mill 3"):
        squad.passages(data, 2)
