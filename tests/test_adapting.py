"""Few-shot tasks: what is made of the pairs, how a model says to train on them, and what it answers then."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import tiny

from seal_agent.adapting import grids, strategy, texts
from seal_agent.adapting.adapt import adapt, rows, vote
from seal_agent.adapting.strategy import Strategy, propose, tokens_at_most
from seal_agent.adapting.tasks import Changed, Pair, left_out, task_of
from seal_agent.bench import fewshot
from seal_agent.errors import ConfigError, SealError
from seal_agent.learning.learner import LoraLearner
from seal_agent.parts import Example
from seal_agent.testing import FakeLearner, fake_agent

TICKETS = task_of([("ticket one from Ann", "Ann"), ("ticket two from Bob", "Bob"), ("ticket three from Cas", "Cas")])
CROSS = task_of([("010 111 010", "020 222 020"), ("101 010 101", "202 020 202"), ("110 000 011", "220 000 022")])


def _parsed(row: Example) -> tuple[list[Pair], Pair]:
    """The pairs that *row* shows, and the one it asks about."""
    *shown, asked = [
        Pair(*part.removeprefix("Input: ").split("\nOutput:")) for part in row.prompt.split("\n\n") if part
    ]
    return [Pair(pair.input, pair.output.strip()) for pair in shown], Pair(asked.input, row.completion.strip())


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> LoraLearner:
    return LoraLearner(str(tiny.write(tmp_path_factory.mktemp("tiny"))), 8)


def test_a_question_never_shows_the_pair_it_asks_about() -> None:
    for asked, pair in zip(left_out(TICKETS.demonstrations, Random(0)), TICKETS.demonstrations, strict=True):
        assert asked.prompt.count(pair.input) == 1
        assert asked.prompt.endswith(f"Input: {pair.input}\nOutput:")
        assert f"Output: {pair.output}" not in asked.prompt


@pytest.mark.parametrize("name", ["paraphrase", "shorten", "substitute"])
def test_a_changed_pair_is_never_asked_about_after_the_pair_it_was_made_of(name: str) -> None:
    """All others are shown: as many as of a pair that was left as it is."""

    class Rewords(FakeLearner):
        def complete(self, prompts, adapter, **how):  # type: ignore[no-untyped-def,override]
            return [f" in short, {prompt.split('Sentence: ')[1].split(chr(10))[0]}" for prompt in prompts]

    task = task_of(
        [
            ("Ann has lost her red key", "Ann"),
            ("a parcel for Bob came today", "Bob"),
            ("why did Cas leave so early", "Cas"),
            ("nobody could reach Dan by phone", "Dan"),
        ]
    )
    inputs = [pair.input for pair in task.demonstrations]
    asked = [_parsed(row) for row in rows(task, Strategy.model_validate({name: True}), 0, Rewords())]
    changed = [(shown, query) for shown, query in asked if query.input not in inputs]

    assert len(changed) == 4
    for shown, query in changed:
        source = max(task.demonstrations, key=lambda pair: len({*pair.input.split()} & {*query.input.split()}))
        assert {*shown} == {*task.demonstrations} - {source}


@pytest.mark.parametrize("family", grids.FAMILIES)
def test_a_changed_grid_is_asked_about_after_the_others_changed_alike(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grids, "recoloured", lambda pairs, order: pairs)
    task = task_of([("100 020", "200 010"), ("034 000", "043 000"), ("500 006", "600 005"), ("078 000", "087 000")])
    transforms = (grids.AS_IT_IS, *grids.FAMILIES[family])
    alike = [{*grids.done(transform, task.demonstrations)} for transform in transforms]
    made = [_parsed(row) for row in rows(task, Strategy.model_validate({family: True}), 0, FakeLearner())]

    assert len(made) == 4 * len(transforms)
    for shown, query in made:
        assert query not in shown
        assert {*shown, query} in alike


def test_what_is_no_task_is_refused_with_every_problem() -> None:
    with pytest.raises(ConfigError, match=r"pair 1: empty output; 1 demonstrations"):
        task_of([("in", " ")])
    with pytest.raises(ConfigError, match=r"pair 2: output of several lines"):
        task_of([("a b", "a, b"), ("c d", "c\nd")])


def test_what_is_no_pair_of_texts_is_named() -> None:
    """The keys of a dictionary and the letters of a word are pairs, too, as Python takes them."""
    odd: list[Any] = [{"input": "a", "output": "b"}, "ab", ("a", "b", "c"), ("a", 1), None, 7]
    with pytest.raises(ConfigError) as refused:
        task_of([("in", "out"), *odd])
    for number, pair in enumerate(odd, 2):
        assert f"pair {number}: {pair!r} is no pair of texts" in str(refused.value)


def test_grids_are_recognised_and_texts_are_not_taken_for_them() -> None:
    assert CROSS.grids
    assert not TICKETS.grids
    assert not task_of([("12", "1"), ("13", "1")]).grids  # a line of digits is a number


@pytest.mark.parametrize("turn", grids.GEOMETRIC, ids=lambda turn: turn.name)
def test_every_turn_is_undone_exactly(turn: grids.Transform) -> None:
    grid = np.arange(6).reshape(2, 3)
    assert (turn.undo(turn.do(grid)) == grid).all()
    assert turn.do(grid).shape != grid.shape or not (turn.do(grid) == grid).all()


def test_size_chains_and_repeats_are_done_to_both_sides() -> None:
    (pair,) = grids.done(grids.SIZE[1], [Pair("12 34", "5")])
    assert pair == Pair("12 12 34 34", "5 5")
    (pair,) = grids.done(grids.REPEAT[0], [Pair("12 34", "5")])
    assert pair == Pair("1212 3434", "55")
    names = [transform.name for transform in grids.CHAINED]
    results = {grids.done(transform, [Pair("12 34", "5")])[0].input for transform in grids.CHAINED}
    assert len(results) == len(names)


def test_what_is_no_digit_of_ten_is_no_cell() -> None:
    """A model may answer anything; "²" is a digit to Python, and no number."""
    assert grids.read("1² 34") is None
    assert not task_of([("1² 34", "12 34"), ("12 34", "1² 34")]).grids


def test_a_grid_that_grows_too_large_is_left_out() -> None:
    wide = "1" * 20
    assert grids.done(grids.SIZE[2], [Pair(f"{wide} {wide}", "1")]) == []


def test_colours_change_in_both_sides_alike_and_the_ground_stays() -> None:
    changed = grids.recoloured(CROSS.demonstrations, Random(1))
    one, two = changed[0].input.replace("0", "").strip()[0], changed[0].output.replace("0", "").strip()[0]
    assert (one, two) != ("1", "2")
    for before, after in zip(CROSS.demonstrations, changed, strict=True):
        assert after.input == before.input.replace("1", one)
        assert after.output == before.output.replace("2", two)


def test_a_word_of_both_sides_is_replaced_in_both() -> None:
    changed = texts.substituted(TICKETS.demonstrations, Random(0))
    assert len(changed) == 3
    for before, after in zip(TICKETS.demonstrations, changed, strict=True):
        assert after.source == before
        assert after.pair.output in {"Ann", "Bob", "Cas"} - {before.output}
        assert after.pair.input == before.input.replace(before.output, after.pair.output)


def test_a_word_that_the_output_says_is_never_left_out() -> None:
    for seed in range(20):
        (short,) = texts.shortened([Pair("the red box of Ann", "Ann red")], Random(seed))
        assert len(short.pair.input.split()) == 4
        assert {"Ann", "red"} <= set(short.pair.input.split())


@pytest.mark.parametrize(
    "said",
    [
        "I do not like this phone",
        "It doesn't work at all",
        "Never again, said she",
        "It does n't work",
        "I dont like it",
    ],
)
def test_no_negation_is_lost(said: str) -> None:
    """ "I do not like this phone" without its "not" has another label, and so has a paraphrase that turns it round."""
    pair = Pair(said, "negative")
    turned = next(word for word in said.split() if word.lower() in {"not", "doesn't", "never", "n't", "dont"})

    assert all(turned in texts.shortened([pair], Random(seed))[0].pair.input.split() for seed in range(30))
    assert texts.paraphrased([pair], lambda inputs: ["I like this phone very much"]) == []
    assert texts.paraphrased([pair], lambda inputs: ["I cannot like this phone"])


def test_no_negation_is_exchanged_for_another_word() -> None:
    """Both sides say "not"; another pair's shared word in its place would say the opposite on both."""
    pairs = [Pair("this is not here", "not"), Pair("that is gone there", "gone")]

    assert [texts.substituted(pairs, Random(seed)) for seed in range(10)] == [[]] * 10


