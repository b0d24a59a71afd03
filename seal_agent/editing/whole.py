"""
Styles for writers that can hold a passage in mind: SEAL's own prompts in other words, the whole passage in view.

Promises: each line written becomes a row of its own, tied to the sentence it shares most words with, and is proved like any
other; `rotated` takes another of these styles for each passage.
Does not promise: anything for a 135M model, whose free rewrites are full of inventions. They are used when named in the settings.

Source: the five prompts of SEAL's knowledge part (arXiv 2506.10943, appendix B) and its free form; rotation of several simple
styles beat SEAL's reinforcement in later work (arXiv 2603.22213).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random

from seal_agent.editing.spans import content_words
from seal_agent.editing.styles import row
from seal_agent.parts import Passage, Writer
from seal_agent.records import SelfEdit

_PASSAGE = "Passage:\n{title}\n{text}\n\n"
_LONG, _VERY_LONG, _SHORT = 512, 1024, 256  # tokens written
_PROMPTS = {
    "implications_long": (
        "Read the passage and write a long list of what follows from it, directly or indirectly, one statement a line.\n\n"
        f"{_PASSAGE}What follows:\n",
        _LONG,
    ),
    "implications_very_long": (
        "Read the passage and write as long a list as you can of what follows from it, each statement explained in full, one "
        f"a line.\n\n{_PASSAGE}What follows:\n",
        _VERY_LONG,
    ),
    "rewrite_whole": (
        f"Write the passage again in several other ways, one sentence a line.\n\n{_PASSAGE}In other ways:\n",
        _LONG,
    ),
    "self_qa": (
        "Read the passage and write questions about it with their answers, as lines that begin with Question: and Answer:.\n\n"
        f"{_PASSAGE}Question:",
        _LONG,
    ),
    "free_form": (f"{_PASSAGE}Notes to learn from, one a line:\n", _SHORT),
}
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")


def implications_long(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """A long list of what follows from the passage."""
    yield from _statements("implications_long", passage, writer, seed)


def implications_very_long(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """As long a list as the writer can give of what follows from the passage."""
    yield from _statements("implications_very_long", passage, writer, seed)


def rewrite_whole(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """The passage in several other ways."""
    yield from _statements("rewrite_whole", passage, writer, seed)


def free_form(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """Whatever notes the writer finds worth learning."""
    yield from _statements("free_form", passage, writer, seed)


def self_qa(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """Questions with answers; what is learned is the sentence that the answer rests on."""
    for written in _written("self_qa", passage, writer, seed):
        for question, answer in re.findall(r"([^\n]+\?)\s*\n?\s*Answer:\s*([^\n]+)", written):
            asked = question.removeprefix("Question:").strip()
            sentence = _nearest(f"{asked} {answer}", passage)
            yield row(passage, "self_qa", "written", asked, sentence, sentence)


def rotated(passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    """One of the styles of this file, another one for each passage."""
    style = Random(f"{seed} {passage.document}").choice(_ROTATED)
    yield from style(passage, writer, seed)


def _statements(style: str, passage: Passage, writer: Writer, seed: int) -> Iterator[SelfEdit]:
    for written in _written(style, passage, writer, seed):
        for line in dict.fromkeys(_BULLET.sub("", line).strip() for line in written.splitlines()):
            if len(line.split()) > 2:
                yield row(passage, style, "written", "", line, _nearest(line, passage))


def _written(style: str, passage: Passage, writer: Writer, seed: int) -> list[str]:
    prompt, tokens = _PROMPTS[style]
    asked = prompt.format(title=passage.title, text=" ".join(passage.sentences))
    return (
        writer.write([asked], max_new_tokens=tokens, temperature=1.0, seed=seed, stop=()) if passage.sentences else []
    )


def _nearest(line: str, passage: Passage) -> str:
    """The sentence that shares most content words with *line*."""
    words = {word.lower() for word in content_words(line)}
    return max(passage.sentences, key=lambda said: len(words & {word.lower() for word in content_words(said)}))


_ROTATED: tuple[Callable[[Passage, Writer, int], Iterator[SelfEdit]], ...] = (
    implications_long,
    implications_very_long,
    rewrite_whole,
    self_qa,
    free_form,
)
