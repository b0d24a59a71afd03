"""
What an edit is worth: how much better questions about its passage are answered after training on it.

Promises: a reward is a plain function from a learner, an adapter and questions to one number a question, the higher the
better; without labels the questions are those the model itself finds with the passage in view, and what is forgotten
elsewhere is taken off.
Does not promise: that a reward on few questions ranks edits well. Its reliability is measured, not assumed.

Sources: the inner loop of SEAL (arXiv 2506.10943, section 3.1), whose authors propose questions written with the passage in
view; finding a question's passage by the likelihood of the question (2204.07496); diversity of generated text by its
compression (2403.00553), by which SEAL's writer collapses (2603.22213).
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from seal_agent.editing import prompts
from seal_agent.editing.room import tells
from seal_agent.parts import Learner, Passage
from seal_agent.records import Check, SelfEdit

Right = Callable[[str, str], bool]
"""(gold, answer) -> is it right?"""
Reward = Callable[[Learner, Path | None, Sequence[Check]], list[float]]
"""(learner, adapter, questions) -> a number for each question."""


def accuracy(right: Right) -> Reward:
    """1 for a question answered right, by *right*, closed-book and greedily; else 0."""

    def reward(learner: Learner, adapter: Path | None, questions: Sequence[Check]) -> list[float]:
        said = learner.answer([check.question for check in questions], adapter)
        return [float(right(check.gold, text)) for check, text in zip(questions, said, strict=True)]

    return reward


def likelihood(learner: Learner, adapter: Path | None, questions: Sequence[Check]) -> list[float]:
    """Log-likelihood of the right answer, nats per token: finer than right or wrong, so that fewer questions tell more."""
    scored = learner.score([(check.question, check.answer or check.gold) for check in questions], adapter)
    return [logprob / max(1, tokens) for logprob, tokens in scored]


def less_forgetting(reward: Reward, general: Sequence[Check]) -> Reward:
    """
    *reward*, less what the adapter loses elsewhere: the median rise of the loss of the untouched base's own answers to
    *general* questions, nats per token, where it rises. Without such questions it is *reward* alone.
    """
    base: list[float] = []

    def kept(learner: Learner, adapter: Path | None, questions: Sequence[Check]) -> list[float]:
        numbers = reward(learner, adapter, questions)
        if adapter is None or not general:
            return numbers
        base[:] = base or likelihood(learner, None, general)  # once: the base never changes
        now = likelihood(learner, adapter, general)
        lost = max(0.0, median(before - after for before, after in zip(base, now, strict=True)))
        return [number - lost for number in numbers]

    return kept


def consistent(learner: Learner, questions: Sequence[Check], passage: Passage) -> list[Check]:
    """
    Of *questions* those that the untouched base would ask of the sentence that answers them sooner than of any other sentence
    of *passage*.

    A small model seldom answers right to the span with a passage in view (one question in ten about SQuAD's), but which sentence
    a question comes from it tells in seven of ten.
    """
    said = passage.sentences
    pairs = [
        (prompts.ASKED.format(subject=passage.title, sentence=sentence), f" {check.question}")
        for check in questions
        for sentence in said
    ]
    scores = [score for score, _ in learner.score(pairs, None, raw=True)] if pairs else []
    kept = []
    for number, check in enumerate(questions):
        of = scores[number * len(said) : (number + 1) * len(said)]
        if tells(check, passage.title, said[of.index(max(of))]):
            kept.append(check)
    return kept


def rubric(edits: Sequence[SelfEdit]) -> float:
    """
    A proxy that trains nothing, 0 to 1: the mean of the share of proposed rows that are proved, the share of facts that are
    asked for at least four times, and the share of questions that no other one repeats in its first four words.
    """
    proved = [edit for edit in edits if not edit.refused]
    facts = {edit.fact for edit in edits}
    asked = [edit.prompt.lower().split() for edit in proved if edit.prompt]
    if not (proved and asked):
        return 0.0
    times = Counter(edit.fact for edit in proved if edit.prompt)
    often = sum(times[fact] >= 4 for fact in facts)
    return (len(proved) / len(edits) + often / len(facts) + len({tuple(words[:4]) for words in asked}) / len(asked)) / 3


def compression(texts: Sequence[str]) -> float:
    """How many times smaller *texts* become by zlib: the more they repeat each other, the higher. Prose is at 2 to 3."""
    said = "\n".join(texts).encode()
    return len(said) / len(zlib.compress(said, 9)) if said else 0.0
