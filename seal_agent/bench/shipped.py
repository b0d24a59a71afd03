"""
What the benches read of the package itself: invented documents, questions about them, general questions.

Promises: the same in every run. Does not promise: that anything of it is true.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

_GENERAL = 260  # of the 300 general questions, spread evenly: enough that the base is right on 120 and more


def corpus(name: str) -> Any:
    """A corpus shipped with the package: what the file of that *name* in corpora/ holds, most often a list of objects."""
    return json.loads((files(__package__) / "corpora" / f"{name}.json").read_text("utf-8"))


def items(documents: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """The questions about *documents* of a corpus, as a quiz wants them."""
    return [
        {"question": f["question"], "answer": f["answer"], "title": d["title"], "context": d["text"]}
        for d in documents
        for f in d["facts"]
    ]


def general() -> list[dict[str, str]]:
    """General questions, spread evenly over those that are shipped, as a quiz wants them."""
    everything = corpus("general")
    step = len(everything) / _GENERAL
    chosen = [everything[int(i * step)] for i in range(_GENERAL)]
    return [{"question": q["question"], "answer": q["answer"], "title": "", "context": ""} for q in chosen]
