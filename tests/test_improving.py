"""The outer loop: which edits win, what the writer is tuned on, when a tuned writer goes live."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import BARN, LIGHT, MILL, Make

from seal_agent import cli_show, wiring
from seal_agent.agent import WRITER, SealAgent
from seal_agent.editing import improving, rewards, styles
from seal_agent.editing.imitating import asked_of, imitated, placed
from seal_agent.editing.improving import Loop, Practice, Tried
from seal_agent.editing.menu import Bandit
from seal_agent.editing.spans import hidden
from seal_agent.editing.styles import named
from seal_agent.errors import ConfigError
from seal_agent.journal import Journal
from seal_agent.judging.quiz import practised
from seal_agent.judging.statistics import mean_test
from seal_agent.parts import Passage
from seal_agent.practising import cleaned, practice
from seal_agent.records import Check, Document, GateReport, SelfEdit
from seal_agent.testing import FakeLearner, fake_agent

QUESTIONS = 12
GOOD = tuple(1.0 + n / 100 for n in range(QUESTIONS))
POOR = tuple(0.2 + n / 100 for n in range(QUESTIONS))
NOTHING = tuple(n / 100 for n in range(QUESTIONS))


def tried(*scores: Sequence[float], base: Sequence[float] = NOTHING) -> Tried:
    return Tried(tuple(base), tuple(map(tuple, scores)), ((),) * len(scores))


def test_an_edit_wins_if_it_beats_no_edit_and_its_rivals_by_more_than_chance() -> None:
    assert tried(POOR, GOOD, POOR).winner(mean_test) == 1


def test_the_best_of_edits_that_are_alike_does_not_win() -> None:
    """SEAL keeps it: a third of what it learns from is the luck of one seed."""
    lucky = (*POOR[:-1], POOR[-1] + 1)
    assert tried(POOR, lucky, POOR).winner(mean_test) is None


def test_the_best_edit_does_not_win_if_it_is_no_better_than_none() -> None:
    assert tried(POOR, GOOD, base=GOOD).winner(mean_test) is None


def test_the_best_of_several_needs_more_to_win_than_one_of_two() -> None:
    """Nobody named it before: whoever is tried more often is lucky more often."""
    level: improving.Test = lambda differences: 0.02  # noqa: E731 - a constant

    assert tried(POOR, GOOD).winner(level) == 1
    assert tried(POOR, GOOD).winner(lambda differences: float("nan")) is None
    assert tried(POOR, GOOD, POOR).winner(level) is None


def test_a_passage_counts_once_however_many_questions_its_edits_were_asked() -> None:
    """They share an adapter: of a hundred questions about one passage nobody learns how the next passage would have done."""
    base = [0.0] * 100
    before = [tried(base, base=base)] * 3
    lucky, level = tried([0.3] * 100, base=base), tried([-0.01] * 100, base=base)

    assert improving._judged(before, [lucky, level, level], mean_test).outcome == "undecided"
    report = improving._judged(
        before, [lucky, tried([0.2] * 5, base=base[:5]), tried([0.25] * 9, base=base[:9])], mean_test
    )
    assert report.outcome == "accepted"
    assert report.findings[0].n == 3
    assert report.findings[0].after == pytest.approx(0.25)


def test_an_edit_or_a_writer_whose_loss_is_not_finite_earns_nothing_and_breaks_nothing(
    tmp_path: Path, lessons: list[Practice]
) -> None:
    """Its folder is empty: nobody can be asked there. And it would be tuned so again each time."""
    line = loop(tmp_path, Author())
    train = line.learner.train_many

    def diverges(trials: Sequence[Any], *given: Any) -> Any:
        logs = train(trials, *given)
        for trial in trials:
            (trial.out / "adapter_model.safetensors").unlink()
        return [{**log, "finite": False} for log in logs]

    line.learner.train_many = diverges  # type: ignore[method-assign]  # for this once
    assert line.round(lessons).reason == "no edit of 6 passages with questions won by more than chance"
    asked = [replace(one, shown=((f"Question about {one.passage.title}:", " Who?\n"),)) for one in lessons]
    for _ in range(2):
        report = line.imitate(asked)
        assert (report.outcome, "is not finite" in report.reason) == ("rejected", True)
    assert line.journal.versions.all() == []
    assert line.journal.verify() == []
    assert not line.journal.buffer.unfinished()


def test_a_passage_has_the_id_that_it_has_when_it_is_read_and_what_could_not_be_read_is_refused() -> None:
    """Else `forget` would not find the writers that learned from it."""
    hidden_in = LIGHT.model_copy(update={"text": LIGHT.text.replace("lamp", "la\u00admp")})
    same = STEPS.model_copy(update={"question": STEPS.question.replace("lamp", "la\u00admp")})
    given = {hidden_in: [KEEPER, same], LIGHT: [STEPS]}

    assert hidden_in.id != LIGHT.id
    assert cleaned(given, 10_000) == {
        LIGHT: [check.model_copy(update={"document": LIGHT.id}) for check in (KEEPER, STEPS)]
    }
    with pytest.raises(ConfigError, match=r"2 of 3 passages cannot be read: .*more than 200 bytes.*more than 200"):
        cleaned({**given, MILL.model_copy(update={"text": "It burns. "}): []}, 200)


def test_a_passage_that_is_named_once_for_each_question_keeps_all_of_them(tmp_path: Path) -> None:
    file = tmp_path / "flat.json"
    rows = [{"question": check.question, "answer": check.gold} for check in (KEEPER, STEPS)]
    file.write_text(json.dumps([{"title": LIGHT.title, "context": LIGHT.text, "questions": [row]} for row in rows]))

    assert [check.question for check in practised(file)[LIGHT]] == [KEEPER.question, STEPS.question]


def test_a_passage_that_nothing_can_be_asked_about_has_no_winner_and_is_not_practised_on(
    agent: SealAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Tried((), ((), ()), ((), ())).winner(mean_test) is None
    monkeypatch.setattr(rewards, "consistent", lambda *given: [])

    (report,) = agent.improve({LIGHT: []}, rounds=1, samples=2)

    assert report.outcome == "undecided"
    assert "0 of 0 passages" in report.reason
    assert agent.menu({LIGHT: []}).worth == []


def test_what_an_edit_makes_the_model_forget_is_taken_off_its_reward(tmp_path: Path) -> None:
    """The median of what general answers lose; what they gain earns nothing, and no edit loses nothing."""

    class Forgetful:
        def score(self, pairs: Any, adapter: Path | None, **how: Any) -> list[tuple[float, int]]:
            lost = {None: 0.0, Path("worse"): 1.0, Path("better"): -1.0}[adapter]
            return [(-2.0 * (0.5 + lost), 2) for _ in pairs]

    learner: Any = Forgetful()
    general = [Check(id=str(n), kind="general", question=f"{n}?", gold="", answer="so it is") for n in range(3)]
    plain: rewards.Reward = lambda learner, adapter, questions: [1.0] * len(questions)  # noqa: E731 - a constant
    reward = rewards.less_forgetting(plain, general)

    assert reward(learner, Path("worse"), general) == [0.0] * 3
    assert reward(learner, Path("better"), general) == [1.0] * 3
    assert reward(learner, None, general) == [1.0] * 3
    assert rewards.less_forgetting(plain, [])(learner, Path("worse"), general) == [1.0] * 3


def passage(number: int) -> Passage:
    """Passages whose ids say whether they are held back."""
    return Passage(f"d{number:08x}", f"Mill {number}", (f"Mill {number} opened in 1871.",))


class Author:
    """Writes one row of each edit; the tuned writer, or every other seed, writes one that helps."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Path | None, int]] = []

    def write(self, of: Passage, writer: Path | None, seed: int) -> tuple[list[SelfEdit], list[tuple[str, str]]]:
        self.asked.append((of.document, writer, seed))
        helps = writer is not None or seed == 1
        prompt = f"When did {of.title} {'open' if helps else 'burn'}?"
        row = SelfEdit(
            document=of.document,
            style="questions",
            origin="written",
            prompt=prompt,
            completion=of.sentences[0],
            fact=of.sentences[0],
            title=of.title,
        )
        return [row], [(f"Question about {of.title}:", f" {prompt}\n"), ("Question:", " never proved\n")]


