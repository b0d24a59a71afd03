"""
Forgetting in the field's words: what a learner knows of every lesson after every lesson.

Promises: pure functions of an accuracy matrix whose row i holds the accuracies, after lesson i, of lessons 0 to i; all lessons
count alike, or by *weights*, say how many questions each has; transfer as GEM defines it (arXiv 1706.08840), forgetting as
Chaudhry et al. do (arXiv 1801.10112). Avalanche's forgetting, counted from when a lesson was just learned, is backward transfer
with the other sign.
Does not promise: intervals. Those need the questions behind the means.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

Matrix = Sequence[Sequence[float]]


def average_accuracy(matrix: Matrix, weights: Sequence[float] = ()) -> float:
    """Mean over all lessons after the last one."""
    return _mean(matrix[-1], weights)


def plasticity(matrix: Matrix, weights: Sequence[float] = ()) -> float:
    """Mean over all lessons just after each was learned."""
    return _mean([row[-1] for row in matrix], weights)


def backward_transfer(matrix: Matrix, weights: Sequence[float] = ()) -> float:
    """How much later lessons added to earlier ones: mean of last minus just learned, below zero where they took away."""
    return _mean([last - matrix[lesson][lesson] for lesson, last in enumerate(matrix[-1][:-1])], weights[:-1])


def forgetting(matrix: Matrix, weights: Sequence[float] = ()) -> float:
    """Mean of the best a lesson ever was before the last one came, minus what it is in the end."""
    before = enumerate(matrix[-1][:-1])
    return _mean([max(row[lesson] for row in matrix[lesson:-1]) - last for lesson, last in before], weights[:-1])


def forward_transfer(before: Sequence[float], base: Sequence[float], weights: Sequence[float] = ()) -> float:
    """How much a lesson was known just *before* it came, more than by the *base* that learned nothing; by lesson."""
    return _mean([b - a for b, a in zip(before[1:], base[1:], strict=True)], weights[1:])


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return fmean(values, weights or None) if values else 0.0
