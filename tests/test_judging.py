"""Grading and the gate, as claims."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from scipy import stats

from seal_agent.judging import gate, grading, statistics
from seal_agent.records import Check, GateReport


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("Marta Vell", "It is kept by Marta Vell.", True),
        ("The Oss", "the river Oss", True),
        ("10.30", "It leaves at 10.30 am.", True),
        ("3.30", "It opens at 3:30.", True),
        ("12", "It carries twelve passengers.", True),
        ("twenty-seven", "There were 27 of them.", True),
        ("45", "forty-five years", True),
        ("ninety", "It sounds every 90 seconds.", True),
        ("30", "It opened in twenty ten.", False),
        ("two hundred", "200 trees", True),
        ("seven thousand", "7,000 letters", True),
        ("1,250", "1250 metres", True),
        ("art", "A party was held.", False),
        ("Marta Vell", "Marta and Vell", False),
        ("", "anything", False),
        ("120", "It has one hundred and twenty bells.", True),
        ("2,500", "two thousand five hundred letters", True),
        ("100", "between one hundred and two hundred", True),
        ("102", "between one hundred and two hundred", False),
        ("30", "The tower has 30 one-ton bells.", True),
        ("23", "in room 20, three doors on", False),
        ("US", "the U.S. army", True),
        ("Hall A", "Anstrow: Hall B. The concert is in Hall B.", False),
        ("Hall A", "The concert is in Hall A.", True),
        ("A", "She plays in Group A.", True),
        ("Once Upon A Time", "once upon a time", True),
        ("a tower", "Anstrow: A tower stands there.", True),
        ("5", "It weighs 1.5 tons.", False),
        ("$3", "It costs $3.50.", False),
        ("1.5", "It weighs 1.5 tons.", True),
        ("5", "There are 5.", True),
        ("9:30 am", "It opens at 9.30 am.", True),
        ("9:30 a.m.", "It opens at 9.30 a.m. each day.", True),
        ("12/05/1871", "On 12.05.1871.", True),
        ("$3", "It costs $3.00.", True),
        ("3.00", "It costs 3.", True),
        ("1.5", "between 1.5 and 2 tons", True),
        ("10.0.0.1", "The address is 10.0.0.1.", True),
    ],
)
def test_an_answer_is_right_if_the_gold_stands_in_it_as_whole_words(gold: str, answer: str, right: bool) -> None:
    """Articles, case and punctuation aside, and with number words as digits."""
    assert right == grading.correct(gold, answer)


def test_intervals_and_tests_are_those_of_the_textbook() -> None:
    """Of differences that each count for themselves; ties say nothing about a median."""
    one = [1.0, 0.0, 1.0, 1.0, 0.0, -1.0]
    told = stats.ttest_1samp(one, 0.0).confidence_interval(0.95)
    assert statistics.paired_interval(one) == pytest.approx((told.low, told.high))
    assert min(statistics.paired_interval([1.0, -1.0, 1.0, -1.0], [0, 0, 1, 1])) < -0.5, (
        "two alike, not four that differ"
    )
    assert statistics.rank_test([1.0] * 5) == pytest.approx(stats.wilcoxon([1.0] * 5, alternative="greater").pvalue)
    assert statistics.rank_test([1.0, 1.0, 0.0, 0.0, 0.0]) == 1.0, "two that differ show nothing"
    assert statistics.mean_test(one) == pytest.approx(stats.ttest_1samp(one, 0.0, alternative="greater").pvalue)
    assert [statistics.mean_test(few) for few in ([], [1.0], [0.0] * 5, [-1.0] * 5, [0.5] * 5)] == [1, 1, 1, 1, 0]


def test_f1_is_that_of_squad() -> None:
    """Two of three words, all of two."""
    assert grading.f1("Marta Vell", "keeper Marta Vell") == pytest.approx(0.8)


def test_reciting_shows_in_the_shuffled_accuracy() -> None:
    """Someone who says everything is right about everything, and about everything else."""
    everything = "red green blue"

    assert grading.shuffled_accuracy(["red", "green", "blue"], [everything] * 3) == 1.0
    assert grading.shuffled_accuracy(["red", "green", "blue"], ["red", "green", "blue"]) == 0.0
    within = ["the guild of Pell", "guild", "1843"]  # who is right about the first says the second, too
    assert grading.shuffled_accuracy(within, within) == 0.0


def test_the_sign_test_is_exact() -> None:
    """Five of five is one in thirty-two."""
    assert statistics.sign_test(5, 0) == pytest.approx(1 / 32)
    assert statistics.sign_test(0, 0) == 1.0


class Scripted:
    """A learner that knows what a table says: {adapter: {question: (answer, loss per token)}}."""

    def __init__(self, table: dict[Path | None, dict[str, tuple[str, float]]]) -> None:
        self.table = table

    def answer(self, questions: Sequence[str], adapter: Path | None, **how: object) -> list[str]:
        return [self.table[adapter][question][0] for question in questions]

    def score(self, pairs: Sequence[tuple[str, str]], adapter: Path | None, **how: object) -> list[tuple[float, int]]:
        return [(-10 * self.table[adapter][question][1], 10) for question, _ in pairs]


LIVE, CANDIDATE = Path("live"), Path("candidate")
NEW = [Check(id=f"n{i}", kind="fact", question=f"new {i}?", gold="yes", answer="yes") for i in range(12)]
OLD = [Check(id=f"o{i}", kind="fact", question=f"old {i}?", gold="yes", answer="yes") for i in range(12)]
GENERAL = [Check(id=f"g{i}", kind="general", question=f"general {i}?", gold="", answer="so") for i in range(12)]


def judged(table: dict[Any, Any], questions: gate.Questions, live: Path | None = LIVE, attempt: int = 1) -> GateReport:
    """The gate's report on the candidate of *table*."""
    return gate.judge(Scripted(table), questions, live, CANDIDATE, attempt=attempt)  # type: ignore[arg-type] - a script