def reward(learner: Any, adapter: Path | None, questions: Sequence[Check]) -> list[float]:
    """High where the row that helps was trained."""
    helped = adapter is not None and "open?" in (adapter / "adapter_model.safetensors").read_text()
    return [float(helped) + n / 100 for n in range(len(questions))]


def all_above(differences: Sequence[float]) -> float:
    """A quick test for where the exact one is not what is asked about."""
    return float(min(differences) <= 0)


@pytest.fixture
def lessons() -> list[Practice]:
    def asked(of: str) -> tuple[Check, ...]:
        return tuple(Check(id=f"{of}{n}", kind="fact", question=f"{of} {n}?", gold="1871") for n in range(QUESTIONS))

    return [Practice(passage(number), asked(str(number))) for number in range(8)]


def loop(home: Path, author: Author, **more: Any) -> Loop:
    learner: Any = FakeLearner()
    told = {"test": mean_test, "samples": 3, "basis": "", **more}
    return Loop(learner, Journal(home / WRITER), author.write, reward, **told)


def test_the_writer_is_tuned_on_what_won_and_goes_live_if_it_earns_more(
    tmp_path: Path, lessons: list[Practice]
) -> None:
    author = Author()
    line = loop(tmp_path, author)

    report = line.round(lessons)

    assert report.outcome == "accepted", report.reason
    live = line.journal.versions.live()
    assert live
    kept = json.loads((Path(live.path) / "adapter_model.safetensors").read_text())["rows"]
    learned = {one.passage.title for one in lessons if not improving.held(one)}
    assert {prompt for prompt, *_ in kept} == {f"Question about {title}:" for title in learned}
    assert "never proved" not in json.dumps(kept)
    assert len(learned) == 6
    assert line.journal.tries.documents() == {one.passage.document for one in lessons}
    assert live.report
    told = [one.passage.document for one in lessons if not improving.held(one)]
    assert live.report.training["documents"] == told


