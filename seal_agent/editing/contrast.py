"""
A newer text takes the place of an older one: what was asked about the old is asked again, with what is said now.

Promises: an earlier question keeps its wording and gets the sentence that stands in the place of the one it was answered with;
it is proved like any other row, so that one which names what the newer text does not is refused.
Does not promise: anything for a sentence that was withdrawn and not replaced (what was learned of it is rehearsed no more), or
for one that stands as it stood: the newer text teaches it with questions of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from seal_agent.parts import Passage
from seal_agent.records import Memory, SelfEdit

_SAME_PLACE = 0.5  # share of words two sentences have in common, in order, from which one stands in the other's place


def changed(earlier: Sequence[Memory], passages: Sequence[Passage]) -> dict[str, str]:
    """Sentences of *passages* that say something else than the sentence of *earlier* rows in whose place they stand: that one."""
    said = [sentence for passage in passages for sentence in passage.sentences]
    found = {_successor(old, said): old for old in dict.fromkeys(memory.completion for memory in earlier)}
    return {new: old for new, old in found.items() if new not in ("", old)}


def contrast(earlier: Sequence[Memory], was: Mapping[str, str], passage: Passage) -> Iterator[SelfEdit]:
    """The questions among *earlier* rows that a sentence of *passage* answers now; *was* says what stood in its place."""
    for sentence in passage.sentences:
        for memory in earlier:
            if memory.prompt and memory.completion == was.get(sentence):
                yield SelfEdit(
                    document=passage.document,
                    style="contrast",
                    origin="written",
                    prompt=memory.prompt,
                    completion=sentence,
                    fact=sentence,
                    title=passage.title,
                )


def _successor(old: str, said: Sequence[str]) -> str:
    alike = [SequenceMatcher(None, old.split(), sentence.split(), autojunk=False).ratio() for sentence in said]
    best = max(range(len(said)), key=alike.__getitem__, default=None)
    return said[best] if best is not None and alike[best] >= _SAME_PLACE else ""
