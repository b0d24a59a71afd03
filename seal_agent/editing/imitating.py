"""
People's questions as a lesson for the writer: what it would have been shown, had it written them.

Promises: each question is put to the sentence of its document that holds its answer and most of its words, in the very prompts of
the styles that ask the model for questions; whoever learns them writes such questions when those styles prompt.
Does not promise: questions whose answer stands in no sentence. They are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from seal_agent.editing import prompts
from seal_agent.editing.asking import openings
from seal_agent.editing.proving import same_word
from seal_agent.editing.room import told
from seal_agent.editing.spans import content_words, hidden, stands
from seal_agent.editing.styles import OPENINGS, named, prompted
from seal_agent.parts import Passage
from seal_agent.records import Check

_Shown = Callable[[str, str], tuple[str, str, Sequence[str]]]

_STYLES: Mapping[str, _Shown] = {
    "questions": lambda said, gold: (prompts.QUESTIONS, said, OPENINGS),
    "blanks": lambda said, gold: (prompts.BLANKS, hidden(gold, said), openings(said, gold)),
}
"""By style, of a sentence and the answer in it: its prompt, what it shows of the sentence, how questions may begin."""


def imitated(passage: Passage, checks: Sequence[Check], styles: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What *styles*, if known here, would have prompted with for the questions of *checks*, and what then had to be written."""
    for check in checks:
        said = _holds(check, passage)
        for style in styles if said else ():
            if style in _STYLES:
                prompt, shown, begins = _STYLES[style](said, check.gold)
                if "___" in prompt and stands(check.gold, shown):
                    continue  # it stands there twice, and what is asked for would be in view
                fits = (opening for opening in begins if opening and check.question.startswith(f"{opening} "))
                opening = max(fits, key=len, default="")
                rest = check.question.removeprefix(opening).strip()
                yield prompted(prompt, passage.title, shown, opening), f" {rest}\n"


def asked_of(passage: Passage, checks: Sequence[Check]) -> list[Check]:
    """Those of *checks* whose answer stands in *passage*, their subject named in full; the answer as our rows would teach it."""
    return [
        check.model_copy(
            update={
                "question": named(check.question, passage.title),
                "answer": told(passage.title, said, check.gold),
            }
        )
        for check in checks
        if (said := _holds(check, passage))
    ]


def placed(passages: Sequence[Passage], checks: Sequence[Check]) -> list[tuple[Passage, list[Check]]]:
    """*passages* of a document, each with those of *checks* that ask of it rather than of another one."""
    if not passages:
        return []
    of = {check.id: max(passages, key=lambda passage: _shared(check, _holds(check, passage))) for check in checks}
    return [(passage, [check for check in checks if of[check.id] is passage]) for passage in passages]


def _holds(check: Check, passage: Passage) -> str:
    """The sentence of *passage* that holds the answer to *check*, of several the one with most of its words; "" if none does."""
    found = (said for said in passage.sentences if stands(check.gold, said))
    return max(found, key=lambda sentence: _shared(check, sentence), default="")


def _shared(check: Check, sentence: str) -> int:
    """How many words of *check* stand in *sentence*; -1 if there is none."""
    asked = [word.lower() for word in content_words(check.question)]
    words = [word.lower() for word in content_words(sentence)]
    return sum(any(same_word(one, other) for other in words) for one in asked) if sentence else -1
