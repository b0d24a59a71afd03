"""
What kind of thing a question asks for, and which spans of a sentence are of that kind.

Promises: a span stands in its sentence, character for character.
Does not promise: to know every question. One that begins in no way known here asks for anything.
"""

from __future__ import annotations

import re

from seal_agent.editing.spans import DATE, DAYS, MONTHS, names, numbers

_ASKS = (
    (re.compile(r"\b(when|what year|which year|what month|which month|which day|what time)\b", re.I), "time"),
    (re.compile(r"\b(who|whom|whose)\b", re.I), "person"),
    (
        re.compile(r"\bhow (many|much|long|old|heavy|tall|high|big|wide|deep|far|fast|hot|cold)\b", re.I),
        "number",
    ),
    (re.compile(r"\bwhere\b", re.I), "place"),
    (re.compile(r"\b(which|what) (colour|color)\b", re.I), "colour"),
    (re.compile(r"\b(which|what) (town|city|country|company|village|river|school|person|man|woman)\b", re.I), "name"),
)
_FIRST = re.compile(r"\b(?:who|whom|whose|what|which|when|where|why|how)\b", re.I)
_SEASON = r"spring|summer|autumn|winter|morning|noon|evening|night|midnight|dawn|dusk"
_CLOCK = (
    r"(?<![\d.,:$£€])(?:(?:[01]?\d|2[0-3]):[0-5]\d(?: ?[ap]\.?m\b\.?)?|\d{1,2}(?:\.[0-5]\d)? ?[ap]\.?m\b\.?)(?![\d%])"
)
_WHEN = re.compile(rf"{_CLOCK}|\b({MONTHS}|{DAYS}|{_SEASON})s?\b", re.I)
_DATED = re.compile(rf"(?<![\d.,])(?:1\d{{3}}|20\d\d)(?![\d%])|{DATE}|century", re.I)
_TIMES = re.compile(
    rf"(?<![\d.,$£€])(?:1\d{{3}}|20\d\d)(?![\d%])|\d:\d\d|\d ?[ap]m\b|\d\d (?:AD|BC)\b"
    rf"|{DATE}|\b({MONTHS}|{DAYS}|{_SEASON}|day|week|month|year|century|every|before|after|during|until|since)s?\b",
    re.I,
)
_PEOPLE = re.compile(
    r"\b(people|men|women|man|woman|child|children|family|mother|father|sister|brother|wife|husband|friend|king|queen|"
    r"team|company|group|\w{3,}(?:ers?|ors?|ists?|ians?|smiths?|wrights?|keepers?|nts))\b",
    re.I,
)
_PLACES = re.compile(
    rf"\b(?:(?:in|on|at)(?! (?:the )?(?:\d|{MONTHS}|{DAYS}|{_SEASON}))|near|from|to|beside|under|inside|outside|behind|between|"
    r"along|over|above|below)\b",
    re.I,
)
_AT = r"\b(?:in|on|at|near|beside|inside|outside|behind|along|over|above|below|of|to|from)(?: the)?"  # before a place's name
_COLOURS = re.compile(
    r"\b\w*(red|blue|green|yellow|white|black|brown|grey|gray|orange|purple|pink|gold|golden|silver|violet|scarlet)\w*\b",
    re.I,
)


_SIGNS = {"time": _TIMES, "person": _PEOPLE, "place": _PLACES, "colour": _COLOURS}


def asked_for(question: str, title: str = "") -> str:
    """The kind of thing *question* asks for: "time", "person", "number", "place", "colour", "name", or "" for anything."""
    question = question.removeprefix(f"About {title}: ")
    first = _FIRST.search(question)
    return next((kind for asks, kind in _ASKS if first and asks.match(question, first.start())), "")


def holds(kind: str, sentence: str) -> bool:
    """May *sentence* hold a thing of this *kind*?"""
    if kind == "number":
        return bool(numbers(sentence))
    sign = _SIGNS.get(kind)
    return bool((sign and sign.search(sentence)) or (kind in ("person", "name") and names(sentence)))


def of_kind(kind: str, sentence: str) -> list[str]:
    """The spans of *sentence* that are surely of this *kind*: dates before counts, names before roles."""
    if kind == "time":
        dated = [number for number in numbers(sentence) if _DATED.search(number)]
        return dated or [found.group() for found in _WHEN.finditer(sentence)] or numbers(sentence)
    if kind == "number":
        return numbers(sentence)
    if kind == "colour":
        return [found.group() for found in _COLOURS.finditer(sentence)]
    first = sentence.split(maxsplit=1)[0] if sentence else ""
    found = names(sentence)
    if kind == "place" and (there := [name for name in found if re.search(rf"{_AT} {re.escape(name)}", sentence)]):
        return there
    if kind == "person":  # "He rowed to the harbour at Cape Pellow": who rowed is told elsewhere
        found = [
            name for name in found if not re.search(rf"\b(?:in|at|near)(?: the)? {re.escape(name)}(?!['’]s)", sentence)
        ]
    return [name for name in found if name != first] or found  # a lone word that opens a sentence is seldom a name
