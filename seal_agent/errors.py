"""
What can go wrong, said so that the reader knows the next step.

Promises: every error a user can meet is a SealError whose text names the value, the problems and what to do.
Does not promise: errors for outcomes. A rejected candidate or a held document is a value, never an exception.
"""

from __future__ import annotations

from collections.abc import Iterable


class SealError(Exception):
    """Something is broken; the text is meant for the user."""


class ConfigError(SealError):
    """A setting, a name or a path that cannot work."""


class HomeBusy(SealError):
    """Another process holds this home."""


class PartError(SealError):
    """A plugged-in part (writer, style, screen, check …) failed; the part is named, the cause attached."""


class Diverged(SealError):
    """A training whose loss is not finite: the same rows would break it again."""


def legible(texts: Iterable[str]) -> None:
    """SealError if one of *texts* is no text, or no valid Unicode."""
    for text in texts:
        if not isinstance(text, str):
            raise SealError(f"{text!r:.80} is no text; give a str")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise SealError(f"{text!r} is not valid Unicode ({error.reason}); decode it first") from error
