"""`bench stream` and the words it uses: matrices, arms, and steps that are not done twice."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import tiny

from seal_agent import agent as agents
from seal_agent.bench import arms, decide, shipped, stream, superseding
from seal_agent.errors import ConfigError, SealError
from seal_agent.judging.grading import correct
from seal_agent.judging.statistics import paired_interval
from seal_agent.learning import training
from seal_agent.learning.learner import LoraLearner
from seal_agent.records import Document
from seal_agent.remembering import metrics
from seal_agent.testing import FakeLearner, fake_agent

MATRIX = [[0.8], [0.6, 0.9], [0.7, 0.5, 1.0]]


def test_the_metrics_are_those_of_the_field() -> None:
    """Worked out by hand from a matrix of three lessons."""
    assert metrics.average_accuracy(MATRIX) == pytest.approx((0.7 + 0.5 + 1.0) / 3)
    assert metrics.plasticity(MATRIX) == pytest.approx((0.8 + 0.9 + 1.0) / 3)
    assert metrics.backward_transfer(MATRIX) == pytest.approx(((0.7 - 0.8) + (0.5 - 0.9)) / 2)
    assert metrics.forgetting(MATRIX) == pytest.approx(((0.8 - 0.7) + (0.9 - 0.5)) / 2)
    assert metrics.forgetting([[0.5], [0.8, 1.0]]) == pytest.approx(-0.3), "what is best in the end was gained"
    assert metrics.forward_transfer([0.0, 0.2, 0.4], [0.1, 0.1, 0.1]) == pytest.approx(0.2)


def test_one_lesson_has_nothing_to_lose() -> None:
    assert (metrics.backward_transfer([[0.5]]), metrics.forgetting([[0.5]])) == (0.0, 0.0)
    assert metrics.forward_transfer([0.5], [0.5]) == 0.0


def test_the_published_matrix_of_seal_has_the_figures_it_is_quoted_with() -> None:
    """30.7 % before, 41.5 % just after, 24.7 % in the end, -19 points of backward transfer."""
    rows = [
        [0.3825],
        [0.3641, 0.4988],
        [0.2879, 0.4342, 0.4462],
        [0.2715, 0.3654, 0.3664, 0.4397],
        [0.2350, 0.2948, 0.2811, 0.3536, 0.3764],
        [0.2331, 0.2873, 0.2218, 0.2775, 0.3595, 0.4489],
        [0.1858, 0.2294, 0.2183, 0.2462, 0.2808, 0.3559, 0.3846],
        [0.1894, 0.2190, 0.1641, 0.2372, 0.2206, 0.2745, 0.3349, 0.3397],
    ]
    assert metrics.plasticity(rows) == pytest.approx(0.415, abs=5e-4)
    assert metrics.average_accuracy(rows) == pytest.approx(0.247, abs=5e-4)
    assert metrics.backward_transfer(rows) == pytest.approx(-0.191, abs=5e-4)


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Agents that need no torch; the homes that were opened."""
    opened: list[Path] = []

    def open_it(home: Path, model: str | None = None, **settings: Any) -> agents.SealAgent:
        opened.append(home)
        return fake_agent(home, **settings)

    monkeypatch.setattr(agents, "open", open_it)
    return opened


OURS = ("full", "no_replay", "no_gate", "store", "full_scoped")