def test_lines_of_an_input_stay_lines_where_a_word_is_left_out() -> None:
    """As the question is asked that it is to prepare for."""
    pair = Pair("name: Ann\nage: 12\ncity: Rome", "Ann")

    for seed in range(20):
        (short,) = texts.shortened([pair], Random(seed))
        assert short.pair.input.count("\n") == 2
        assert len(short.pair.input.split()) == 5


def test_a_paraphrase_that_lost_what_both_sides_say_is_dropped() -> None:
    said = iter(["a note that Ann wrote", "a note somebody wrote", "ticket three from Cas"])
    kept = texts.paraphrased(TICKETS.demonstrations, lambda inputs: [next(said) for _ in inputs])
    assert kept == [Changed(Pair("a note that Ann wrote", "Ann"), TICKETS.demonstrations[0])]


def test_a_strategy_makes_the_rows_it_names() -> None:
    fake = FakeLearner()
    plain = rows(TICKETS, Strategy(), 0, fake)
    more = rows(TICKETS, Strategy(reorder=True, shorten=True, loss="all"), 0, fake)

    assert sorted((row.completion, row.whole) for row in plain) == [
        (f" {name}\n", False) for name in ("Ann", "Bob", "Cas")
    ]
    assert len(more) == 3 * 3 + 3
    assert all(row.whole for row in more)
    assert rows(TICKETS, Strategy(reorder=True), 0, fake) == rows(TICKETS, Strategy(reorder=True), 0, fake)
    assert len(rows(CROSS, Strategy(geometric=True, chained=True), 0, fake)) == 3 * (1 + 7 + 4)


