"""
Successive halving: of several candidates in training, the weak ones leave early.

Promises: a round is decided when all that are left have reached it, by the mean log-probability per token of given
answers, the same for all; the better half goes on, at least one; ties go to the earlier candidate.
Does not promise: the winner of the full search. The regret is what `bench speed` reports.

Source: arXiv 1502.07943 (Jamieson & Talwalkar); early exit among LoRA jobs as in ALTO (2026).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

from seal_agent.learning.learner import Scores


def halving(
    pairs: Sequence[tuple[str, str]], count: int, rounds: Sequence[int] = (3, 6)
) -> Callable[[dict[int, int], Scores], Collection[int]]:
    """For `train_together` of *count* candidates: after each epoch of *rounds* the better half, by *pairs*, goes on."""
    left = set(range(count))
    standing: dict[int, dict[int, float]] = {epoch: {} for epoch in rounds}

    def leave(epochs: dict[int, int], scores: Scores) -> Collection[int]:
        scored = scores({number: pairs for number, epoch in epochs.items() if epoch in standing})
        for number, total in scored.items():
            mean = sum(score for score, _ in total) / max(1, sum(tokens for _, tokens in total))
            standing[epochs[number]][number] = mean if math.isfinite(mean) else -math.inf
        gone = [n for round_ in standing.values() if left <= set(round_) for n in _worse(round_, left)]
        standing.update({epoch: {} for epoch, round_ in standing.items() if left <= set(round_)})
        left.difference_update(gone)
        return gone

    return leave


def _worse(scores: dict[int, float], left: set[int]) -> list[int]:
    ranked = sorted(left, key=lambda number: (-scores[number], number))
    return ranked[math.ceil(len(ranked) / 2) :]