def test_a_writer_that_was_lost_may_be_made_anew(tmp_path: Path, lessons: list[Practice]) -> None:
    """A broken version is no verdict that stands in the way."""
    line = loop(tmp_path, Author(), test=all_above)
    assert line.round(lessons).outcome == "accepted"
    line.journal.versions.mark_broken(1, "as a test")

    assert line.round(lessons).outcome == "accepted"

    assert [version.status for version in line.journal.versions.all()] == ["broken", "live"]
    assert line.journal.verify() == []


def test_the_same_lesson_leads_back_to_a_writer_that_was_left(tmp_path: Path, lessons: list[Practice]) -> None:
    """Accepted means that it writes."""
    line = loop(tmp_path, Author(), test=all_above)
    assert line.round(lessons).outcome == "accepted"
    line.journal.versions.rollback(0)

    again = line.round(lessons)

    assert "(live), judged once" in again.reason
    assert again.outcome == "accepted"
    assert [version.status for version in line.journal.versions.all()] == ["live"]


def test_a_writer_that_was_left_and_is_damaged_is_made_anew(tmp_path: Path, lessons: list[Practice]) -> None:
    line = loop(tmp_path, Author(), test=all_above)
    assert line.round(lessons).outcome == "accepted"
    with (Path(line.journal.versions.one(1).path) / "adapter_model.safetensors").open("ab") as file:
        file.write(b" ")
    line.journal.versions.rollback(0)

    assert line.round(lessons).outcome == "accepted"

    assert [version.status for version in line.journal.versions.all()] == ["broken", "live"]


def test_nothing_is_tried_where_too_few_questions_could_judge(tmp_path: Path, lessons: list[Practice]) -> None:
    """The lesson would be used up: what made a version is judged once."""
    author = Author()
    few = [replace(one, questions=one.questions[:1]) if improving.held(one) else one for one in lessons]

    report = loop(tmp_path, author).round(few)

    assert (report.outcome, "2 questions; a verdict needs 5" in report.reason) == ("undecided", True)
    only = [one for one in lessons if one.passage.document != lessons[0].passage.document]
    assert "1 of 7 passages are kept back to judge by, with 12 questions" in loop(tmp_path, author).round(only).reason
    assert author.asked == []


def test_a_passage_with_too_few_questions_for_a_winner_is_not_tried(tmp_path: Path, lessons: list[Practice]) -> None:
    author = Author()
    first = next(one for one in lessons if not improving.held(one))
    few = [replace(one, questions=one.questions[:4]) if one is first else one for one in lessons]

    loop(tmp_path, author).round(few)

    assert first.passage.document not in {of for of, *_ in author.asked}


def test_where_people_asked_little_the_model_asks_itself_too(agent: SealAgent) -> None:
    with practice(agent, {LIGHT: [KEEPER]}) as (_, lessons):
        (one,) = lessons
    assert one.questions[0].question == KEEPER.question
    assert len(one.questions) > improving.ENOUGH
    assert len({check.question.lower() for check in one.questions}) == len(one.questions)


def test_what_is_kept_of_what_was_written_goes_on_from_its_prompt() -> None:
    """Writers give a text without the space it began with; whoever learns "Who" and "keeps" writes "Whokeeps"."""

    class Says:
        def write(self, prompts: Sequence[str], **how: Any) -> list[str]:
            return ["keeps Anstrow Light?", "'s the keeper?", "It is kept."]

    writer = wiring.Recorder(Says())  # type: ignore[arg-type]  # it ranks nothing here
    writer.write(["Question: Who", "Question: Who", "In other words:\n"], stop=("\n",))

    assert [prompt + text for prompt, text in writer.wrote] == [
        "Question: Who keeps Anstrow Light?\n",
        "Question: Who's the keeper?\n",
        "In other words:\nIt is kept.\n",
    ]