def verdict(new: float, old: float, general: float, loss: float = 0.0, wrong: float = 2.0) -> str:
    """
    The gate's outcome for a candidate that answers these shares; *loss* is added to every general loss, *wrong* is that of
    a lost old fact.
    """

    def know(share_new: float, share_old: float, rise: float) -> dict[str, tuple[str, float]]:
        said = {c.question: ("yes", 0.1) if i < share_new * 12 else ("no", 2.0 + i / 100) for i, c in enumerate(NEW)}
        said |= {c.question: ("yes", 0.1) if i < share_old * 12 else ("no", wrong) for i, c in enumerate(OLD)}
        return said | {c.question: ("so", 1.0 + rise + i / 1000) for i, c in enumerate(GENERAL)}

    table = {None: know(0, 0, 0), LIVE: know(0, 1, 0), CANDIDATE: know(new, old, general + loss)}
    return judged(table, gate.Questions(NEW, OLD, GENERAL)).outcome


def test_a_candidate_that_learned_and_lost_nothing_is_accepted() -> None:
    """The plain case."""
    assert verdict(new=0.8, old=1.0, general=0.0) == "accepted"


def test_a_candidate_that_learned_nothing_is_rejected() -> None:
    """A no-op must not become a version."""
    assert verdict(new=0.0, old=1.0, general=0.0) == "rejected"


def test_a_candidate_that_forgot_old_facts_is_rejected() -> None:
    """However much it learned."""
    assert verdict(new=1.0, old=0.5, general=0.0) == "rejected"


def test_a_few_answers_that_turn_by_a_hair_do_not_sink_a_good_candidate() -> None:
    """Four of twelve and none gained: one in sixteen by chance alone, and no exact test calls that proved."""
    assert verdict(new=1.0, old=8 / 12, general=0.0, wrong=0.3) == "accepted"
    assert verdict(new=1.0, old=7 / 12, general=0.0, wrong=0.3) == "rejected"


