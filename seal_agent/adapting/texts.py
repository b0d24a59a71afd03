"""
Pairs of text changed so that the rule may hold for them still.

Promises: what is said twice, in input and output, is changed in both; nothing else of an output changes; no change turns a
sentence into its opposite by an English negation more or less.
Does not promise: that the rule survives. To leave out a word does no harm where a label is asked for, and much where words are
counted; that is why the edit chooses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

from seal_agent.adapting.tasks import Changed, Pair

Reword = Callable[[Sequence[str]], list[str]]
"""Each text in other words."""
_WORD = re.compile(r"\w+")
_TURNS = re.compile(
    r"(?<!\w)(?:not|never|no|none|nor|neither|nobody|nothing|cannot|without|hardly|barely|\w*n['\u2019]t"
    r"|(?:do|does|did|is|are|was|were|wo|would|ca|could|should|has|have|had|must)nt)\b",
    re.IGNORECASE,
)


def substituted(pairs: Sequence[Pair], order: Random) -> list[Changed]:
    """In each pair one word that both sides share gives way, on both, to a word that another pair shares."""
    shared = [[word for word in _shared(pair) if not _TURNS.search(word)] for pair in pairs]
    out = []
    for number, pair in enumerate(pairs):
        inside = set(_WORD.findall(f"{pair.input} {pair.output}"))
        swaps = [
            (old, new)
            for old in shared[number]
            for other, words in enumerate(shared)
            if other != number
            for new in words
            if new not in inside and _shape(old) == _shape(new)
        ]
        if swaps:
            old, new = order.choice(swaps)
            out.append(Changed(Pair(_swap(old, new, pair.input), _swap(old, new, pair.output)), pair))
    return out


def shortened(pairs: Sequence[Pair], order: Random) -> list[Changed]:
    """Each input of four words and more without one that its output does not say and that turns no sense round."""
    out = []
    for pair in pairs:
        words = list(re.finditer(r"[^\S\n]*\S+", pair.input))  # with the blanks before it: lines stay lines
        said = set(_WORD.findall(pair.output))
        spare = [word for word in words if not said & set(_WORD.findall(word[0])) and not _TURNS.search(word[0])]
        if len(words) >= 4 and spare:
            gone = order.choice(spare)
            rest = pair.input[: gone.start()] + pair.input[gone.end() :]
            out.append(Changed(Pair(rest.strip(), pair.output), pair))
    return out


def paraphrased(pairs: Sequence[Pair], reword: Reword) -> list[Changed]:
    """Inputs in other words, where these still say all that both sides of the pair said."""
    said = [" ".join(text.split()) for text in reword([pair.input for pair in pairs])]
    return [
        Changed(Pair(text, pair.output), pair)
        for pair, text in zip(pairs, said, strict=True)
        if text and text != pair.input and set(_shared(pair)) <= set(_WORD.findall(text))
        if len(_TURNS.findall(text)) % 2 == len(_TURNS.findall(pair.input)) % 2
    ]


def _shared(pair: Pair) -> list[str]:
    out = set(_WORD.findall(pair.output))
    return [word for word in dict.fromkeys(_WORD.findall(pair.input)) if word in out]


def _shape(word: str) -> tuple[bool, bool, bool]:
    return word.isdigit(), word[:1].isupper(), word.isupper()


def _swap(old: str, new: str, text: str) -> str:
    return re.sub(rf"\b{re.escape(old)}\b", new, text)