def test_only_what_became_a_proved_question_is_learned_by_the_writer() -> None:
    """Not a word of it, nor what another opening would have made one."""
    row = SelfEdit(
        document="d1",
        style="questions",
        origin="written",
        prompt=named("How many steps lead to the lamp room?", TOWER.title),
        completion=TOWER.sentences[1],
        fact=TOWER.sentences[1],
    )
    wrote = [
        ("Statement: x\nQuestion: How many", " steps lead to the lamp room?\n"),
        ("Statement: x\nQuestion: How", " steps lead to the lamp room?\n"),
        ("Statement: x\nQuestion:", " How many steps lead to the lamp room?\n"),
        ("Statement: x\nQuestion: How", " many\n"),
        ("Statement: x\nQuestion: Who", " ?\n"),
    ]

    assert improving._useful(TOWER, [row], wrote) == [wrote[0], wrote[2]]


def test_the_next_round_is_written_by_the_writer_of_this_one(tmp_path: Path, lessons: list[Practice]) -> None:
    """And as all its edits are alike, none wins: nothing is learned from chance."""
    author = Author()
    line = loop(tmp_path, author)
    line.round(lessons)
    live = line.journal.versions.live()
    assert live
    author.asked.clear()

    report = line.round(lessons)

    assert report.outcome == "undecided"
    assert {writer for _, writer, _ in author.asked} <= {Path(live.path)}


class Steady(Author):
    """A tuned writer that writes what the untuned one does."""

    def write(self, of: Passage, writer: Path | None, seed: int) -> tuple[list[SelfEdit], list[tuple[str, str]]]:
        return super().write(of, None, seed)


KEEPER = Check(id="c1", kind="fact", question="Who keeps Anstrow Light?", gold="Marta Vell")
STEPS = Check(id="c2", kind="fact", question="How many steps lead to its lamp room?", gold="164")
ELSEWHERE = Check(id="c3", kind="fact", question="Who built it?", gold="Josef Brandt")
TOWER = Passage(
    "d1", "Anstrow Light", ("Marta Vell keeps the tower since 2009.", "Visitors climb 164 steps to the lamp room.")
)


def test_what_people_ask_is_shown_as_the_styles_would_have_prompted_for_it() -> None:
    """What was prompted and what was written make the question; where a span is hidden, it is the answer."""
    shown = list(imitated(TOWER, [KEEPER, STEPS, ELSEWHERE], ("questions", "blanks", "facts")))

    asked = [prompt.rpartition("Question:")[2] + rest for prompt, rest in shown]
    assert asked == [f" {check.question}\n" for check in (KEEPER, STEPS) for _ in range(2)]
    assert [prompt.rpartition("Question:")[2] for prompt, _ in shown] == [" Who", " Who", " How many", " How many"]
    said = [prompt.rpartition("Statement: ")[2].partition("\n")[0] for prompt, _ in shown]
    assert said == [
        TOWER.sentences[0],
        "___ keeps the tower since 2009.",
        TOWER.sentences[1],
        "Visitors climb ___ steps to the lamp room.",
    ]
    assert list(imitated(TOWER, [KEEPER], ("facts",))) == []


def test_a_question_is_put_to_the_one_passage_that_it_asks_of() -> None:
    storm = Passage("d1", "Anstrow Light", ("In 1843 a storm took its roof.",))
    tower = Passage("d1", "Anstrow Light", ("The tower was built in 1843.",))
    when = Check(id="c4", kind="fact", question="When was the tower built?", gold="1843")

    assert placed([storm, tower], [when, ELSEWHERE]) == [(storm, [ELSEWHERE]), (tower, [when])]
    assert asked_of(storm, [ELSEWHERE]) == []


def test_an_answer_is_hidden_as_a_whole_or_the_question_is_not_shown_with_a_gap() -> None:
    farm = Passage(
        "d1", "Pell Farm", ("In 1912 it had 12 sheep.", "The harbour guild owns it: the harbour guild of Pell.")
    )
    sheep = Check(id="c1", kind="fact", question="How many sheep had Pell Farm?", gold="12")
    guild = Check(id="c2", kind="fact", question="Who owns Pell Farm?", gold="the harbour guild")

    shown = [
        prompt.rpartition("Statement: ")[2].partition("\n")[0] for prompt, _ in imitated(farm, [sheep], ["blanks"])
    ]

    assert shown == ["In 1912 it had ___ sheep."]
    assert list(imitated(farm, [guild], ["blanks"])) == []
    assert hidden("12", "Of 12,500 none has 12.") == "Of 12,500 none has ___."
    assert hidden("bicycle", "Pell Bicycles made a bicycle.") == "Pell Bicycles made a ___."
    assert hidden("men", "women since the men left") == "women since the ___ left"
    assert hidden("Oak", "the oak") == "the ___"