def test_a_fact_whose_likelihood_is_gone_counts_for_more_than_an_answer_that_turned() -> None:
    """One may go; two of twelve are beyond the budget."""
    assert verdict(new=1.0, old=11 / 12, general=0.0) == "accepted"
    assert verdict(new=1.0, old=10 / 12, general=0.0) == "rejected"


@pytest.mark.parametrize(
    ("right", "of", "outcome"), [(4, 12, "accepted"), (3, 12, "rejected"), (3, 5, "accepted"), (2, 5, "rejected")]
)
def test_likelihood_without_answers_is_not_enough(right: int, of: int, outcome: str) -> None:
    """All wordings' answers became likely, some are given: a third will do, and three of five where there are only five."""
    said = {check.question: ("yes" if number < right else "no", 0.1) for number, check in enumerate(NEW[:of])}
    rest = {check.question: ("so", 1.0) for check in GENERAL}
    table = {None: {check.question: ("no", 3.0) for check in NEW[:of]} | rest, CANDIDATE: said | rest}

    report = judged(table, gate.Questions(NEW[:of], general=GENERAL), None)

    assert report.outcome == outcome
    unseen = judged(table, gate.Questions(NEW[:of]), None)
    assert unseen.outcome == ("undecided" if outcome == "accepted" else outcome), "what nobody asked has not passed"


@pytest.mark.parametrize(("loss", "most"), [(0.3, 4), (2.0, 1)], ids=["by a hair", "forgotten"])
def test_losses_too_small_to_see_one_by_one_are_seen_in_their_sum(loss: float, most: int) -> None:
    """Each candidate loses one old fact more than the one before it; the line is stopped at what the budget allows."""
    right = [
        {"new 0?": ("yes", 0.1)} | {c.question: ("yes", 0.1) if i >= lost else ("no", loss) for i, c in enumerate(OLD)}
        for lost in range(13)
    ]
    taken = 0
    for lost in range(1, 13):
        table = {None: right[0], LIVE: right[taken], CANDIDATE: right[lost]}
        learned = {check.id: (True, 0.1) for check in OLD}
        report = judged(table, gate.Questions(old=OLD, learned=learned))
        if any(finding.verdict == "fail" and "old facts" in finding.name for finding in report.findings):
            break
        taken = lost

    assert taken == most


def test_a_candidate_whose_general_answers_changed_is_rejected() -> None:
    """By the median of paired losses, against the live version and the base."""
    assert verdict(new=1.0, old=1.0, general=0.4) == "rejected"


def known(
    new: str = "no", old: str = "yes", rise: float = 0.0, user: str = "yes", users: Sequence[Check] = ()
) -> dict[str, tuple[str, float]]:
    """What a version says that gives these answers, and whose general losses are higher by *rise*."""
    said = {c.question: (new, 0.1 if new == "yes" else 2.0 + i / 100) for i, c in enumerate(NEW)}
    said |= {c.question: (old, 0.1 if old == "yes" else 2.0) for c in OLD}
    said |= {c.question: (user, 0.1) for c in users}
    return said | {c.question: ("so", 1.0 + rise + i / 1000) for i, c in enumerate(GENERAL)}


@pytest.mark.parametrize(("base", "live", "against"), [(0.3, 0.0, "the live version"), (0.0, 0.3, "the base")])
def test_general_answers_may_suffer_against_neither(base: float, live: float, against: str) -> None:
    """As good as the one of them is not good enough."""
    table = {None: known(rise=base), LIVE: known(rise=live), CANDIDATE: known("yes", rise=0.3)}

    report = judged(table, gate.Questions(NEW, OLD, GENERAL))

    assert [f.name for f in report.findings if f.verdict == "fail"] == [f"general, against {against}"]


def test_one_odd_general_answer_decides_nothing() -> None:
    """All are a little worse, one is by far: the median sees it as they are."""
    candidate = known("yes", rise=0.02)
    candidate[GENERAL[0].question] = ("so", 9.0)

    assert judged({None: known(), LIVE: known(), CANDIDATE: candidate}, gate.Questions(NEW, OLD, GENERAL)).outcome == (
        "accepted"
    )


