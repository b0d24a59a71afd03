"""
What in a sentence can be asked for: names, numbers and other spans, found by rule.

Promises: every span stands in its sentence, character for character.
Does not promise: grammar. There is no parser here; English word order and capitals are the only signs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from seal_agent.records import OPENS

_STOP = frozenset(
    "a an the this that these those of in on at to from by for with as and or but nor so yet if because when while where which "
    "who whom whose what how why than then there here is are was were be been being am has have had do does did will "
    "would can could may might must shall should not no it its he she they them his her their we our you your i my me "
    "us him into onto upon over under after before since until about between through during without within also only "
    "just very more most much many some any all each every both either neither other another such same own out up down "
    "off again once too now still even ever never one".split()
)
_OPENS = re.compile(rf"(?:{OPENS})\b")
_STYLED = frozenset("mr mrs ms miss dr prof sir lady lord".split())
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_MONTH = rf"(?:(?:{MONTHS})\b|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?)"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
DATE = (
    r"(?<![\d-])\d{4}-\d\d-\d\d(?![\d-])"
    rf"|\b{_DAY} (?:of )?{_MONTH}(?:,? \d{{4}})?|\b{_MONTH} \d{{4}}\b|(?<![Ii]n )\b{_MONTH} {_DAY}(?:,? \d{{4}})?\b"
)
# A number goes with its sign, its magnitude and what is written in one with it: "3.5 million", "the 1990s", "19th century".
_NUMBER = re.compile(
    rf"{DATE}|"
    r"(?<![A-Za-z\d])(?:(?<!\S)[-−])?(?:[A-Z]{0,2}[£$€])?\d(?:[\d,.:]*\d)?"
    r"(?:\s?%|(?:st|nd|rd|th) century\b|[a-z]{1,2}\b)?(?: (?:hundred|thousand|million|billion|trillion)\b)?"
)
_MARKS = re.compile(r"^\(?\d{1,3}[.)]\s|\[\d{1,3}\]")  # of a list, and of notes
_WORD_NUMBER = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    r"eighteen|nineteen|(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:-\w+)?|hundred|thousand|half|twice|"
    r"third|fourth|fifth)\b(?: (?!(?:and|or|of|in|to|the|a|by|for|with)\b)[a-z]+)?"
)
# Capitals, that of "Škoda" too; a times sign is none.
_UPPER = "".join(letter for letter in map(chr, range(0x2000)) if letter.isupper())
_INITIALS = rf"(?:[{_UPPER}]\.){{2,}}(?! [{_UPPER}])"  # that are all of it: "the U.S. in 1999"
_TITLED = rf"(?:(?:[{_UPPER}]\.)+|(?:Dr|St|Mr|Mrs|Ms|Prof)\.)(?= [{_UPPER}])"  # "J. R. Rogers", "St. James"
_PART = rf"(?:{_INITIALS}|{_TITLED}|[{_UPPER}][\w'’-]*)"
_PARTICLE = "(?:of|the|da|de|del|della|den|der|di|du|la|le|van|von|al|bin|ibn|&|and the)"
NAME = rf"\b{_PART}(?:(?: {_PARTICLE})* {_PART})*"
_NAME = re.compile(NAME)
_CLAUSE = re.compile(
    r"[,;:—–](?!\d| \d{4}\b)|\b(?:so|that|because|which|who|whose|but|although|though|if|when|while|since|until)\b"
    r"|\b(?=except|unless|no longer)"  # the word stays with what it denies
)
# "except Sunday from 9:00": not the hours.
_EXCEPTED = re.compile(r"(\bexcept(?: \w+){1,3}?)(?= (?:from|between|at) \d)")
_CLOSED = re.compile(r"\b(?:closed|shut|not|no|nobody|never)\b[^,;]*\bexcept\b", re.IGNORECASE)
# Fewer than adapting/texts.py knows: "without a roof" denies the roof, and not the year.
_TURNS = re.compile(r"\b(?:not|never|nor|neither|cannot|no longer|except|unless|\w+n['’]t)\b", re.IGNORECASE)


def content_words(text: str) -> list[str]:
    """The words of *text* that carry meaning, in order, as they are written."""
    return [word for word in re.findall(r"\w[\w'’-]*", text) if word.lower() not in _STOP]


def lowered(text: str) -> list[str]:
    """The same in small letters, "Ada's" as "ada"."""
    return [word.lower().removesuffix("'s").removesuffix("’s") for word in content_words(text)]


def names(text: str) -> list[str]:
    """Capitalised names; a lone capitalised word that only opens a sentence does not count if it is a common one."""
    found = []
    for match in _NAME.finditer(text):
        name = match.group()
        opens = match.start() == 0 or text[: match.start()].rstrip()[-1:] in '.!?:“"(-•'
        first, _, rest = name.partition(" ")
        if opens and first.lower() in _STOP:
            name = rest
        if name and not (opens and " " not in name and name == first and _common(first)):
            found.append(name.strip("'’-"))
    return [name for name in found if name]


def numbers(text: str) -> list[str]:
    """Numbers as they are written, dates in one piece, number words with the noun after them."""
    digits = [match.group().strip(".,:") for match in _NUMBER.finditer(_MARKS.sub(" ", text))]
    return [n for n in digits if n] + [match.group() for match in _WORD_NUMBER.finditer(text)]


_LEADS = "a an the its his her their with of from for by and or in on at into to about near".split()


def things(text: str) -> list[str]:
    """Runs of at most three plain words after an article, a possessive or a preposition: mostly noun phrases."""
    found = []
    for piece in re.split(r"[,.;:!?()]", text):
        words = piece.split()
        run: list[str] = []
        for before, word in zip(["", *words], [*words, "the"], strict=False):
            plain = word == word.lower() and word.lower() not in _STOP and word.isalpha()
            if plain and (run or before.lower() in _LEADS):
                run.append(word)
                continue
            if 0 < len(run) <= 3:
                found.append(" ".join(run))
            run = []
    return found


def _common(word: str) -> bool:
    # "Jobs that fail", "Days not taken": plain words that open a sentence. Names rarely end like these.
    return word.lower().endswith(("s", "ing", "ed", "ly", "er")) or word.lower() in _STOP or len(word) < 3


def affirmed(sentence: str) -> list[str]:
    """*sentence*, or, if it denies something, those of its parts, cut where a clause may begin, that do not."""
    if not negated(sentence):
        return [sentence]
    said = sentence if _CLOSED.search(sentence) else _EXCEPTED.sub(r"\1,", sentence)
    return [piece for piece in _CLAUSE.split(said) if not negated(piece)]


def negated(text: str) -> bool:
    """Does *text* say that something is not so?"""
    return _TURNS.search(text) is not None


def key_span(sentence: str, hidden_from: str) -> str:
    """The span of *sentence* that best tells whether it was recalled: a name, a number, else its longest word.

    It does not occur in *hidden_from* (the question and the title), so that repeating the question earns nothing.
    """
    seen = hidden_from.lower()
    options = [
        s
        for s in (*numbers(sentence), *reversed(names(sentence)))
        if stands(s, sentence) and not stands(s, hidden_from)
    ]
    if options:
        return options[0]
    words = [word for word in content_words(sentence) if word.lower() not in seen]
    return max(words, key=len, default="")


def stands(span: str, text: str) -> bool:
    """Whether *span* stands in *text*; one with a number as a whole one, since "12" is no part of "212" or "12,500"."""
    return _standing(span).search(text) is not None


def hidden(span: str, text: str) -> str:
    """*text* with "___" where *span* first stands in it: as a word, if it does, and spelled so."""
    word = rf"(?<!\w){re.escape(span)}(?!\w)"
    ways = (*(() if numbers(span) else (re.compile(word), re.compile(word, re.IGNORECASE))), _standing(span))
    found = next((match for way in ways if (match := way.search(text))), None)
    return f"{text[: found.start()]}___{text[found.end() :]}" if found else text


def _standing(span: str) -> re.Pattern[str]:
    whole = rf"(?<![\w-])(?<!\d[.,]){re.escape(span)}(?![\w-]|[.,]\d)" if numbers(span) else re.escape(span)
    return re.compile(whole, re.IGNORECASE)


def self_contained(sentences: Sequence[str], title: str) -> list[str]:
    """
    *sentences*, each that opens with a pronoun for something else than *title* joined to the one before it.

    A pronoun is the title's as long as the sentences before it, back to one that names the title, open with pronouns, or with
    somebody who does something to it ("Ada keeps it. Its lamp burns oil."): then "its" is still the title's, "she" is Ada. So is
    she where the title's sentence says by whom ("It was built by Ada. She is ninety.").
    """
    named = lowered(title)
    out, about, it = list[str](), True, True
    for sentence in sentences:
        opens = _OPENS.match(sentence)
        somebody = opens and opens[0] in ("He", "She", "His", "Her") and out and _BY_SOMEBODY.search(out[-1])
        if opens and out and (somebody or not (about or (it and opens[0] in ("It", "Its")))):
            out[-1] = f"{out[-1]} {sentence}"
            continue
        if not opens:
            opening = lowered(" ".join(sentence.split()[:6]))
            said = any(_form_of(word, other) for word in named for other in opening)
            first = next(iter(names(sentence)), "")
            of = [word for word in lowered(first) if word not in _STYLED] if sentence.startswith(first) else []
            # more fully named it still ends as the title does: the Anstrow Sailing Club is not Anstrow
            about = said and (set(of) <= set(named) or (set(named) <= set(of) and of[-1:] == named[-1:]))
            it = said or (it and done_to_it(sentence))
        out.append(sentence)
    return out


def _form_of(word: str, other: str) -> bool:
    """Are they one word, in singular or plural?"""
    return word == other or word in (f"{other}s", f"{other}es") or other in (f"{word}s", f"{word}es")


_BY_SOMEBODY = re.compile(rf"\bby [{_UPPER}]")


def done_to_it(sentence: str) -> bool:
    """Does it open with a name that does something to "it"?"""
    return any(re.match(rf"{re.escape(name)} [a-z]+ it\b", sentence) for name in names(sentence)[:1])


def subject(text: str) -> str:
    """What an untitled *text* is about: its most frequent name, the earliest of equals; "" if it names nothing."""
    found = [name.removesuffix("'s") for name in names(text)]
    return Counter(found).most_common(1)[0][0] if found else ""