def test_the_style_hides_what_it_asks_for_as_imitation_does() -> None:
    prompts: list[str] = []

    class Noting:
        def write(self, given: Sequence[str], **how: Any) -> list[str]:
            prompts.extend(given)
            return ["?"] * len(given)

    farm = Passage("d1", "Pell Farm", ("In 1912 it had 12 sheep.", "Forty wagons go from town to town."))
    list(styles.blanks(farm, Noting(), 0))  # type: ignore[arg-type]  # it ranks nothing here

    shown = {prompt.rpartition("Statement: ")[2].partition("\n")[0] for prompt in prompts}
    assert "In 1912 it had ___ sheep." in shown
    assert not any("19___" in said or "___ to town" in said for said in shown)


def test_what_people_ask_judges_only_where_its_answer_stands() -> None:
    """Its subject is named, since nothing else is in view, and its answer is what our rows teach."""
    keeper, steps = asked_of(TOWER, [KEEPER, STEPS, ELSEWHERE])

    assert keeper.question == KEEPER.question
    assert keeper.answer == "Anstrow Light: Marta Vell keeps the tower since 2009."
    assert "Anstrow Light" in steps.question
    assert steps.answer == "Anstrow Light: 164. Visitors climb 164 steps to the lamp room."


def test_the_writer_is_tuned_on_what_people_asked_of_passages_that_are_not_kept_back(
    tmp_path: Path, lessons: list[Practice]
) -> None:
    """It goes live by the same verdict as one that is tuned on its own winners; only what judges it is tried."""
    author = Author()
    line = loop(tmp_path, author)
    asked = [replace(one, shown=((f"Question about {one.passage.title}:", " Who?\n"),)) for one in lessons]

    assert "people asked nothing" in line.imitate(lessons).reason
    assert "give more passages" in line.imitate([one for one in asked if not improving.held(one)]).reason
    assert author.asked == []
    report = line.imitate(asked)

    assert report.outcome == "accepted", report.reason
    live = line.journal.versions.live()
    assert live
    kept = json.loads((Path(live.path) / "adapter_model.safetensors").read_text())["rows"]
    learned = [one.passage for one in lessons if not improving.held(one)]
    assert [prompt for prompt, *_ in kept] == [f"Question about {of.title}:" for of in learned]
    assert live.report
    assert live.report.training["documents"] == [of.document for of in learned]
    assert {of for of, *_ in author.asked} == {one.passage.document for one in lessons if improving.held(one)}