def test_what_was_lost_of_the_new_counts_against_what_was_gained() -> None:
    """Four answered that were not, and eight lost that a newer text had left as they were."""
    kept = [Check(id=f"k{i}", kind="fact", question=f"kept {i}?", gold="yes", answer="yes") for i in range(8)]
    right, wrong = ({c.question: answer for c in kept} for answer in (("yes", 0.1), ("no", 3.0)))
    candidate = known("yes") | wrong | {c.question: ("no", 0.5) for c in NEW[4:]}

    table = {None: known() | wrong, LIVE: known() | right, CANDIDATE: candidate}

    assert judged(table, gate.Questions([*NEW, *kept], OLD, GENERAL)).outcome == "rejected"


def test_old_facts_that_come_back_make_up_for_those_that_go() -> None:
    live, candidate = known(), known("yes")
    live |= {c.question: ("no", 3.0) for c in OLD[:3]}
    candidate |= {c.question: ("no", 2.0) for c in OLD[3:6]}

    assert judged({None: known(), LIVE: live, CANDIDATE: candidate}, gate.Questions(NEW, OLD, GENERAL)).outcome == (
        "accepted"
    )


@pytest.mark.parametrize("kind", ["new", "old", "user"])
def test_a_loss_that_is_no_number_fails_whatever_was_asked(kind: str) -> None:
    """Right answers or not."""
    users = [Check(id=f"u{i}", kind="user", question=f"rule {i}?", gold="yes", answer="yes") for i in range(3)]
    table = {None: known(users=users), LIVE: known(users=users), CANDIDATE: known("yes", users=users)}
    questions = gate.Questions(NEW, OLD, GENERAL, user=users)
    assert judged(table, questions).outcome == "accepted"
    check = {"new": NEW, "old": OLD, "user": users}[kind][1]
    table[CANDIDATE][check.question] = ("yes", math.nan)

    assert judged(table, questions).outcome == "rejected"


def test_a_loss_that_is_not_finite_is_rejected() -> None:
    """Missing data is no pass."""
    assert verdict(new=1.0, old=1.0, general=0.0, loss=float("nan")) == "rejected"


def test_too_few_checks_are_undecided() -> None:
    """And the report says how many a test needs."""
    table = {None: {}, CANDIDATE: {}}
    for adapter, answer in ((None, ("no", 2.0)), (CANDIDATE, ("yes", 0.1))):
        table[adapter] = {check.question: answer for check in NEW[:3]}
    report = judged(table, gate.Questions(NEW[:3]), None)

    assert report.outcome == "undecided"
    assert "5" in report.reason


def test_what_a_version_answered_before_is_not_asked_again() -> None:
    """The second candidate is asked everything; the base and the live version nothing more."""
    other = Path("other")
    known = {check.question: ("yes", 0.1) for check in (*NEW, *OLD, *GENERAL)}
    calls: list[tuple[Path | None, int]] = []

    class Counted(Scripted):
        def answer(self, questions: Sequence[str], adapter: Path | None, **how: object) -> list[str]:
            calls.append((adapter, len(questions)))
            return super().answer(questions, adapter)

    learner, asked = Counted(dict.fromkeys((None, LIVE, CANDIDATE, other), known)), gate.Answers()
    reports = [
        gate.judge(learner, gate.Questions(NEW, OLD, GENERAL), LIVE, candidate, asked=asked)  # type: ignore[arg-type] - a script
        for candidate in (CANDIDATE, other)
    ]

    assert calls == [(CANDIDATE, 24), (LIVE, 24), (None, 0), (other, 24), (LIVE, 0), (None, 0)]
    assert reports[0].results == reports[1].results


def test_no_number_of_attempts_spends_more_than_five_percent() -> None:
    """A thousand attempts, and what is left for all that follow."""
    levels = [statistics.spent(attempt) for attempt in range(1, 1001)]

    assert 0.0499 < sum(levels) < 0.05
    assert levels == sorted(levels, reverse=True)


