"""
Whether a text says something else about a thing than what was read before.

Promises: a pure function; two sentences contradict each other only if one is a near-copy of the other with
another value in it, and both speak of the same thing as far as words can show.
Does not promise: to find a contradiction said in other words, or to know that a cup can be won twice.
"""

# ruff: noqa: SIM905  (word lists are read as prose)

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property, lru_cache

from seal_agent.reading.sentences import sentences
from seal_agent.reading.words import COMMON, DATES, is_number, plain, tokens, values

SLOTS = 2  # places where near-copies may differ
OVERLAP = 0.6  # share of the longer sentence's content words that both have, in the same order
SHARED = 3  # … and at least this many
SHARED_SUPPORTED = 2  # … if their documents agree elsewhere: "It is 74 metres deep"
SHARED_NAMELESS = 5  # … if none of them is a name
SHARED_PRONOUN = 7  # … if the subject is only "it" or "she", so that nothing else says it is the same one

NEGATIONS = frozenset("not never no cannot none neither nor nobody nothing without".split())
PRONOUNS = frozenset(
    "it its he him his she her they them their this that these those there here both each we our".split()
)
LEADS = frozenset(
    "the a an of in on at by for from with into onto than as no its his her their and or only other each every "
    "this that through under over between near beside".split()
)
# Words that exclude each other; elsewhere two lower-case words may be synonyms.
GROUPS = tuple(
    frozenset(group.split())
    for group in (
        "red orange yellow green blue purple violet pink brown black white grey gray gold golden silver "
        "crimson scarlet",
        "north south east west northern southern eastern western",
        "left right",
        "always sometimes rarely seldom",
        "spring summer autumn winter",
        "morning afternoon evening night noon midnight dawn dusk",
        "oak ash elm beech pine birch yew stone brick iron copper brass bronze lead tin steel glass clay "
        "wool linen silk cotton",
        "a.m p.m", "am pm",
        "daily weekly monthly yearly hourly",
        "legal illegal", "male female", "brother sister", "mother father", "son daughter", "king queen",
    )
)  # fmt: skip
DATED = re.compile(rf"1\d{{3}}|20\d{{2}}|{DATES}")


@dataclass(frozen=True)
class Said:
    """One sentence, ready to be compared. keys are its words as comparisons see them."""

    text: str
    words: tuple[str, ...]
    keys: tuple[str, ...]

    def content(self, start: int = 0, end: int | None = None) -> list[str]:
        """Keys that carry meaning; negations are counted apart."""
        return [key for at, key in enumerate(self.keys[start:end], start) if self._means(at) and not _negates(key)]

    def _means(self, at: int) -> bool:
        """Is it no small word? "May" and "US" inside a sentence are none."""
        word, key = self.words[at], self.keys[at]
        if key == "am":  # "6 am", not "I am"
            return at > 0 and is_number(self.words[at - 1])
        return key not in COMMON or (at > 0 and ((key in ("may", "will") and word[0].isupper()) or word == "US"))

    def names(self, start: int, end: int) -> list[str]:
        """Capitalised words, the sentence's first word only if it is no common one."""
        return [self.keys[at] for at in range(start, end) if self.words[at][0].isupper() and self._means(at)]

    @cached_property
    def counted(self) -> Counter[str]:
        """How often it says each key that carries meaning."""
        return Counter(self.content())

    @cached_property
    def sense(self) -> tuple[tuple[str, ...], int]:
        """What two sentences that agree have in common: content words in any order, and how often they deny."""
        return tuple(sorted(self.content())), sum(map(_negates, self.keys)) % 2


@dataclass(frozen=True)
class Slot:
    """Where two sentences differ: from start to end in the one, from its_start to its_end in the other."""

    start: int
    end: int
    its_start: int
    its_end: int