def test_people_are_imitated_first_and_then_the_writer_learns_from_its_own(
    make: Make, lessons: list[Practice], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is imitated once a writer is live: it has learned that, or descends from one that won."""
    done: list[str] = []
    played = Loop.round
    for name in ("imitate", "round"):
        given = GateReport(outcome="undecided", reason=name)
        monkeypatch.setattr(Loop, name, lambda loop, lessons, given=given: done.append(given.reason) or given)
    agent = make()

    agent.improve({LIGHT: [KEEPER]}, rounds=2, samples=2)
    agent.improve({LIGHT: []}, rounds=2, samples=2)
    assert played(loop(agent.home, Author(), test=all_above), lessons).outcome == "accepted"
    agent.improve({LIGHT: [KEEPER]}, rounds=2, samples=2)

    assert done == ["imitate", "round", *["round"] * 4]


def test_the_same_winners_are_not_judged_a_second_time(tmp_path: Path, lessons: list[Practice]) -> None:
    """The next round finds the report of the version they made: repetition is no second chance, and no mistake."""
    line = loop(tmp_path, Steady(), test=all_above)
    first = line.round(lessons)
    (made,) = line.journal.versions.all()
    more = [Practice(passage(number), lessons[0].questions) for number in (8, 12)]  # held back, all of them

    again = line.round([*lessons, *more])

    assert first.outcome == again.outcome == "undecided"
    assert first.reason in again.reason
    assert "version 1 of the writer (undecided)" in again.reason
    assert again.findings == first.findings
    assert line.journal.versions.all() == [made]
    assert line.journal.verify() == []


def test_what_no_passage_is_kept_back_to_judge_by_is_neither_tried_nor_tuned(
    tmp_path: Path, lessons: list[Practice]
) -> None:
    """With more passages the same winners are judged then."""
    author = Author()
    line = loop(tmp_path, author, test=all_above)

    report = line.round([one for one in lessons if not improving.held(one)])

    assert report.outcome == "undecided"
    assert "give more passages" in report.reason
    assert (author.asked, line.journal.versions.all()) == ([], [])
    assert line.round(lessons).outcome == "accepted"


def test_a_round_that_died_goes_on_where_it_was(tmp_path: Path, lessons: list[Practice]) -> None:
    author = Author()
    line = loop(tmp_path, author)
    write, died = author.write, []

    def dying(of: Passage, writer: Path | None, seed: int) -> Any:
        if of.document == lessons[5].passage.document and not died:
            died.append(of)
            raise KeyboardInterrupt
        return write(of, writer, seed)

    author.write = dying  # type: ignore[method-assign]  # for this once
    with pytest.raises(KeyboardInterrupt):
        loop(tmp_path, author).round(lessons)
    before = len(author.asked)

    assert loop(tmp_path, author).round(lessons).outcome == "accepted"
    untuned = [asked for asked in author.asked if asked[1] is None]
    assert before == 3 * 3, "those to learn from are tried first"
    assert len(untuned) == len(lessons) * 3, "no passage was tried twice"
    assert line.journal.verify() == []


def test_what_was_tried_is_taken_over_only_by_the_same_passage_questions_styles_reward_and_base(
    tmp_path: Path, lessons: list[Practice]
) -> None:
    """Two passages of one document are two, and a corrected answer is asked for anew."""
    author, one = Author(), lessons[0]
    corrected = [check.model_copy(update={"gold": "1872"}) for check in one.questions]
    other = replace(one, passage=replace(one.passage, sentences=("Mill 0 burned in 1900.",)))
    line = loop(tmp_path, author)
    others = [replace(line, basis="another"), replace(line, learner=FakeLearner())]
    others[1].learner.fingerprint = "0123" * 4
    tries = [(line, one), (line, other), (line, replace(one, questions=tuple(corrected)))]
    tries += [(of, one) for of in others]

    for of, asked in (*tries, *tries):
        of._tried_all([asked], None)

    assert len(author.asked) == len(tries) * line.samples


def test_what_a_style_was_worth_is_taken_over_only_by_the_same_passage_questions_styles_reward_and_base(
    tmp_path: Path, lessons: list[Practice]
) -> None:
    cook, one = Cook(), lessons[0]
    other = replace(one, passage=replace(one.passage, sentences=("Mill 0 burned in 1900.",)))
    learner: Any = FakeLearner()
    loop = Loop(learner, Journal(tmp_path / WRITER), cook.write, tasted, mean_test, "")
    bandit, stranger = Bandit(loop), FakeLearner()
    stranger.fingerprint = "0123" * 4
    others = [Bandit(replace(loop, basis="another")), Bandit(replace(loop, learner=stranger))]
    tries = [(bandit, one), (bandit, other), (bandit, replace(one, questions=one.questions[:5]))]
    tries += [(of, one) for of in others]

    for of, asked in (*tries, *tries):
        of._tried(asked, (), None)

    assert cook.wrote == len(tries)


def test_an_agent_names_the_reward_and_the_styles_that_tries_rest_on(make: Make) -> None:
    named = []
    for agent in (make(), make(styles=["facts"])):
        with practice(agent, {LIGHT: []}) as (given, _):
            named.append(given.basis)

    assert len(set(named)) == 2
    assert named[1] == "likelihood whole questions facts"


def test_a_question_that_is_asked_is_never_trained(tmp_path: Path, lessons: list[Practice]) -> None:
    """The edit that helps asks what is asked: without its row it helps no more."""
    shown = [
        Practice(
            one.passage,
            (*one.questions, Check(id="x", kind="fact", question=f"When did {one.passage.title} open?", gold="1871")),
        )
        for one in lessons
    ]

    report = loop(tmp_path, Author()).round(shown)

    assert report.outcome == "undecided"
    assert "no edit" in report.reason


def test_a_reward_without_labels_asks_what_the_base_finds_the_sentence_of() -> None:
    """Of two questions the one whose answer is not the sentence it would be asked of is left out."""
    learner: Any = FakeLearner()
    mill = Passage("d1", "Alder Mill", ("Alder Mill was started in 1871 by Tobias Renn.", "Marta Vell owns it."))
    right, wrong = (
        Check(id=said, kind="fact", question="Who started it in 1871?", gold="Renn", answer=f"Alder Mill: {said}")
        for said in mill.sentences
    )

    assert rewards.consistent(learner, [right, wrong], mill) == [right]
    assert rewards.consistent(learner, [], mill) == []


def test_the_rubric_counts_proofs_coverage_and_variety() -> None:
    author = Author()
    (row,), _ = author.write(passage(1), None, 1)
    same = [row.model_copy(update={"prompt": f"When did Mill 1 open, {n}?"}) for n in range(4)]
    varied = [
        row.model_copy(update={"prompt": f"{word} was it when Mill 1 opened?"})
        for word in ("When", "What", "Who", "How")
    ]

    assert rewards.rubric([]) == rewards.rubric([row.model_copy(update={"refused": "no"})]) == 0
    assert rewards.rubric(varied) == pytest.approx(1)
    assert rewards.rubric(same) < rewards.rubric(varied)
    assert rewards.rubric([*varied, row.model_copy(update={"refused": "no"})]) < 1


class Cook:
    """Writes a row of each of three styles; one helps, one does harm, the third does nothing."""

    def __init__(self) -> None:
        self.wrote = 0

    def write(self, of: Passage, writer: Path | None, seed: int) -> tuple[list[SelfEdit], list[tuple[str, str]]]:
        self.wrote += 1
        facts = SelfEdit(
            document=of.document,
            style="facts",
            origin="verbatim",
            prompt="",
            completion=of.sentences[0],
            fact=of.sentences[0],
            title=of.title,
        )
        asked = {"blanks": f"When did {of.title} open?", "poison": "When is poison?", "idle": "When is nothing?"}
        rows = [
            facts.model_copy(update={"style": style, "origin": "written", "prompt": prompt})
            for style, prompt in asked.items()
        ]
        return [facts, *rows], []


def tasted(learner: Any, adapter: Path | None, questions: Sequence[Check]) -> list[float]:
    """High where the row that helps was trained, low where the one that does harm was."""
    trained = (adapter / "adapter_model.safetensors").read_text() if adapter else ""
    return [("open?" in trained) - ("poison?" in trained) + n / 100 for n in range(len(questions))]


def test_a_style_that_does_harm_leaves_the_menu_and_what_helps_or_idles_stays(
    tmp_path: Path, lessons: list[Practice]
) -> None:
    """It is seen by chance in so many questions only, and what nobody chose by says that it was right."""
    cook, learner = Cook(), FakeLearner()
    line = Journal(tmp_path / WRITER)
    bandit = Bandit(Loop(learner, line, cook.write, tasted, mean_test, ""))  # type: ignore[arg-type]  # a fake

    menu = bandit.play(lessons)

    assert {worth.style: worth.kept for worth in menu.worth} == {"blanks": True, "idle": True, "poison": False}
    gain = {worth.style: worth.gain for worth in menu.worth}
    assert gain["poison"] == pytest.approx(-1)
    assert gain["blanks"] == pytest.approx(1)
    assert gain["idle"] == pytest.approx(0)
    assert menu.after - menu.before == pytest.approx(1)
    assert menu.p < 0.05
    assert menu.n == 2
    assert next(worth.n for worth in menu.worth if worth.style == "poison") == 5, "it left on the way"
    wrote = cook.wrote
    assert bandit.play(lessons) == menu
    assert cook.wrote == wrote, "what was tried is not tried again"
    assert "leaves" in cli_show.menu(menu)


def test_edits_that_are_compared_by_style_are_trained_on_as_many_rows(
    lessons: list[Practice], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a style would be worth what its rows cost."""
    learner: Any = FakeLearner()
    seen: list[int] = []
    train = learner.train_many
    monkeypatch.setattr(
        learner,
        "train_many",
        lambda trials, *more: (
            seen.extend(len(trial.examples) * trial.epochs for trial in trials) or train(trials, *more)
        ),
    )
    rows, _ = Cook().write(lessons[0].passage, None, 0)

    improving.rewarded(learner, [rows, rows[:2]], [(tasted, lessons[0].questions)], 0, level=True)

    assert len(set(seen)) == 1


def test_an_agent_practises_without_touching_what_it_knows(agent: SealAgent) -> None:
    """No version, no document, nothing waits."""
    judges = [
        MILL.model_copy(update={"text": MILL.text.replace("houses a museum of clocks", "is a museum")}),
        LIGHT.model_copy(update={"text": LIGHT.text.replace("green", "white")}),
    ]
    reports = agent.improve({LIGHT: [], **dict.fromkeys(judges, ())}, rounds=2, samples=2)
    menu = agent.menu({LIGHT: []})

    assert all(worth.kept for worth in menu.worth)
    assert [report.outcome for report in reports] == ["undecided"] * 2
    assert "no edit of 1 passages" in reports[0].reason
    assert (agent.versions(), agent.status()["documents"]["total"], agent.journal.buffer.count()) == ([], 0, 0)
    assert agent.writer() is None


def test_what_the_model_asks_itself_is_found_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A practice that was killed asks the same questions again, without writing them again."""
    asked: list[tuple[Practice, ...]] = []
    for _ in range(2):
        with practice(make(), {LIGHT: []}) as (_, lessons):
            asked.append(tuple(lessons))
        monkeypatch.setattr(rewards, "consistent", lambda *given: [])

    assert asked[0] == asked[1]
    assert asked[0][0].questions


def test_a_writer_that_cannot_be_tuned_is_not_practised_with(make: Make) -> None:
    with pytest.raises(ConfigError, match="writer = 'live'"):
        make(writer="live").improve({LIGHT: []})


def test_edits_are_written_by_the_writer_that_was_made_and_a_home_that_forgets_asks_the_same_one(
    tmp_path: Path, lessons: list[Practice]
) -> None:
    """A tuned fake writes as any; that it was asked is what the calls say."""
    with fake_agent(tmp_path / "home") as agent:
        agent.observe(MILL)
        report = loop(agent.home, Author()).round(lessons)
        tuned = agent.writer()
        state, untuned = agent._state(LIGHT, tuned), agent._state(LIGHT, None)
        agent.observe(LIGHT)

        assert report.outcome == "accepted"
        assert tuned
        assert [call.target for call in agent.journal.calls.since()] == [None, tuned.number]
        assert agent.journal.calls.since()[1].state == state != untuned
        agent.forget(MILL.id)
        assert [call.target for call in agent.journal.calls.since()] == [tuned.number]


@pytest.mark.parametrize("writer", ["base", "live"])
def test_notes_are_written_under_the_adapter_that_the_settings_name(
    writer: str, make: Make, lessons: list[Practice]
) -> None:
    """The base, whatever is live, and once it was tuned what it was tuned to; or the live version."""
    by: set[Path | None] = set()

    class Noting(FakeLearner):
        def complete(self, prompts: Sequence[str], adapter: Path | None, **how: Any) -> list[str]:
            by.add(adapter)
            return super().complete(prompts, adapter, **how)

    def wrote(document: Document) -> set[Path | None]:
        by.clear()
        agent.observe(document)
        return set(by)

    agent = make(Noting(), writer=writer)
    assert wrote(MILL) == {None}
    agent.consolidate()
    assert agent.adapter()
    assert wrote(LIGHT) == {agent.adapter() if writer == "live" else None}
    if writer == "base":
        assert loop(agent.home, Author(), test=all_above).round(lessons).outcome == "accepted"
        assert (tuned := agent.writer())
        assert wrote(BARN) == {Path(tuned.path)}


def test_a_writer_tuned_on_another_base_neither_writes_nor_is_tuned_further(
    make: Make, lessons: list[Practice]
) -> None:
    """The base writes, an event says why, and under its own base it writes again."""
    agent, stranger = make(), FakeLearner()
    assert loop(agent.home, Author(), test=all_above).round(lessons).outcome == "accepted"
    stranger.fingerprint = "0123" * 4
    other = make(stranger)

    other.observe(MILL)
    other.observe(LIGHT)

    assert other.writer() is None
    assert [call.target for call in other.journal.calls.since()] == [None, None]
    refused = [event["data"] for event in other.journal.events() if event["kind"] == "writer refused"]
    assert [event["number"] for event in refused] == [1]
    assert "another base" in refused[0]["reason"]
    assert agent.writer()
    other.improve({LIGHT: []}, rounds=1, samples=2)
    with Journal(agent.writers) as line:
        assert line.versions.live() is None


def test_passages_to_practise_on_come_with_questions_or_without(tmp_path: Path) -> None:
    file = tmp_path / "practice.json"
    file.write_text(
        json.dumps(
            [{"title": "A", "context": "One."}, {"context": "Two.", "questions": [{"question": "Q?", "answer": "Two"}]}]
        )
    )

    (one, none), (two, (check,)) = practised(file).items()

    assert (one.title, none, two.text, check.question, check.gold) == ("A", [], "Two.", "Q?", "Two")
    file.write_text(json.dumps([{"title": "A"}]))
    with pytest.raises(ConfigError, match="entry 1"):
        practised(file)


def test_text_that_repeats_itself_is_seen_by_its_compression() -> None:
    varied = [f"{MILL.text} {LIGHT.text}"]

    assert rewards.compression(["When did Alder Mill open?"] * 50) > 10
    assert 1 < rewards.compression(varied) < 3
    assert rewards.compression([]) == 0