def test_a_sample_is_as_large_as_its_level_demands() -> None:
    """By drawing: of 300 of which 45 are bad, so few are seen no more often than the level says."""
    draw = Random(3)
    size = statistics.sample_size(300, 0.15, lambda n: n // 20, 0.02)
    seen = [sum(number < 45 for number in draw.sample(range(300), size)) <= size // 20 for _ in range(4000)]

    assert 0.005 < sum(seen) / 4000 <= 0.027
    assert statistics.sample_size(8, 0.15, lambda n: 1, 0.001) == 8
    assert statistics.sample_size(300, 0.15, lambda n: n // 20, 0.02, 2 * size) >= 2 * size
    assert statistics.sample_size(0, 0.15, lambda n: 1, 0.02) == 0


def test_later_attempts_ask_more_old_facts_and_never_only_the_same() -> None:
    """And all of them where there are few."""
    old = [Check(id=f"o{i}", kind="fact", question=f"old {i}?", gold="yes") for i in range(600)]
    samples = [[check.id for check in gate.sample(old, attempt)] for attempt in (1, 2, 30)]

    assert len(samples[0]) < len(samples[1]) < len(samples[2]) < 300
    assert not set(samples[0]) <= set(samples[1])
    assert all(len(set(one)) == len(one) for one in samples)
    assert gate.sample(old[:9], 1) == old[:9]


def test_a_loss_that_is_spread_evenly_over_the_home_passes_no_more_often_than_the_level_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One fact in eight is gone; where the sample took one of each part of the home, 7 % passed at a level of 3."""
    monkeypatch.setattr(gate, "spent", lambda attempt: 0.03)
    old = [Check(id=f"o{i}", kind="fact", question=f"old {i}?", gold="yes") for i in range(200)]
    asked = [[int(check.id[1:]) for check in gate.sample(old, attempt)] for attempt in range(4000)]
    passed = sum(sum(number % 8 == 3 for number in one) <= max(1, int(0.05 * len(one))) for one in asked)
    assert 0 < passed / 4000 <= 0.03


@pytest.mark.parametrize("version", [None, LIVE], ids=["the base", "the live version"])
def test_a_loss_that_is_no_number_fails_whoever_gives_it(version: Path | None) -> None:
    def know(new: str, lost: int, rise: float) -> dict[str, tuple[str, float]]:
        said = {check.question: (new, 0.1 if new == "yes" else 2.0) for check in NEW}
        said |= {c.question: ("no", 3.0) if number < lost else ("yes", 0.1) for number, c in enumerate(OLD)}
        return said | {check.question: ("so", 1.0 + rise) for check in GENERAL}

    table = {None: know("no", 12, 0.0), LIVE: know("no", 0, 0.0), CANDIDATE: know("yes", 0, 0.0)}
    questions = gate.Questions(NEW, OLD, GENERAL)
    assert judged(table, questions).outcome == "accepted"
    table[version][GENERAL[3].question] = ("so", math.nan)
    assert judged(table, questions).outcome == "rejected"


def test_of_a_users_own_questions_none_may_turn_wrong_whatever_else_comes_right() -> None:
    users = [Check(id=f"u{i}", kind="user", question=f"rule {i}?", gold="yes", answer="yes") for i in range(3)]

    def know(new: str, rules: Sequence[str]) -> dict[str, tuple[str, float]]:
        said = {check.question: (new, 0.1 if new == "yes" else 2.0) for check in NEW}
        said |= {check.question: (rule, 0.5) for check, rule in zip(users, rules, strict=True)}
        return said | {check.question: ("so", 1.0) for check in GENERAL}

    def outcome(rules: Sequence[str]) -> str:
        base = know("no", ["yes", "no", "no"])
        table = {None: base, LIVE: base, CANDIDATE: know("yes", rules)}
        return judged(table, gate.Questions(NEW, general=GENERAL, user=users)).outcome

    assert outcome(["yes", "no", "no"]) == "accepted"
    assert outcome(["no", "yes", "yes"]) == "rejected"


def test_the_live_version_is_asked_as_it_serves_now_and_the_candidate_as_it_would() -> None:
    def know(new: str) -> dict[Path | None, dict[str, tuple[str, float]]]:
        said = {check.question: (new, 0.1 if new == "yes" else 2.0) for check in NEW}
        said |= {check.question: ("so", 1.0) for check in GENERAL}
        return {None: said, LIVE: said, CANDIDATE: said}

    served, would = Scripted(know("no")), Scripted(know("yes"))
    report = gate.judge(would, gate.Questions(NEW, general=GENERAL), LIVE, CANDIDATE, serving=served)  # type: ignore[arg-type] - scripts
    assert report.outcome == "accepted"
    assert gate.judge(would, gate.Questions(NEW, general=GENERAL), LIVE, CANDIDATE).outcome == "undecided"  # type: ignore[arg-type]


@pytest.mark.parametrize(("lost", "questions"), [(30, 100), (0, 400)], ids=["a catastrophe", "nothing lost"])
def test_of_many_old_facts_no_more_are_asked_than_it_takes_to_see_a_catastrophe(lost: int, questions: int) -> None:
    """A quarter that has forgotten more than all of them may is enough; a sound candidate is asked everything."""
    many = [Check(id=f"m{i}", kind="fact", question=f"many {i}?", gold="yes", answer="yes") for i in range(400)]
    live = {c.question: ("yes", 0.1) for c in many}
    after = {c.question: ("no", 2.0) if i % 4 == 0 and i < 4 * lost else ("yes", 0.1) for i, c in enumerate(many)}

    report = judged({None: live, LIVE: live, CANDIDATE: after}, gate.Questions(old=many))

    finding = next(f for f in report.findings if f.name == "old facts, against the live version")
    assert (finding.n, finding.verdict) == (questions, "fail" if lost else "pass")


def test_what_stands_nearest_to_the_new_facts_is_looked_at_by_itself() -> None:
    """Three of twelve near ones forgotten would not be seen among a hundred old ones that were kept."""
    many = [Check(id=f"m{i}", kind="fact", question=f"many {i}?", gold="yes", answer="yes") for i in range(100)]
    live = {c.question: ("yes", 0.1) for c in (*many, *OLD)} | {c.question: ("no", 3.0) for c in NEW}
    after = live | {c.question: ("yes", 0.1) for c in NEW} | {c.question: ("no", 2.0) for c in OLD[:3]}
    table = {None: live, LIVE: live, CANDIDATE: after}

    report = judged(table, gate.Questions(NEW, many, near=OLD))

    assert [f.name for f in report.findings if f.verdict == "fail"] == ["old facts nearest to the new ones"]


@pytest.mark.parametrize(("attempt", "outcome"), [(1, "accepted"), (40, "undecided")])
def test_the_more_was_tried_the_more_must_be_shown(attempt: int, outcome: str) -> None:
    """General answers 0.07 nats worse than the base's: twelve checks show little, and say how many would show enough."""
    live = {c.question: ("no", 3.0) for c in NEW} | {c.question: ("so", 1.0) for c in GENERAL}
    after = {c.question: ("yes", 0.1) for c in NEW}
    after |= {c.question: ("so", 1.07 + (i - 6) / 100) for i, c in enumerate(GENERAL)}
    table = {None: live, CANDIDATE: after}

    report = judged(table, gate.Questions(NEW, general=GENERAL), None, attempt)

    assert report.outcome == outcome
    assert ("checks would show" in report.reason) == (outcome == "undecided")


def test_differences_that_are_all_alike_are_not_sure() -> None:
    """Of thirty that are nought one in eight may not be."""
    low, high = statistics.paired_interval([0.0] * 30)
    assert (low, high) == (-statistics.interval(0, 30)[1], statistics.interval(0, 30)[1])
