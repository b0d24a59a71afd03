"""
Paired statistics for small samples.

Promises: exact where the sample is small; every function says what its null hypothesis is; attempts that come one after
another share one error (alpha spending).
Does not promise: control over looks that are not counted as attempts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

from scipy import stats

_ALIKE = 1e-9  # differences that differ by less are equal, but for their rounding


def sign_test(better: int, worse: int) -> float:
    """One-sided exact McNemar test: chance of this many *better* among the discordant pairs if neither side is better."""
    pairs = better + worse
    return 1.0 if pairs == 0 else float(stats.binomtest(better, pairs, 0.5, alternative="greater").pvalue)


def rank_test(differences: Sequence[float]) -> float:
    """One-sided Wilcoxon signed-rank test: chance of such *differences* if their median is not above zero."""
    kept = [d for d in differences if d != 0]
    return 1.0 if len(kept) < 3 else float(stats.wilcoxon(kept, alternative="greater").pvalue)


def mean_test(differences: Sequence[float]) -> float:
    """One-sided t-test: chance of such *differences* if their mean is not above zero; of fewer than two it is 1."""
    if len(differences) < 2:
        return 1.0
    if max(differences) - min(differences) < _ALIKE:
        return float(differences[0] < _ALIKE)
    return float(stats.ttest_1samp(differences, 0.0, alternative="greater").pvalue)


def spent(attempt: int) -> float:
    """The level at which *attempt* (from 1 on) is tested; over all attempts these sum to 5 % (alpha spending)."""
    return 0.05 * 6 / (math.pi * attempt) ** 2


def sample_size(population: int, tolerated: float, allowed: Callable[[int], int], level: float, least: int = 1) -> int:
    """
    How many of *population* (*least* or more) must be drawn so that, were a *tolerated* share of it bad, a draw with no more
    bad ones than are *allowed* in it had at most the chance *level* (hypergeometric). All, if no smaller number will do.
    """
    bad = math.ceil(tolerated * population)
    sizes = range(min(least, population), population)
    return next((n for n in sizes if stats.hypergeom.cdf(allowed(n), population, bad, n) <= level), population)


def needed(n: int, p: float, level: float) -> int | None:
    """About how many pairs would show at *level* what *n* pairs show at *p*; None if it points the other way."""
    seen = float(stats.norm.isf(p))
    return math.ceil(n * (float(stats.norm.isf(level)) / seen) ** 2) if seen > 0 else None


def interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson 95 % interval of a share."""
    if n == 0:
        return 0.0, 1.0
    found = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def paired_interval(differences: Sequence[float], of: Sequence[Hashable] = ()) -> tuple[float, float]:
    """
    95 % interval of the mean of paired *differences* of shares, by Student's t: of a few it is wider. Where all that was
    drawn is alike there is no spread to go by, and as large a share may differ as of so many may that was never seen (Wilson).

    *of*: what each is a difference of, where several are of one question: these count together, as one that was drawn
    (cluster-robust, Liang and Zeger 1986).
    """
    n, drawn = len(differences), defaultdict[Hashable, float](float)
    mean = sum(differences) / max(1, n)
    for which, difference in zip(of or range(n), differences, strict=True):
        drawn[which] += difference - mean
    if len(drawn) < 2:
        return -math.inf, math.inf
    spread = math.sqrt(sum(total**2 for total in drawn.values()) * len(drawn) / (len(drawn) - 1)) / n
    reach = interval(0, len(drawn))[1] if spread < _ALIKE else float(stats.t.ppf(0.975, len(drawn) - 1)) * spread
    return mean - reach, mean + reach


def share_interval(rights: Sequence[bool], of: Sequence[Hashable]) -> tuple[float, float]:
    """95 % interval of the share of *rights*, each of one question *of* a document that was learned or missed as a whole."""
    low, high = paired_interval([float(right) for right in rights], of)
    return max(0.0, low), min(1.0, high)
