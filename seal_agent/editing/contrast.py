"""
A newer text takes the place of an older one: what was asked about the old is asked again, with what is said now.

Promises: an earlier question keeps its wording and gets the sentence that stands in the place of the one it was answered with;
a sentence that stands in both texts takes no other's place, and no two sentences take the place of one; a question that names
what only the older text said is dropped; the rows are proved like any other.
Does not promise: anything for a sentence that was withdrawn and not replaced (what was learned of it is rehearsed no more), or
for one that stands as it stood: the newer text teaches it with questions of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from seal_agent.editing.proving import same_word
from seal_agent.editing.spans import content_words
from seal_agent.parts import Passage
from seal_agent.records import Memory, SelfEdit

_SAME_PLACE = 0.5  # share of words two sentences have in common, in order, from which one stands in the other's place
Was = Mapping[str, Sequence[str]]
"""By sentence of the newer text, the sentences of older texts in whose place it stands."""


def changed(earlier: Sequence[Memory], passages: Sequence[Passage]) -> Was:
    """Sentences of *passages* that say something else than a sentence of *earlier* rows did, and what these said."""
    said = list(dict.fromkeys(sentence for passage in passages for sentence in passage.sentences))
    found: dict[str, list[str]] = {}
    for document in dict.fromkeys(memory.document for memory in earlier):
        old = dict.fromkeys(memory.completion for memory in earlier if memory.document == document)
        gone, new = [s for s in old if s not in said], [s for s in said if s not in old]
        for before, now in _pairs(gone, new):
            found.setdefault(now, []).append(before)
    return found


def contrast(earlier: Sequence[Memory], was: Was, passage: Passage) -> Iterator[SelfEdit]:
    """The questions among *earlier* rows that a sentence of *passage* answers now; *was* says what stood in its place."""
    for sentence in passage.sentences:
        for memory in earlier:
            replaced = memory.prompt and memory.completion in was.get(sentence, ())
            if replaced and holds_still(memory.prompt, memory.completion, passage):
                yield SelfEdit(
                    document=passage.document,
                    style="contrast",
                    origin="written",
                    prompt=memory.prompt,
                    completion=sentence,
                    fact=sentence,
                    title=passage.title,
                )


def holds_still(question: str, old: str, passage: Passage) -> bool:
    """Does *question* name nothing that only the *old* sentence said? "Who is Ada?" is not answered by who keeps it now."""
    known = [word.lower() for word in content_words(" ".join((passage.title, *passage.sentences)))]
    gone = [w for word in content_words(old) if not any(same_word(w := word.lower(), other) for other in known)]
    return not any(same_word(word.lower(), other) for word in content_words(question) for other in gone)


def _pairs(gone: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Sentences that are *gone* and the *new* ones in their places, the most alike first, each once."""
    alike = sorted(
        (-pair.ratio(), i, j)
        for i, before in enumerate(gone)
        for j, now in enumerate(new)
        if (pair := SequenceMatcher(None, before.split(), now.split(), autojunk=False)).quick_ratio() >= _SAME_PLACE
    )
    taken: set[tuple[str, int]] = set()
    for likeness, i, j in alike:
        if -likeness >= _SAME_PLACE and not taken & {("gone", i), ("new", j)}:
            taken |= {("gone", i), ("new", j)}
            yield gone[i], new[j]