@pytest.mark.parametrize("chosen", [Strategy(paraphrase=True), Strategy(reorder=True, shorten=True, substitute=True)])
def test_no_strategy_makes_more_rows_than_it_is_counted_with(chosen: Strategy) -> None:
    assert len(rows(TICKETS, chosen, 0, FakeLearner())) <= len(strategy.tokens_at_most(chosen, TICKETS, len))


@pytest.mark.parametrize("family", [*grids.FAMILIES, "reorder"])
def test_no_strategy_trains_more_tokens_than_it_is_counted_with(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is doubled and repeated is longer than the task; of many pairs an order may show the longest."""
    many = task_of([(f"{number} wood" * number, "long" * number) for number in range(1, 10)])
    chosen, task = Strategy.model_validate({family: True}), many if family == "reorder" else CROSS
    monkeypatch.setattr(strategy, "_CAP", 0)

    counted = int(chosen.refused(task, len).split()[0])

    trained = chosen.epochs * sum(len(row.prompt + row.completion) for row in rows(task, chosen, 0, FakeLearner()))
    assert trained <= counted <= 1.5 * trained


def test_what_costs_too_much_is_refused_with_its_cost() -> None:
    dear = Strategy(geometric=True, size=True, chained=True, repeat=True, epochs=50)

    assert re.fullmatch(r"\d+ tokens over 50 epochs, at most 40000", dear.refused(CROSS, FakeLearner().count))
    with pytest.raises(ConfigError, match="at most 40000"):
        adapt(FakeLearner(), CROSS, [dear])


@pytest.mark.parametrize(("share", "epochs"), [(1.0, 8), (0.3, 2), (0.05, None)])
def test_a_task_is_trained_as_long_as_it_can_afford_where_nobody_chose(
    share: float, epochs: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than refused; and a bench goes on with the next task where even one epoch is too much."""
    pairs = [("open the red door", "red"), ("paint the blue wall", "blue")]
    task = task_of(pairs)
    monkeypatch.setattr(strategy, "_CAP", 0)
    cost = int(Strategy().refused(task, FakeLearner().count).split()[0])
    monkeypatch.setattr(strategy, "_CAP", share * cost)
    bench = fewshot._Bench(FakeLearner(), tmp_path, 0, lambda stage, done: None, lambda line: None)

    scores = bench.fixed(fewshot.Problem("doors", task, task.demonstrations))["scores"]

    assert len(scores["default"]) == 1
    assert epochs or scores["default"] == scores["in_context"], "nothing trained is the demonstrations alone"
    with fake_agent(tmp_path / "home") as agent:
        if epochs is None:
            with pytest.raises(ConfigError, match=r"cannot be trained so: .* tokens"):
                agent.adapt(pairs)
        else:
            with agent.adapt(pairs) as it:
                assert it.strategy.epochs == epochs


def test_whatever_a_model_proposes_is_a_valid_strategy_within_the_cap(learner: LoraLearner) -> None:
    """A random model cannot write JSON; asked field by field it need not."""
    for task in (TICKETS, CROSS):
        found = propose(learner, task, None, 6, seed=1)
        assert len(found) == 6
        assert [one.refused(task, learner.count) for one in found] == [""] * 6
        assert propose(learner, task, None, 6, seed=1) == found
        for one in found:
            assert Strategy.model_validate(json.loads(strategy.as_json(one, task.grids))) == one


def test_a_writer_that_learned_a_strategy_proposes_it(learner: LoraLearner, tmp_path: Path) -> None:
    """What the outer loop rests on: a row of question and JSON moves the proposals."""
    from seal_agent.parts import Example, Trial

    wanted = Strategy(reorder=True, substitute=True, loss="all", learning_rate=0.0005, epochs=8)
    row = Example(strategy.question(TICKETS), strategy.as_json(wanted, grids=False), raw=True)
    learner.train_many([Trial([row], tmp_path, 0, 60, 0.01, 1)], None)

    assert propose(learner, TICKETS, tmp_path, 8, seed=0).count(wanted) >= 6
    assert propose(learner, TICKETS, None, 8, seed=0).count(wanted) <= 1
    assert strategy.likeliest(learner, TICKETS, tmp_path) == wanted != strategy.likeliest(learner, TICKETS, None)


@pytest.mark.parametrize(("cap", "epochs"), [(40_000, 8), (0.6, 4), (0.15, 1), (0.1, None)])
def test_the_likeliest_strategy_is_trained_as_long_as_the_cap_allows(
    cap: float, epochs: int | None, learner: LoraLearner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer epochs before none: refused as a whole it was no strategy at all. Caps below 1 are a share of eight epochs' cost."""
    from seal_agent.parts import Example, Trial

    wanted = Strategy(reorder=True, epochs=8)
    row = Example(strategy.question(TICKETS), strategy.as_json(wanted, grids=False), raw=True)
    learner.train_many([Trial([row], tmp_path, 0, 60, 0.01, 1)], None)
    monkeypatch.setattr(strategy, "_CAP", -1)
    cost = int(wanted.refused(TICKETS, learner.count).split()[0])
    monkeypatch.setattr(strategy, "_CAP", cap if cap > 1 else cap * cost)

    found = strategy.likeliest(learner, TICKETS, tmp_path)

    assert found == (wanted.model_copy(update={"epochs": epochs}) if epochs else None)


def test_a_task_is_learned_in_a_temporary_adapter_and_the_base_stays(learner: LoraLearner) -> None:
    """Two strategies side by side; one is too weak to change anything."""
    before = vote(learner, TICKETS, ["ticket one from Ann"], None)
    strong, weak = adapt(
        learner, TICKETS, [Strategy(epochs=50, learning_rate=0.01), Strategy(epochs=1, learning_rate=1e-5)]
    )
    with strong, weak:
        assert strong.adapter.is_dir()
        assert strong.training["loss"] < 0.2 < weak.training["loss"]
        taught = rows(TICKETS, Strategy(), 0, learner)
        said = learner.complete([row.prompt for row in taught], strong.adapter, stop=("\n",))
        assert said == [row.completion.strip() for row in taught]
        assert len(strong.ask("ticket one from Ann", "ticket two from Bob")) == 2
        assert weak.ask("ticket one from Ann") == before[0][:1]
    assert not strong.adapter.exists()
    with pytest.raises(SealError, match="this adaptation is closed"):
        strong.ask("ticket one from Ann")
    assert vote(learner, TICKETS, ["ticket one from Ann"], None) == before


def test_strategies_are_trained_side_by_side_as_far_as_one_pass_has_room(
    learner: LoraLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six on large grids took more memory than a laptop has."""
    passes: list[int] = []
    train = learner.train_many
    monkeypatch.setattr(learner, "train_many", lambda trials, *how: passes.append(len(trials)) or train(trials, *how))
    strategies = [Strategy(epochs=1, learning_rate=rate) for rate in (0.001, 0.002, 0.003)]
    pairs = task_of([(f"word {n}", f"{n} word") for n in range(3)])
    longest = tokens_at_most(strategies[0], pairs, learner.count)[-1]
    for room, expected in ((12 * longest, [3]), (8 * longest, [2, 1]), (1, [1, 1, 1])):
        monkeypatch.setattr("seal_agent.adapting.adapt._PASS", room)
        passes.clear()
        made = adapt(learner, pairs, strategies)
        assert passes == expected
        assert [adapted.strategy for adapted in made] == strategies
        assert all(adapted.training["finite"] for adapted in made)
        for adapted in made:
            adapted.close()


def test_a_training_that_diverged_solves_nothing_and_is_told_of(tmp_path: Path) -> None:
    """Nothing is written of it: to ask it would end the bench, each time anew."""

    class Knows(FakeLearner):
        def complete(self, prompts, adapter, **how):  # type: ignore[no-untyped-def,override]
            return [" red"] * len(prompts)

    pairs = [("open the red door", "red"), ("paint the red wall", "red")]
    bench = fewshot._Bench(Knows(finite=False), tmp_path, 0, lambda stage, done: None, lambda line: None)

    measured = bench.fixed(fewshot.Problem("doors", task_of(pairs), (Pair("shut the red door", "red"),)))

    assert measured["scores"] == {"in_context": [1.0], "default": [0.0]}
    with (
        fake_agent(tmp_path / "home", Knows(finite=False)) as agent,
        pytest.raises(SealError, match=r"not finite.*0\.002"),
    ):
        agent.adapt(pairs)


def test_what_breaks_before_training_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Breaks(FakeLearner):
        def complete(self, prompts, adapter, **how):  # type: ignore[no-untyped-def,override]
            raise RuntimeError("out of memory")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(RuntimeError, match="out of memory"):
        adapt(Breaks(), TICKETS, [Strategy(paraphrase=True)])
    assert list(tmp_path.iterdir()) == []


def test_all_that_is_shown_can_be_learned_or_the_output_alone(learner: LoraLearner) -> None:
    """A row of loss "all" has labels from its second token on."""
    from seal_agent.parts import Example

    for raw in (False, True):
        output, whole = (learner._row(Example("a question", "so", whole=w, raw=raw)) for w in (False, True))
        assert output.ids == whole.ids
        assert len(whole.targets) == len(whole.ids) - 1
        assert len(output.targets) < len(whole.targets)


def test_turned_answers_are_turned_back_before_they_are_counted() -> None:
    """Who gives the input back gives it back from every side: eight votes for one output."""

    class Echo(FakeLearner):
        def complete(self, prompts, adapter, **how):  # type: ignore[no-untyped-def,override]
            return [f" {prompt.rsplit('Input: ', 1)[1].removesuffix(chr(10) + 'Output:')}" for prompt in prompts]

    assert vote(Echo(), CROSS, ["012 345 678"], None) == [["012 345 678"]]


def test_what_is_no_grid_wins_no_vote_against_a_grid() -> None:
    """Five of eight replies are cut off; the three that agree are the answer."""

    class Cut(FakeLearner):
        said = 0

        def complete(self, prompts, adapter, **how):  # type: ignore[no-untyped-def,override]
            return ["222 222 222"] * 3 + ["22"] * (len(prompts) - 3)

    ranked = vote(Cut(), CROSS, ["012 345 678"], None)[0]

    assert ranked[0] == "222 222 222"
    assert "22" in ranked


def test_a_way_of_training_grids_is_refused_for_texts_and_the_other_way_round() -> None:
    count = FakeLearner().count
    assert "geometric is for grids, which these pairs are not" in Strategy(geometric=True).refused(TICKETS, count)
    assert "reorder is for texts" in Strategy(reorder=True).refused(CROSS, count)


def test_inputs_in_other_words_count_as_long_as_they_may_become_and_few_are_written() -> None:
    """A thousand short pairs: no more are reworded than are trained, and a reworded one may be longer than it was."""
    asked: list[int] = []

    class Counts(FakeLearner):
        def complete(self, prompts, adapter, **how):  # type: ignore[no-untyped-def,override]
            asked.append(len(prompts))
            return ["in other words"] * len(prompts)

    task = task_of([(f"wood {number}", f"{number}") for number in range(1000)])
    rows(task, Strategy(paraphrase=True), 0, Counts())
    plain, reworded = (
        strategy.tokens_at_most(chosen, TICKETS, len) for chosen in (Strategy(), Strategy(paraphrase=True))
    )

    assert asked == [strategy.LARGEST]
    assert reworded == [*plain, *(tokens + strategy.REWORDED for tokens in plain)]


def test_texts_that_are_no_unicode_are_refused_by_name(tmp_path: Path) -> None:
    with fake_agent(tmp_path) as agent:
        with pytest.raises(SealError, match="is not valid Unicode"):
            agent.adapt([("a\ud800", "b"), ("c", "d")])
        adapted = agent.adapt([("open the red door", "red"), ("paint the blue wall", "blue")])
        with adapted, pytest.raises(SealError, match="is no text; give a str"):
            adapted.ask(["one", "two"])  # type: ignore[arg-type]


def test_grids_that_were_large_before_they_were_turned_are_shown_too() -> None:
    """Only what grows is left out, or the question stands alone."""
    asked: list[str] = []

    class Notes(FakeLearner):
        def complete(self, prompts, adapter, **how):  # type: ignore[no-untyped-def,override]
            asked.extend(prompts)
            return [""] * len(prompts)

    vote(
        Notes(), task_of([("12" * 16 + " " + "21" * 16, "1 2"), ("34" * 16 + " " + "43" * 16, "3 4")]), ["12 21"], None
    )

    assert [prompt.count("Input:") for prompt in asked] == [3] * 8


def test_an_agent_adapts_without_a_version(tmp_path: Path) -> None:
    with (
        fake_agent(tmp_path) as agent,
        agent.adapt([("open the red door", "red"), ("paint the blue wall", "blue")]) as it,
    ):
        assert it.adapter.is_dir()
        assert len(it.ask("wash the green car", "mend the grey roof")) == 2
        assert agent.versions() == []


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, learner: LoraLearner) -> None:
    """Two tasks to learn from and two to be measured by, and a tiny model."""
    every = fewshot.corpus("fewshot")
    of = [one for split in ("train", "test") for one in [o for o in every if o["split"] == split][:2]]
    monkeypatch.setattr(fewshot, "corpus", lambda name: of)
    monkeypatch.setattr("seal_agent.learning.learner.LoraLearner", lambda name: learner)
    monkeypatch.setattr(strategy, "_EPOCHS", (1, 2))
    monkeypatch.setattr(fewshot, "_TRIED", 3)


def test_every_arm_is_measured_on_tasks_that_nobody_learned_from(few: None, tmp_path: Path) -> None:
    """And what is finished is not done again."""
    result = fewshot.run(tmp_path)

    assert set(result["arms"]) == set(fewshot.ARMS)
    assert {row["name"] for row in result["rows"]}.isdisjoint(one.name for one in fewshot.problems(None, "train"))
    for name, arm in result["arms"].items():
        assert arm["n"] == 2, name
        assert 0 <= arm["low"] <= arm["success"] <= arm["high"] <= 1
        assert arm["success"] <= result["arms"]["oracle"]["success"]
    assert fewshot.run(tmp_path) == result
    assert "in_context" in fewshot.told(result)


def test_the_second_round_is_proposed_by_the_writer_of_the_first(
    few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is measured is proposed by the untrained model and by the writer of the last round, on equal terms."""
    asked: list[str] = []
    propose = fewshot.propose

    def noting(learner: Any, task: Any, writer: Path | None, count: int, seed: int) -> list[Strategy]:
        asked.append(writer.name if writer else "nobody")
        return propose(learner, task, None, count, seed)

    def likeliest(learner: Any, task: Any, writer: Path | None) -> Strategy:
        (strategy,) = noting(learner, task, writer, 1, 0)
        return strategy

    monkeypatch.setattr(fewshot, "propose", noting)
    monkeypatch.setattr(fewshot, "likeliest", likeliest)
    shown, trained = fewshot.Result(0.0, -2.0), fewshot.Result(1.0, -1.0)
    monkeypatch.setattr(
        fewshot._Bench, "_results", lambda bench, problem, strategies: (shown, {name: [trained] for name in strategies})
    )

    result = fewshot.run(tmp_path)

    assert asked == ["nobody"] * 2 + ["writer-1"] * 2 + ["nobody", "writer-2"] * 2
    assert result["kept"] == [4, 4]
    assert result["paired"]["trained - default"]["difference"] == 0


def test_without_an_arm_that_has_learned_nothing_is_learned(
    few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for asked in ("propose", "likeliest"):
        monkeypatch.setattr(fewshot, asked, lambda *given: pytest.fail("nobody is asked for a strategy"))

    result = fewshot.run(tmp_path, arms=["in_context", "default"])

    assert set(result["arms"]) == {"in_context", "default"}
    assert set(result["paired"]) == {"default - in_context"}
    assert "bandit" not in result
    assert "default" in fewshot.told(result)
    with pytest.raises(ConfigError, match="no arm called best"):
        fewshot.run(tmp_path, arms=["best"])


def test_another_model_seed_or_task_and_a_quick_look_share_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one run's scores, or its writer, are told as the other's."""
    used: list[Path] = []
    every = fewshot.corpus("fewshot")
    row = {"scores": {"default": [1.0]}}
    monkeypatch.setattr("seal_agent.learning.learner.LoraLearner", lambda name: FakeLearner())
    monkeypatch.setattr(fewshot._Bench, "fixed", lambda bench, problem: used.append(bench.folder) or row)

    for how in ({}, {"seed": 1}, {"model": "another"}, {"quick": True}):
        fewshot.run(tmp_path, arms=["default"], **how)
    monkeypatch.setattr(fewshot, "corpus", lambda name: every[1:])  # one task less to learn from
    fewshot.run(tmp_path, arms=["default"])
    monkeypatch.undo()

    assert every[0]["split"] == "train"
    assert len(set(used)) == 5
    assert {folder.name.rpartition("-")[0] for folder in used} == {"text-0", "text-1", "text-quick-0"}


def test_a_task_that_an_older_version_kept_no_score_of_was_shown_alone() -> None:
    """It could not afford the strategy; left out, it would make the arm look better than the best of all."""
    rows = [{"scores": {"trained": [1.0], "in_context": [0.0]}}, {"scores": {"trained": [], "in_context": [0.0]}}]

    assert fewshot._arm(rows, "trained")["success"] == 0.5
    assert fewshot._paired(rows, "trained", "in_context")["difference"] == 0.5


def test_one_lucky_trial_decides_nothing() -> None:
    """Eight epochs did well ten times, one epoch better once."""
    often = {"in_context": 0.0, "strategies": [Strategy(epochs=8).model_dump()] * 10, "scores": [0.9] * 10}
    never = {"in_context": 0.0, "strategies": [Strategy(epochs=4).model_dump()] * 10, "scores": [0.0] * 10}
    once = {"in_context": 0.0, "strategies": [Strategy(epochs=1).model_dump()], "scores": [1.0]}

    assert fewshot._best([often, never, once]).epochs == 8
    assert fewshot._best([]) == Strategy()


def test_a_writer_learns_the_best_two_of_a_task_and_nothing_that_is_no_better_than_showing_alone() -> None:
    """The best of both rounds; where as much is right, what makes the right outputs likelier."""
    ways = [Strategy(epochs=epochs).model_dump() for epochs in (1, 2, 4, 8)]
    first = {"in_context": 0.5, "in_context_likelihood": -1.0, "strategies": ways[:2]}
    second = {"in_context": 0.5, "in_context_likelihood": -1.0, "strategies": ways[2:]}

    def kept(scores: tuple[float, ...], likelihoods: tuple[float, ...]) -> list[int]:
        tried = [
            first | {"scores": scores[:2], "likelihoods": likelihoods[:2]},
            second | {"scores": scores[2:], "likelihoods": likelihoods[2:]},
        ]
        return [strategy.epochs for strategy in fewshot._winners(tried)]

    assert kept((0.8, 1.0, 0.8, 0.3), (-0.2, -0.9, -0.1, -0.0)) == [2, 4]
    assert kept((0.5, 0.5, 0.0, 0.3), (-0.5, -1.5, -math.inf, -0.1)) == [1]
    assert kept((0.5, 0.3, 0.2, 0.0), (-1.0, -0.5, -0.5, -0.5)) == []


def test_strategies_at_random_are_of_every_kind_and_within_the_cap() -> None:
    """Also of those that the untrained model finds too unlikely ever to propose."""
    found = strategy.at_random(FakeLearner(), TICKETS, 40, seed=1)

    assert {one.loss for one in found} == {"output", "all"}
    assert {one.epochs for one in found} == set(strategy._EPOCHS)
    assert {one.paraphrase for one in found} == {False, True}
    assert not any(one.geometric for one in found), "a text is not turned"
    assert found == strategy.at_random(FakeLearner(), TICKETS, 40, seed=1)
    long = task_of([(f"{n} " * 2000, "x") for n in range(3)])
    assert all(
        not one.refused(long, FakeLearner().count) for one in strategy.at_random(FakeLearner(), long, 40, seed=1)
    )


def test_the_built_in_tasks_are_apart_and_of_four_kinds() -> None:
    """At least thirty are measured; no input stands in two tasks or in both halves of one."""
    every = fewshot.corpus("fewshot")
    kinds = {(one["kind"], one["split"]) for one in every}
    inputs = [pair["input"] for one in every for half in ("train", "test") for pair in one[half]]

    assert len(kinds) == 8
    assert sum(one["split"] == "test" for one in every) >= 30
    assert len(set(inputs)) == len(inputs)
    assert len({one["name"] for one in every}) == len(every)


def test_arc_is_read_where_it_lies_and_solved_in_two_attempts(tmp_path: Path) -> None:
    for part in ("training", "evaluation"):
        shown = [{"input": [[0, 1]], "output": [[1], [0]]}, {"input": [[2, 1]], "output": [[1], [2]]}]
        challenge = {"t": {"train": shown, "test": [{"input": [[3, 1]]}]}}
        (tmp_path / f"arc-{part}-challenges.json").write_text(json.dumps(challenge))
        (tmp_path / f"arc-{part}-solutions.json").write_text(json.dumps({"t": [[[1], [3]]]}))

    (problem,) = fewshot.problems(tmp_path, "test")

    assert problem.task.demonstrations[0] == Pair("01", "1 0")
    assert problem.tests == (Pair("31", "1 3"),)
    assert [problem.score([ranked]) for ranked in (["31", "1 3"], ["1 3"], ["31", "13", "1 3"])] == [1, 1, 0]
    with pytest.raises(ConfigError, match="is not there"):
        fewshot.problems(tmp_path / "nowhere", "test")
