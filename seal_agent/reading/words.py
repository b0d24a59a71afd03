"""
Words as the reading room sees them.

Promises: a number is the same number however it is written ("nine", "9", "9th"); names keep their capitals.
Does not promise: meaning. Synonyms are different words here.
"""

# ruff: noqa: RUF001, SIM905  (word lists are read as prose; typographic apostrophes are part of words)

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

TOKEN = re.compile(
    r"\d{1,3}(?:[\u00a0\u2009\u202f]\d{3})+(?!\d)|\d+(?:[.,:/]\d+)*(?:st|nd|rd|th)?%?|[^\W\d_]+(?:['’.&-](?=[^\W_])[^\W_]+)*|[^\W_]+"
)
DATES = (  # lower case, as patterns
    "january|february|march|april|may|june|july|august|september|october|november|december"
    "|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
)
UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
VALUES = {
    **{word: str(value) for value, word in enumerate(UNITS)},
    **{word: str(10 * value) for value, word in enumerate(TENS, 2)},
    **{word: str(value) for value, word in enumerate(ORDINALS, 1)},
    "thirtieth": "30", "dozen": "12", "hundred": "100", "thousand": "1000", "million": "1000000",
}  # fmt: skip
SCALES = (100.0, 1e3, 1e6)
COMMON = frozenset(
    "a about above after again against ago all almost along already also although always am among an and "
    "another any are around as at away back be because been before being below between both but by came can "
    "cannot come could did do does doing done down during each either else even ever every far few for from "
    "further get gets go goes going got had has have having he her here hers herself him himself his how "
    "however i if in into is it its itself just less let like made make makes many may me might mine more most "
    "much must my myself near nor not now of off often on once only onto or other our out over own per perhaps "
    "quite rather said same shall she should since so some soon still such than that the their them then there "
    "these they this those though through to today together tomorrow too toward under until up upon us very "
    "was we well were what when where whether which while who whom whose why will with within without would "
    "yes yesterday yet you your yours it's that's don't i'm".split()
)


def tokens(text: str) -> list[str]:
    """Words and numbers in order, as they stand."""
    return TOKEN.findall(text)


def is_number(word: str) -> bool:
    """Digits or a number word."""
    return plain(word)[:1].isdigit()


def values(words: Sequence[str]) -> set[float | str]:
    """What the numbers among *words*, as comparisons see them, come to: "2 100 5" is 205, "1.2 1000000" is 1200000."""
    found: list[float] = []
    others = set[str]()
    before = 0.0  # the word before, if it was a number
    for word in words:
        try:
            value = float(word.replace(":", "."))
        except ValueError:
            before = 0.0
            others |= {word} if word[:1].isdigit() else set()
            continue
        if before and value in SCALES:
            found[-1] *= value
        elif before in SCALES and value < before:
            found[-1] += value
        else:
            found.append(value)
        before = value
    return {*found, *others}


def plain(word: str) -> str:
    """A word as comparisons see it: lower case, no accents, no possessive, numbers as digits."""
    apart = unicodedata.normalize("NFKD", word.casefold())
    folded = "".join(char for char in apart if not unicodedata.combining(char))
    folded = folded.replace("’", "'").removesuffix("'s")
    if folded[:1].isdigit():
        folded = re.sub(r"(?<=\d)(?:st|nd|rd|th)$|%$|\s", "", folded)
        return re.sub(r",(?=\d{3}(?:\D|$))", "", folded)
    tens, _, unit = folded.partition("-")
    if unit and tens in TENS and unit in VALUES:
        return str(int(VALUES[tens]) + int(VALUES[unit]))
    return VALUES.get(folded, folded)
