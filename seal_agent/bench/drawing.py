"""
Pictures of what was measured, without a screen.

Promises: one PNG. Does not promise: anything where matplotlib is not installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def panels(picture: Path, count: int, size: tuple[float, float], **how: Any) -> Iterator[tuple[Any, Any]]:
    """A figure of *size* (inches) and its *count* panels side by side; drawn into *picture* in the end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, count, figsize=size, layout="constrained", **how)
    yield figure, axes
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
