"""
What can go wrong, said so that the reader knows the next step.

Promises: every error a user can meet is a SealError whose text names the value, the problems and what to do.
Does not promise: errors for outcomes. A rejected candidate or a held document is a value, never an exception.
"""


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