def contradiction(text: str, others: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """
    (id, reason) of the first (document id, sentence) in *others* that *text* contradicts, or ("", "").

    Whether two sentences with "it" speak of the same thing is judged by the other sentences of their
    documents that agree word for word, so *others* should hold all sentences of each document that is near.
    """
    ours = [_said(sentence) for sentence in sentences(text)]
    remembered: dict[str, list[Said]] = defaultdict(list)
    for document, sentence in others:
        remembered[document] += map(_said, sentences(sentence))  # it may have been joined to the one before it
    for document, theirs in remembered.items():
        # What both say is not compared with its neighbours: a chronicle's sentences are near-copies.
        agreed = {said.sense for said in ours} & {said.sense for said in theirs}
        supported = any(said.sense in agreed and _specific(said) for said in theirs)
        for said in ours:
            for its in theirs:
                if said.sense in agreed or its.sense in agreed:
                    continue
                if difference := _difference(said, its, supported):
                    return document, f'it says "{said.text}" where "{its.text}" was read before: {difference}'
    return "", ""


@lru_cache(1 << 15)  # what waits is compared with every document that comes
def _said(sentence: str) -> Said:
    words = tuple(tokens(sentence))
    return Said(sentence, words, tuple(plain(word) for word in words))


def _specific(said: Said) -> bool:
    return (
        said.keys[0] not in PRONOUNS
        and len(said.content()) >= SHARED
        and (bool(said.names(0, len(said.words))) or any(map(is_number, said.words)))
    )


def _negates(key: str) -> bool:
    return key in NEGATIONS or key.endswith("n't")


def _difference(ours: Said, its: Said, supported: bool) -> str:
    """The other value in words, or "" if these two agree or speak of different things."""
    longer = max(ours.counted.total(), its.counted.total())
    common = sum(min(often, its.counted[key]) for key, often in ours.counted.items() if key in its.counted)
    if common < (SHARED_SUPPORTED if supported else SHARED) or common < OVERLAP * longer:
        return ""
    codes = SequenceMatcher(None, ours.keys, its.keys, autojunk=False).get_opcodes()
    shared = [key for tag, start, end, _, _ in codes if tag == "equal" for key in ours.content(start, end)]
    slots = [Slot(*code[1:]) for code in codes if code[0] != "equal"]
    slots = [slot for slot in slots if ours.content(slot.start, slot.end) or its.content(slot.its_start, slot.its_end)]
    named = any(tag == "equal" and ours.names(start, end) for tag, start, end, _, _ in codes)
    if (
        len(shared) < OVERLAP * longer
        or len(slots) > SLOTS
        or not _same_thing(ours, its, len(shared), named, supported)
    ):
        return ""
    if not slots:
        return "one denies what the other says" if ours.sense[1] != its.sense[1] else ""
    return _conflict(ours, its, slots, supported, named)


def _same_thing(ours: Said, its: Said, shared: int, named: bool, supported: bool) -> bool:
    """Whether enough words are shared to take the two sentences for statements about one thing."""
    if supported:
        return True
    if ours.keys[0] in PRONOUNS or its.keys[0] in PRONOUNS:
        return shared >= SHARED_PRONOUN
    return shared >= (SHARED if named else SHARED_NAMELESS)


def _conflict(ours: Said, its: Said, slots: list[Slot], supported: bool, named: bool) -> str:
    """The first value that differs, if every slot is either a value or an addition that changes nothing."""
    values, dated = [], False
    for slot in slots:
        mine, other = ours.content(slot.start, slot.end), its.content(slot.its_start, slot.its_end)
        if not mine or not other:
            # "Alder Mill employed 30 people" and "… 45 people in 1890": more precise, not contrary.
            if not supported and any(is_number(key) for key in mine + other):
                return ""
            continue
        if _is_subject(ours, its, slot) and not (supported and len(slots) == 1):
            return ""
        alone = len(slots) == 1 and (supported or named)
        if not (
            _numbers_differ(mine, other)
            or _names_differ(ours, its, slot)
            or _exclude(mine, other)
            or (alone and _nouns_differ(ours, its, slot))
        ):
            return ""
        dated = dated or any(DATED.fullmatch(key) for key in mine + other)
        values.append(f"{_shown(ours, slot.start, slot.end)} against {_shown(its, slot.its_start, slot.its_end)}")
    if len(values) > 1 and dated and not supported:
        return ""  # another year and another value: it may have changed in between
    return ", ".join(values)


def _shown(said: Said, start: int, end: int) -> str:
    return " ".join(said.words[start:end])


def _is_subject(ours: Said, its: Said, slot: Slot) -> bool:
    """Whether the slot names what the sentence is about: "Alder Mill" or "The mill of Alder" at its start, "Version 2"."""
    for said, start, end in ((ours, slot.start, slot.end), (its, slot.its_start, slot.its_end)):
        before = said.words[:start]
        # "The lighthouse of Anstrow", not "He is the keeper of Anstrow"
        of_a_thing = 0 < start <= 3 and before[-1] == "of"
        if not of_a_thing and any(
            word[0].islower() and key in said.content() for word, key in zip(before, said.keys, strict=False)
        ):
            return False
        numbered = (
            start > 0 and is_number(said.words[start]) and before[-1][0].isupper() and plain(before[-1]) not in COMMON
        )
        if not said.names(start, end) and not numbered:
            return False
    return True


def _numbers_differ(mine: list[str], other: list[str]) -> bool:
    """Both have numbers, not the same ones, in units that can be compared."""
    numbers, others = values(mine), values(other)
    rest, its = ({key for key in keys if not is_number(key)} for keys in (mine, other))
    return bool(numbers and others) and numbers != others and (rest == its or not rest or not its)


def _names_differ(ours: Said, its: Said, slot: Slot) -> bool:
    """Both have names, and neither is a shorter way to write the other ("A. Tench", "Mr Tench", "UN")."""
    mine, other = ours.names(slot.start, slot.end), its.names(slot.its_start, slot.its_end)
    if not mine or not other or set(mine) <= set(other) or set(other) <= set(mine):
        return False
    initials, others = "".join(name[0] for name in mine), "".join(name[0] for name in other)
    acronym = initials in {name.replace(".", "") for name in other} or others in {
        name.replace(".", "") for name in mine
    }
    shortened = len(mine) == len(other) and all(
        a == b or (min(len(a), len(b)) == 1 and a[0] == b[0]) for a, b in zip(mine, other, strict=True)
    )
    return not acronym and not shortened


def _exclude(mine: list[str], other: list[str]) -> bool:
    """Two different words of a group that exclude each other."""
    return any(
        group.intersection(mine) and group.intersection(other) and group.isdisjoint(set(mine) & set(other))
        for group in GROUPS
    )


def _nouns_differ(ours: Said, its: Said, slot: Slot) -> bool:
    """
    Another noun in an otherwise literal copy ("the stone carp", "the silver tench").

    The slot must look like a noun's: an article or preposition before it, no content word after it. Verbs and
    adjectives that copy editors exchange ("a large coin", "a big coin") stand elsewhere.
    """
    for said, start, end in ((ours, slot.start, slot.end), (its, slot.its_start, slot.its_end)):
        content, led = (
            said.content(start, end),
            said.keys[start] in LEADS or (start and said.keys[start - 1] in LEADS),
        )
        if not led or len(content) > 3 or content[-1].endswith(("ed", "ing", "ly")) or said.content(end, end + 1):
            return False
    mine, other = ours.content(slot.start, slot.end), its.content(slot.its_start, slot.its_end)
    spelling = SequenceMatcher(None, " ".join(mine), " ".join(other), autojunk=False).ratio()
    return set(mine).isdisjoint(other) and spelling < 0.7
