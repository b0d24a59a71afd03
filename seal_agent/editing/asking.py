"""
Questions cut from a sentence by rule, many for each span; the model's own likelihood picks those that read like English.

Promises: every question is made of the sentence's words, question words and a form of "do"; the span it asks for is not
in it. A pronoun as subject gives way to the document's title or, in a sentence that it joins to another, to who opens that one.
Does not promise: a parse. Clauses it does not recognise yield nothing, and odd questions are left to the ranking.

Source: overgenerate and rank, Heilman and Smith, "Good Question!" (NAACL 2010).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from seal_agent.editing.spans import DATE, DAYS, MONTHS, NAME, done_to_it, lowered, names, numbers
from seal_agent.records import sentences_of

_AUXILIARIES = frozenset("is are was were has have had can could will would must may might should".split())
_PAST = {
    "became": "become", "began": "begin", "bent": "bend", "blew": "blow", "broke": "break", "bred": "breed",
    "brought": "bring", "built": "build", "bought": "buy", "caught": "catch", "chose": "choose", "came": "come",
    "cost": "cost", "cut": "cut", "dealt": "deal", "dug": "dig", "drew": "draw", "drank": "drink", "drove": "drive",
    "ate": "eat", "fell": "fall", "fed": "feed", "felt": "feel", "fought": "fight", "found": "find", "fled": "flee",
    "flew": "fly", "forgot": "forget", "froze": "freeze", "got": "get", "gave": "give", "went": "go", "grew": "grow",
    "hung": "hang", "heard": "hear", "hid": "hide", "held": "hold", "kept": "keep", "knew": "know", "laid": "lay",
    "led": "lead", "left": "leave", "lent": "lend", "lit": "light", "lost": "lose", "made": "make", "meant": "mean",
    "met": "meet", "paid": "pay", "put": "put", "rode": "ride", "rang": "ring", "rose": "rise", "ran": "run",
    "said": "say", "saw": "see", "sought": "seek", "sold": "sell", "sent": "send", "set": "set", "sewed": "sew",
    "shook": "shake", "shrank": "shrink", "shut": "shut", "sang": "sing", "sank": "sink", "sat": "sit", "slept": "sleep",
    "slid": "slide", "spoke": "speak", "spent": "spend", "spun": "spin", "sprang": "spring", "stood": "stand",
    "stole": "steal", "stuck": "stick", "struck": "strike", "swore": "swear", "swept": "sweep", "swam": "swim",
    "took": "take", "taught": "teach", "tore": "tear", "told": "tell", "thought": "think", "threw": "throw",
    "understood": "understand", "woke": "wake", "wore": "wear", "wove": "weave", "won": "win", "wrote": "write",
}  # fmt: skip
_OPENS_OTHERWISE = frozenset(
    "if when while although though because unless as once whether where what who how not behind beside above below "
    "inside outside across along among beneath through during".split()
)  # and a preposition: what follows is no subject
_AFTER_A_NOUN = frozenset(
    "and or but that which who when while each every per than long wide high tall deep old ago later".split()
)
_HANGING = frozenset("a an the its his her their than every except least and or named".split())
_PARTICIPLES = frozenset("named called known".split())
# What ends so goes on with no verb of its own: "the man who", "it never"; and a contraction holds its verb already.
_NO_SUBJECT = re.compile(r"(?<!^)\b(?:who|which|that|never|no longer)$|\w['’](?:t|ve|ll|d|m|re)\b|^(?:Please|No,|Yes,)")
# "Ada Finch dug it", "A barber, Tom Hale, opened it", "A sailor named Jory Pennart came", "The cooper Linnert Boge made it"
_SOMEBODY = re.compile(
    rf"(?:(?:An?|The)(?: [a-z'’-]+){{1,4}}(?:,| named| called) ({NAME})|(?:An?|The) [a-z'’-]+ ({NAME}) [a-z]|({NAME}) [a-z])"
)
_DONE_BY = re.compile(rf"\b(?:was|were|been)(?: \w+)? \w+ by ({NAME})")
_DETERMINERS = frozenset("the a an its his her their this that these those each every".split())
_PRONOUNS = frozenset("it he she they this".split())
_PREPOSITIONS = "in|at|by|from|on|for|with|to|near|of|since|until|after|before|between|under|over|into|as|about|around"
# Stems that English does not end on: "moved", "stored", "created" keep their e,
_SILENT = re.compile(
    r"(?:v|[^aeiou]c|[aiou][czskt]|at|[ui]r|[^eo]ar|(?:st|gn|pl|ad|sc)or|as|us|iz|in|ag|dg|rg|[^aeol]l|id|ud)$"
)
# unless two vowels stand before the last letter, or an unstressed one: "repaired", "treated", "edited".
_SPOKEN = re.compile(r"(?:[aeo][aiou][dklnrt]|[aou]il|[^cvn]it|hibit|abit|u[io][tn]|[rw]l|focus|open|happen)$")
_PLACES = frozenset("in at near from to on into".split())
# What stands before a number, and is no part of a question for it: "about 20 boats".
_ROUGHLY = re.compile(
    r"\b(?:up to|(?:more|less|fewer) than|at (?:least|most)|over|about|around|nearly|almost|some|only|roughly|approximately) $"
)
_MONEY = frozenset("euro euros dollar dollars pound pounds percent cent cents francs crowns kronor yen".split())
_SEVERAL = frozenset("both all some many most such several few other".split())
# Where a clause begins that has a subject of its own, or is about something else.
_AND_THEN = re.compile(
    r"[,;:]? (?:because|although|though|while(?! \w+ing\b)|whereas|but)\b"
    r"|, (?:and |so )?(?=(?:he|she|it|they|its|his|her|their|we|who|which|where|when|whose)\b)|; ",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Clause:
    """A sentence as subject, verb and the rest. helper is "was", "did", …; verb is empty where the helper says it all."""

    subject: str
    helper: str
    verb: str
    said: str
    rest: str


def questions(fact: str, title: str) -> Iterator[tuple[str, str]]:
    """
    (span, question) candidates for *fact*: several wordings for each span that can be asked for.

    Of sentences that a pronoun joined each is asked about, if it shows who is meant.
    """
    first, *joined = sentences_of(fact)
    yield from _questions(first, title)
    for sentence in joined:
        if meant := _meant(sentence, first, title):
            yield from _questions(sentence, meant)


def _meant(sentence: str, first: str, title: str) -> str:
    """
    Whom the pronoun that opens *sentence* means: "he" and "she" the person who opens the *first* of the sentences joined, and is
    not the *title*, or by whom it says that something was done; "it" the title, to which somebody did something. "" where it is
    unsure: "The guild bought it. It was dissolved."
    """
    if (pronoun := sentence.split()[0].lower()) not in ("he", "she", "his", "her"):
        return title if pronoun in ("it", "its") and done_to_it(first) else ""
    found = _SOMEBODY.match(first)
    meant = next((name for name in (found.groups() if found else ()) if name in names(first)), "")
    if meant and not (title and set(lowered(meant)) >= set(lowered(title))):
        return meant
    by = _DONE_BY.search(first)
    return by[1] if by and not re.match(rf"(?:{MONTHS}|{DAYS})\b", by[1]) else ""


def _questions(sentence: str, title: str) -> Iterator[tuple[str, str]]:
    if found := re.match(r"^There (is|are|was|were) (.+?)[.!?]*$", sentence.strip()):
        for span in numbers(found[2]):
            if counted := re.search(rf"(?:about |some |around |over )?{re.escape(span)}(?: ([a-z]+))?", found[2]):
                thing = span.partition(" ")[2] or counted[1] or ""
                yield (
                    span,
                    _tidy(f"How many {thing} {found[1]} there {found[2].replace(counted.group(), '', 1)}"),
                )
        return
    clause = _clause(sentence, title)
    if clause is None:
        return
    said = _AND_THEN.split(clause.rest)[0].strip()
    for opening in ("Who", "What") if said else ():
        yield clause.subject, _tidy(f"{opening} {clause.said} {said}")
    for span in _spans(said):
        for opening, hole in _holes(said, span):
            before, _, after = said.partition(hole)
            # with and without what follows the span
            for rest in dict.fromkeys((f"{before} {after}".strip(), before.strip())):
                if rest.split()[-1:] and rest.split()[-1].lower() in _HANGING:
                    continue  # the span took the end of a phrase with it
                yield span, _tidy(f"{opening} {clause.helper} {clause.subject} {clause.verb} {rest}")


def _spans(text: str) -> list[str]:
    """Numbers and names of *text*, none of which is a part of another: "December" is no answer beside "31 December"."""
    found = dict.fromkeys((*numbers(text), *names(text)))
    return [span for span in found if not any(span != other and f" {span} " in f" {other} " for other in found)]


def openings(sentence: str, span: str) -> tuple[str, ...]:
    """How questions for *span* of *sentence* may begin, by what kind of span it looks like; twice said is twice asked."""
    before = sentence[: sentence.find(span)].split()
    preposition = before[-1].lower() if before else ""
    if re.fullmatch(r"1\d{3}|20\d\d", span):
        return ("When", "In what year", "When", "What year")
    if re.search(rf"\b({DAYS}|{MONTHS})", span):
        return ("When", "On which day" if re.search(DAYS, span) else "In which month", "When", "What")
    if span[:1].isdigit() or numbers(span):
        return ("How many", "How", "How many", "What")
    if not span[:1].isupper():
        return ("What", "Which", "What", "Where" if preposition in _PLACES else "What")
    if preposition in _PLACES:
        return ("Where", "In which", "Where", "What")
    return ("Who", "What is the name of", "Who", "Which")


def _clause(sentence: str, title: str) -> Clause | None:
    text = sentence.strip().rstrip(".!?")
    fronted = re.match(r"^((?:In|On|At|Since|After|Before|During|Every|Until|For|By) [^,]{2,40}), (.+)$", text)
    fronted = fronted or re.match(rf"^((?:In|On|Since|By) (?:(?:{MONTHS}) )?\d{{4}}) (.+)$", text)
    if fronted:
        text = f"{fronted[2]} {fronted[1][0].lower()}{fronted[1][1:]}"
    words = text.split()
    if words[0].lower() in _OPENS_OTHERWISE or re.fullmatch(_PREPOSITIONS, words[0].lower()):
        return None  # what comes first is not the subject
    for at in range(1, min(9, len(words) - 1)):
        word = words[at].strip(",")
        if _NO_SUBJECT.search(" ".join(words[:at])):
            return None
        subject, rest = " ".join(words[:at]), " ".join(words[at + 1 :])
        if word in _AUXILIARIES:
            return Clause(_subject(subject, title), word, "", word, rest)
        past = _PAST.get(word) or _regular(word)
        # "a woman named Agnes formed it": the participle belongs to the subject
        of = word == "made" and words[at + 1].lower() == "of"
        if past and not of and word not in _PARTICIPLES and words[at - 1].lower() not in _DETERMINERS:
            return Clause(_subject(subject, title), "did", past, words[at], rest)
        if _third_person(words, at):
            return Clause(_subject(subject, title), "does", _stem(word), words[at], rest)
    return None


def _holes(rest: str, span: str) -> Iterator[tuple[str, str]]:
    """(question opening, what it takes out of *rest*) for *span*."""
    found = re.search(rf"(?:\b({_PREPOSITIONS}) )?(?:the )?{re.escape(span)}", rest)
    if not found:
        return
    hole, preposition = found.group(), (found[1] or "").lower()
    if re.fullmatch(r"1\d{3}|20\d\d", span):
        yield "When", hole
        yield "In what year", hole
    elif re.fullmatch(DATE, span):
        yield "When", hole
    elif re.fullmatch(rf"(?:{DAYS})s?", span):
        yield "On which day", hole
        yield "When", hole
    elif re.fullmatch(MONTHS, span):
        yield "In which month", hole
        yield "When", hole
    elif counted := re.match(r"^(?:[\d,.]+|[a-z-]+) ([a-z]+)$", span):
        if _a_noun(re.match(r"\s+([a-z]+)", rest[found.end() :])):
            return  # "two round eyes": what is counted is not known
        yield f"How many {counted[1]}", _roughly(rest, span)
    elif span[0].isdigit() or span[0] in "£$€-−" or span[0].islower():
        after = re.match(r"\s*([a-z]+)", rest[found.end() :])
        whole = _roughly(rest, span)
        if after and _a_noun(after):
            yield f"How many {after[1]}", whole + after.group()
        if not (after and _a_noun(after)) or after[1] in _MONEY or span[0] in "£$€":
            yield "How much", whole
    elif preposition in _PLACES:
        yield "Where", hole
        yield f"{preposition.capitalize()} which place", hole
    elif preposition == "by":
        yield "By whom", hole
    elif preposition:
        yield f"{preposition.capitalize()} what", hole
    else:
        yield "Who", hole
        yield "What", hole


def _roughly(rest: str, span: str) -> str:
    """*span* as it stands in *rest*, with "about" or the like before it."""
    before = _ROUGHLY.search(rest[: rest.find(span)])
    return f"{before.group() if before else ''}{span}"


def _a_noun(word: re.Match[str] | None) -> bool:
    """May the *word* after a number be what is counted?"""
    return bool(word and word[1] not in _AFTER_A_NOUN and re.fullmatch(_PREPOSITIONS, word[1]) is None)


def _subject(subject: str, title: str) -> str:
    first, _, rest = subject.partition(" ")
    if subject.lower() in _PRONOUNS and title:
        return lower_article(title)
    if first.lower() in ("its", "his", "her", "their") and title:
        return f"{lower_article(title)}'s {rest}"
    return lower_article(subject)


def lower_article(name: str) -> str:
    """*name* as it stands inside a sentence: "The Mill" is "the Mill"."""
    first, _, rest = name.partition(" ")
    if first.lower() in _DETERMINERS and rest:
        return f"{first.lower()} {rest}"
    return name if names(name) or not name else name[0].lower() + name[1:]


def _regular(word: str) -> str:
    if len(word) < 5 or not word.endswith("ed") or word.endswith("eed"):
        return ""
    stem = word[:-2]
    doubled = stem[-1] == stem[-2] and stem[-1] not in "lsz" and stem != "add"
    if doubled or re.search(r"[aeiouy].*[^aeiou][eo]ll$", stem):
        return stem[:-1]
    if stem.endswith("i"):
        return f"{stem[:-1]}y"
    return f"{stem}e" if _SILENT.search(stem) and (not _SPOKEN.search(stem) or stem.endswith("creat")) else stem


def _third_person(words: list[str], at: int) -> bool:
    word, before = words[at].lower(), words[at - 1].lower()
    follows = words[at + 1].lower() if at + 1 < len(words) else ""
    if not re.fullmatch(r"[a-z]{3,}s", words[at]) or word.endswith(("ss", "us", "is")) or before in _DETERMINERS:
        return False
    if follows in _AUXILIARIES or follows in _PAST or (at == 1 and before in _SEVERAL):
        return False  # "Spare parts are", "Both mills grind"
    return (
        (at == 2 and words[0].lower() in _DETERMINERS and not before.endswith("s"))  # "A flute plays alone"
        or words[at - 1][:1].isupper()  # "Alder Mill grows barley": what stands after a name is a verb
        or follows in _DETERMINERS
        or re.fullmatch(_PREPOSITIONS, follows) is not None
        or follows[:1].isdigit()
        or words[at + 1][:1].isupper()
    )


def _stem(word: str) -> str:
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-2] if re.search(r"(?:sh|ch|x|ss|o)es$", word) else word[:-1]


def _tidy(question: str) -> str:
    text = re.sub(r"\s+", " ", question).strip(" ,;:")
    text = re.sub(r"\s+([,;:])", r"\1", text)
    return text[0].upper() + text[1:] + "?"