def test_every_arm_is_asked_about_all_documents_so_far(faked: list[Path], tmp_path: Path) -> None:
    result = stream.run(tmp_path, n=3, seeds=2, arms=OURS)

    assert (result["n"], result["seeds"], result["questions"]) == (3, [0, 1], 30)
    for name in OURS:
        arm = result["arms"][name]
        assert [len(row) for row in arm["matrix"]] == [1, 2, 3], name
        assert arm["base_mean"] < 0.1 < arm["open_book_mean"], name
        assert arm["final_mean"] > arm["base_mean"], name
        assert arm["gain_interval"][0] <= arm["gain"] <= arm["gain_interval"][1]
        assert {"f1", "shuffled", "seen_wordings"} <= arm.keys(), name
        assert arm["slope_interval"][0] <= arm["slope"] <= arm["slope_interval"][1], name
    assert result["arms"]["store"]["prompt_tokens"] > 3 * result["arms"]["full"]["prompt_tokens"]
    assert "full_scoped" in stream.told(result)
    stream.draw(result, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000


def test_a_quick_look_takes_two_documents_and_two_arms(faked: list[Path], tmp_path: Path) -> None:
    """And is kept apart from what measures."""
    result = stream.run(tmp_path, quick=True)

    assert result["n"] == 2
    assert set(result["arms"]) == {"full", "store"}
    assert all(arm["general_n"] < 40 for arm in result["arms"].values())
    assert [folder.name.rpartition("-")[0] for folder in tmp_path.iterdir()] == ["invented-2-quick-0"]


def test_another_model_and_other_passages_of_the_same_folder_name_share_no_home(
    faked: list[Path], tmp_path: Path
) -> None:
    asked = [{"question": "When did it open?", "answer": "1871"}]
    folders = [tmp_path / name / "seal" for name in ("ours", "theirs")]
    for folder in folders:
        folder.mkdir(parents=True)
        text = f"The mill of {folder.parent.name} opened in 1871."
        (folder / "passages.json").write_text(json.dumps([{"title": "Mill", "context": text, "questions": asked}]))
    runs = [(folders[0], None), (folders[0], "another"), (folders[1], None), (None, None), (None, "another")]

    for data, model in (*runs, *runs):
        stream.run(tmp_path / "out", data, n=1, arms=["store"], model=model)

    assert len(list((tmp_path / "out").iterdir())) == len(runs)


def test_the_slope_is_that_of_the_mean_over_all_documents_so_far() -> None:
    """Two questions a document: all right at first, then half, then half: 100, 75, 67 %, and falling however weighed."""
    rows = [[[True, True]], [[True, True], [True, False]], [[True, True], [True, False], [False, True]]]

    found = stream._slope([{"rows": rows, "documents": ["a", "b", "c"], "size": 1}])

    assert found["slope"] == pytest.approx((2 / 3 - 1) / 2)
    assert found["slope_interval"][0] < found["slope"] < found["slope_interval"][1] < 0


def test_a_finished_step_is_not_done_again(faked: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the first of three steps, it goes on with the second, and the result is the same."""
    whole = stream.run(tmp_path / "whole", n=3, arms=["full"])
    learned: list[str] = []
    learn = arms.Ours.learn

    def watched(self: Any, documents: Any) -> str:
        if len(learned) == 1:
            learned.append("died")
            raise KeyboardInterrupt
        learned.append(documents[0].title)
        return learn(self, documents)

    monkeypatch.setattr(arms.Ours, "learn", watched)
    with pytest.raises(KeyboardInterrupt):
        stream.run(tmp_path / "cut", n=3, arms=["full"])

    resumed = stream.run(tmp_path / "cut", n=3, arms=["full"])

    assert len(learned) == 4  # one, the one that died, and the two that were left
    timed = ("seconds", "seconds_per_answer")
    assert all(resumed["arms"]["full"][k] == v for k, v in whole["arms"]["full"].items() if k not in timed)


def test_what_was_learned_before_a_kill_is_asked_about_not_learned_again(
    faked: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between a lesson and its questions: the same versions as in one go, and the lesson's own outcome is told."""
    quiz, asked, said = stream.quiz, list[int](), list[str]()

    def cut(*given: Any, **more: Any) -> Any:
        asked.append(1)
        if len(asked) == 5:  # general questions, the base twice, and the first lesson's came before
            raise KeyboardInterrupt
        return quiz(*given, **more)

    monkeypatch.setattr(stream, "quiz", cut)
    with pytest.raises(KeyboardInterrupt):
        stream.run(tmp_path, n=2, arms=["no_replay"])
    stream.run(tmp_path, n=2, arms=["no_replay"], say_line=said.append)

    assert len(said) == 1
    assert "accepted" in said[0]
    (home,) = tmp_path.glob("*/no_replay")
    with fake_agent(home) as agent:
        assert len(agent.versions()) == 2


def test_streams_that_ask_the_same_count_it_once() -> None:
    """Two streams told alike are worth one; two of different questions are worth two."""
    one = [1.0, 0.0, 1.0, 1.0, 0.0, -1.0]
    low, high = paired_interval(one)

    assert paired_interval([*one, *one], [*range(6), *range(6)]) == pytest.approx((low, high))
    assert paired_interval([*one, *one])[0] > low
    assert paired_interval(one, "abcdef") == pytest.approx((low, high))


def test_a_killed_decide_bench_goes_on_with_what_it_had_learned(
    faked: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while the base was live for its second look, and never mixed with what another corpus taught."""
    first = decide.run(tmp_path / "home")
    with fake_agent(tmp_path / "home") as agent:
        agent.rollback(0)

    again = decide.run(tmp_path / "home")

    assert again["live"] == first["live"] > 0
    assert again["by_kind"] == first["by_kind"]
    with pytest.raises(ConfigError, match="something else than decide_tuning"):
        decide.run(tmp_path / "home", "decide_tuning")


def test_the_arm_without_a_gate_publishes_everything(faked: list[Path], tmp_path: Path) -> None:
    """Even a candidate that learned nothing."""
    arm = arms.MAKERS["no_gate"](tmp_path, None, lambda stage, share: None)
    (lesson,) = stream.lessons(None, 1, 0)
    monkey = arm.asked()
    assert isinstance(monkey, agents.SealAgent)
    monkey.learner.learns = False  # type: ignore[attr-defined]  # the stand-in's own switch

    assert arm.learn([lesson.document]) == "accepted"


def test_seals_policy_merges_each_document_into_the_weights(tmp_path: Path) -> None:
    """On a tiny real model: other answers than the base, one folder of weights, found again by the next process."""
    arm = arms.Seal(tmp_path / "seal", str(tiny.write(tmp_path / "model")), lambda stage, share: None)
    first, second = stream.lessons(None, 2, 0)
    questions = [item["question"] for item in first.items]
    assert arm.learn([first.document]) == "merged"
    once = [answer.text for answer in arm.asked().ask_all(questions)]
    assert arm.learn([second.document]) == "merged"

    again = arms.Seal(tmp_path / "seal", str(tmp_path / "model"), lambda stage, share: None)

    assert [folder.name for folder in (tmp_path / "seal").glob("merged-*")] == ["merged-0002"]
    assert once != [answer.text for answer in arm.asked().ask_all(questions, 0)]
    said = [answer.text for answer in arm.asked().ask_all(questions)]
    assert said == [answer.text for answer in again.asked().ask_all(questions)]


def test_seals_policy_merges_a_document_once_though_its_step_was_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of two documents dies after the first was merged; the next process merges the second alone."""
    model = str(tiny.write(tmp_path / "model"))
    step = [Document(text=f"The {place} opened in 1871.", title=place) for place in ("mill", "weir")]
    merged: list[str] = []
    merge = arms.Seal._merge

    def dying(arm: arms.Seal, adapter: Path, document: str) -> None:
        if len(merged) == 1:
            merged.append("died")
            raise KeyboardInterrupt
        merge(arm, adapter, document)
        merged.append(document)

    recipe = training.Recipe
    monkeypatch.setattr(training, "Recipe", lambda **how: recipe(**{**how, "epochs": 1}))
    monkeypatch.setattr(LoraLearner, "complete", lambda *given, **how: ["It is old."])
    monkeypatch.setattr(arms.Seal, "_merge", dying)
    arm = arms.Seal(tmp_path / "seal", model, lambda stage, share: None)
    with pytest.raises(KeyboardInterrupt):
        arm.learn(step)

    assert arms.Seal(tmp_path / "seal", model, lambda stage, share: None).learn(step) == "merged"
    assert merged == [step[0].id, "died", step[1].id]
    arms.Seal(tmp_path / "seal", model, lambda stage, share: None).learn(step)
    assert len(merged) == 3
    assert [folder.name for folder in (tmp_path / "seal").glob("merged-*")] == ["merged-0002"]


def test_passages_of_seal_are_lessons(tmp_path: Path) -> None:
    passages = [
        {"title": "Mill", "context": f"Text {n}.", "questions": [{"question": "Q?", "answer": "A"}]} for n in range(3)
    ]
    (tmp_path / "passages.json").write_text(json.dumps(passages))

    orders = [[lesson.document.text for lesson in stream.lessons(tmp_path, 3, seed)] for seed in range(4)]

    assert all(sorted(order) == ["Text 0.", "Text 1.", "Text 2."] for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert stream.lessons(tmp_path, 3, 0)[0].items[0]["answer"] == "A"


def test_what_cannot_be_run_is_said_before_anything_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are 100 documents"):
        stream.run(tmp_path, n=101)
    with pytest.raises(ConfigError, match="no arm called nonsense"):
        stream.run(tmp_path, arms=["nonsense"])


def test_newer_texts_are_measured_by_new_values_stale_ones_and_near_misses(faked: list[Path], tmp_path: Path) -> None:
    result = superseding.run(tmp_path, n=3)

    ours = result["arms"]["full"]
    assert ours["outcomes"] == {"before": ["accepted"], "after": ["accepted"]}
    assert (ours["new"]["n"], ours["stale"]["n"], ours["kept_before"]["n"]) == (15, 15, 12)
    assert ours["old_before"]["value"] > 0
    assert ours["new"]["value"] > ours["stale"]["value"]
    assert result["arms"]["store"]["stale"]["value"] == 0
    assert "store all" in superseding.told(result).replace("_", " ")
    opened = len(faked)
    assert superseding.run(tmp_path, n=3) == result
    assert len(faked) == opened + 3  # opened, but nothing learned again
    superseding.run(tmp_path, n=3, arms=["store"], model="another")
    assert len(list(tmp_path.iterdir())) == 2


def test_each_newer_text_differs_in_what_it_is_asked_for_and_nowhere_else() -> None:
    """The corpus: new values stand in it, stale ones do not, what was kept stands in both."""
    older = {one["id"]: one["text"] for one in shipped.corpus("invented")}
    for one in shipped.corpus("superseding"):
        text = one["text"]
        for fact in one["facts"]:
            assert fact["answer"] in text
            assert fact["answer"] not in older[one["id"]]
            assert fact["stale"] not in text
            assert fact["stale"] in older[one["id"]]
        assert all(fact["answer"] in text and fact["answer"] in older[one["id"]] for fact in one["kept"])
        assert len(text.split(". ")) == len(older[one["id"]].split(". "))


def test_the_hundred_invented_documents_can_be_asked_about() -> None:
    """Five answers each that stand in the text once, and no two documents of one name."""
    everything = stream.lessons(None, 100, 0)

    assert len({lesson.document.title for lesson in everything}) == 100
    for lesson in everything:
        assert len(lesson.items) == 5
        for item in lesson.items:
            assert correct(item["answer"], lesson.document.text), item
            assert item["answer"].lower() not in item["question"].lower()


def test_means_are_over_questions_where_steps_have_unlike_many() -> None:
    """Ten documents of a question each, then one: the last counts for one of eleven."""
    story = {
        "documents": [str(number) for number in range(11)],
        "base": [[False]] * 11,
        "open_book": [[False]] * 11,
        "rows": [[[True]] * 10, [[True]] * 10 + [[False]]],
        "ahead": [[False]] * 10 + [[True]],
        "size": 10,
        "seconds": [1.0, 1.0],
        **dict.fromkeys(("prompt_tokens", "seconds_per_answer", "f1", "shuffled"), 0.0),
        "seen": [False],
        "general_before": [True, False],
        "general_after": [True, False],
    }

    found = stream._summed([story])

    assert found["final_mean"] == found["just_learned_mean"] == found["gain"] == pytest.approx(10 / 11)
    assert found["matrix"] == [[1.0], [1.0, 0.0]]
    assert found["forward_transfer"] == 1.0, "the eleventh was known before it came"
    assert found["general_n"] == 2


def test_what_was_consolidated_together_counts_together() -> None:
    """A step of ten is accepted or refused as a whole: two steps are two drawings, however many documents they hold."""
    documents = [str(number) for number in range(20)]
    whole = {"documents": documents, "size": 10}

    assert stream._together(1, whole) == ["stream 1, step 0"] * 10 + ["stream 1, step 1"] * 10
    assert stream._together(1, {**whole, "size": 1}) == documents
    rows = [[[True]] * 10, [[True]] * 10 + [[False]] * 10]
    low, high = stream._slope([{**whole, "rows": rows}])["slope_interval"]
    assert low < -0.9 < -0.1 < high, "of two drawings either may be nearly all"
    assert stream._slope([{**whole, "rows": rows[:1]}])["slope_interval"] == [-math.inf, math.inf]


def test_a_store_embeds_its_passages_once(faked: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the seconds of its answers would be those of reading all of them again."""
    store = arms.Store(tmp_path, None, lambda stage, share: None)
    lessons = stream.lessons(None, 3, 0)
    store.learn([lesson.document for lesson in lessons])
    embedded: list[str] = []
    embed = store._agent.rooms.embedder.embed
    monkeypatch.setattr(
        store._agent.rooms.embedder, "embed", lambda texts: (embedded.extend(texts), embed(texts))[1], raising=False
    )

    for item in lessons[0].items:
        store.prompt_tokens(item["question"])

    assert len(embedded) == 3 + len(lessons[0].items)
    store.learn([stream.lessons(None, 4, 0)[3].document])
    assert len(store._shown(["Who?"])) == 1
    assert len(embedded) == 3 + len(lessons[0].items) + 4 + 1


def test_a_decide_bench_whose_documents_were_not_learned_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the base all is new, which would look perfect."""
    monkeypatch.setattr(agents, "open", lambda home, **how: fake_agent(home, FakeLearner(learns=False)))

    with pytest.raises(SealError, match=r"nothing was learned that a decision could rest on \(rejected"):
        decide.run(tmp_path / "home")
    with fake_agent(tmp_path / "home") as agent:
        assert [version.status for version in agent.versions()] == ["rejected", "rejected"]


def test_a_story_that_an_older_version_kept_is_read_and_gone_on_with(faked: list[Path], tmp_path: Path) -> None:
    """It asked nothing ahead of a lesson, and what was not asked then cannot be asked now."""
    stream.run(tmp_path, n=2, arms=["full"])
    (kept,) = tmp_path.glob("*/full.json")
    story = json.loads(kept.read_text())
    del story["ahead"], story["end"]
    kept.write_text(json.dumps({**story, "rows": {k: v[:1] for k, v in story["rows"].items()}, "seconds": [1.0]}))

    result = stream.run(tmp_path, n=2, arms=["full"])

    assert result["arms"]["full"]["forward_transfer"] is None
    assert [len(row) for row in result["arms"]["full"]["matrix"]] == [1, 2]


def test_streams_of_the_same_documents_are_no_more_documents() -> None:
    """Three streams, ten together: what a document is worth is worth it in all three, in whatever company."""
    known = {str(number): number % 2 == 0 for number in range(20)}
    stories = [
        {
            "documents": names,
            "base": [[False]] * 20,
            "rows": [[[known[name]] for name in names[:10]], [[known[name]] for name in names]],
            "size": 10,
        }
        for names in (list(known), list(known)[::-1], sorted(known))
    ]
    gains = [float(known[name]) for story in stories for name in story["documents"]]
    together = stream._by_question(stories, [stream._together(number, story) for number, story in enumerate(stories)])
    alone = stream._by_question(stories, [story["documents"] for story in stories])

    assert len(set(together)) == 6
    assert len(set(alone)) == 20
    assert stream._width(paired_interval(gains, alone)) > 0.4, "twenty of which ten are known"
