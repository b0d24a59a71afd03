"""
Forgetting in the field's words: what a learner knows of every lesson after every lesson.

Promises: pure functions of an accuracy matrix whose row i holds the accuracies, after lesson i, of lessons 0 to i; transfer
as GEM defines it (arXiv 1706.08840), forgetting as Chaudhry et al. do (arXiv 1801.10112). Avalanche's forgetting, counted from
when a lesson was just learned, is backward transfer with the other sign.
Does not promise: intervals. Those need the questions behind the means.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

Matrix = Sequence[Sequence[float]]


def average_accuracy(matrix: Matrix) -> float:
    """Mean over all lessons after the last one."""
    return fmean(matrix[-1])


def plasticity(matrix: Matrix) -> float:
    """Mean over all lessons just after each was learned."""
    return fmean(row[-1] for row in matrix)


def backward_transfer(matrix: Matrix) -> float:
    """How much later lessons added to earlier ones: mean of last minus just learned, below zero where they took away."""
    changes = [last - matrix[lesson][lesson] for lesson, last in enumerate(matrix[-1][:-1])]
    return fmean(changes) if changes else 0.0


def forgetting(matrix: Matrix) -> float:
    """Mean of the best a lesson ever was before the last one came, minus what it is in the end."""
    losses = [max(row[lesson] for row in matrix[lesson:-1]) - last for lesson, last in enumerate(matrix[-1][:-1])]
    return fmean(losses) if losses else 0.0


def forward_transfer(before: Sequence[float], base: Sequence[float]) -> float:
    """How much a lesson was known just *before* it came, more than by the *base* that learned nothing; by lesson."""
    return fmean(b - a for b, a in zip(before[1:], base[1:], strict=True)) if len(base) > 1 else 0.0
