"""
Text into paragraphs and sentences.

Promises: no word of the text is lost, changed or moved, and only one longer than a paragraph is cut; the same text gives the
same sentences.
Does not promise: a grammar. Where an abbreviation may end a sentence, the next word decides, and may mislead.
"""

# ruff: noqa: RUF001, SIM905  (word lists are read as prose; typographic quotes and dashes are what this file is about)

from __future__ import annotations

import re

# Never at the end of a sentence.
BEFORE_MORE = frozenset(
    "dr mr mrs ms mx prof rev hon gen col capt cmdr lt sgt maj fr mt ft pres gov sen rep e.g i.e eg ie vs cf "
    "ca approx viz messrs mme mlle mgr bzw z.b".split()
)
# At the end only if the next word usually begins a sentence.
MAYBE_LAST = frozenset(
    "st jr sr inc ltd co corp bros etc al a.m p.m u.s u.k u.n b.c a.d ave rd blvd dept est ed eds univ jan feb "
    "mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri sat sun".split()
)
# Not before a number.
BEFORE_NUMBER = frozenset("no nos vol vols fig figs eq ch sec p pp art c nr tel ext pt".split())
STARTERS = frozenset(
    "the a an it its he she they we i you his her their our this that these those there here in on at by for "
    "from with as after before when while since if but and or so yet then however although though because one "
    "some many most all both each every no not what who where why how today now later once during under over "
    "until to".split()
)

# Begun only where a run of stops begins: a run of a million would be tried from each of them.
STOP = re.compile(r"(?<![.!?…])([.!?…]+)((?:[\"'”’»)\]]|\[\d{1,3}\])*)(\s+)(?=\S)|([。！？]+[」』”’]*)\s*(?=\S)")
LAST_WORD = re.compile(r"(?:^|[\s(\[\"'“‘«—–-])((?:\w|\.(?=\w)){1,24})$")
NEXT_WORD = re.compile(r"[\"'“‘«(\[¿¡*_`]*(\w+)?(\.?)")
BULLET = re.compile(r"^\s{0,12}(?:[-*+•‣◦–]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s+(?=\S)")
ITEM = re.compile(r"^\s{0,12}[-*+•‣◦–]\s+(?=\S)")
MARK = re.compile(r"^\s*(?:[-*+•‣◦–]\s+|#{1,6}\s+|(?:>\s*)+)")
STRONG = re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*\n]{1,400}?)(?<=[^\s*])\1(?![\w*])")
SECTION = re.compile(r"(?:\d+[.):]\s|(?:section|chapter|part|step|appendix|article|item)\b)", re.IGNORECASE)
WORD = re.compile(r"[^\W_]")
_LETTERS = 12  # that count as a word; the words of prose have half as many


def paragraphs(text: str, words: int = 220) -> list[str]:
    """Pieces of at most *words* words: short paragraphs joined, long ones cut at sentence ends."""
    pieces: list[str] = []
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        parts = [block.strip()] if _size(block) <= words else _packed(sentences(block), words, "\n\n")
        pieces += [part for part in parts if part]
    return _packed(pieces, words, "\n\n")


def sentences(text: str) -> list[str]:
    """The sentences of *text*; headings, list items and table rows are sentences of their own."""
    found = [sentence for block in _blocks(text) for sentence in _split(block)]
    return [sentence for sentence in found if WORD.search(sentence)]


def items(text: str) -> frozenset[str]:
    """Sentences of *text* that stand in items of a list without numbers: however short, they announce nothing."""
    return frozenset(said for line in text.splitlines() if ITEM.match(line) for said in _split(_bare(line)))


def heading(sentence: str) -> bool:
    """Whether *sentence* only announces what follows: a few words without a stop, and without a number of their own."""
    words = sentence.split()
    if re.match(r"[^:.]{2,30}: +\S", sentence) and not SECTION.match(sentence):
        return False  # "Location: Alder Room": a label with its value
    if sentence.rstrip("\"'”’)]*_ ").endswith((".", "!", "?", "…", "。", "！", "？")):
        return False
    return len(words) < 3 or (
        len(words) <= 6 and (not re.search(r"\d", sentence) or SECTION.match(sentence) is not None)
    )


def beginning(text: str, words: int) -> str:
    """The first *words* words of *text*, fewer if they are no words of a language."""
    return _cut(text, words)[0] if _size(text) > words else text


def _packed(pieces: list[str], words: int, glue: str) -> list[str]:
    """Neighbours joined while they fit; a piece that does not fit alone is cut."""
    packed: list[str] = []
    room = 0
    for piece in pieces:
        count = _size(piece)
        if count > words:
            packed += _cut(piece, words)
            room = 0
        elif count <= room:
            packed[-1] += glue + piece
            room -= count
        else:
            packed.append(piece)
            room = words - count
    return packed


def _size(piece: str) -> int:
    """Its words, but no fewer than its letters would make: rows of a table or a script without spaces have long ones."""
    return max(len(piece.split()), len(piece) // _LETTERS)


def _cut(piece: str, words: int) -> list[str]:
    """*piece* between words, or, where one alone is too long, within it."""
    most = words * _LETTERS
    parts = [word[at : at + most] for word in piece.split() for at in range(0, len(word), most)]
    out: list[list[str]] = [[]]
    letters = 0
    for part in parts:
        if out[-1] and (len(out[-1]) >= words or letters + len(part) >= most):
            out.append([])
            letters = 0
        out[-1].append(part)
        letters += len(part) + 1
    return [" ".join(run) for run in out]


def _blocks(text: str) -> list[str]:
    """Runs of lines that belong together, each joined into one line and freed of markdown's marks."""
    blocks: list[list[str]] = [[]]
    lines = text.splitlines()
    width = max((len(line) for line in lines), default=0)
    for line in lines:
        if not WORD.search(line) or _alone(line):
            blocks += [[line], []]
        elif BULLET.match(line) or (blocks[-1] and _broken_on_purpose(blocks[-1][-1], line, width)):
            blocks.append([line])
        else:
            blocks[-1].append(line)
    return [" ".join(_bare(line) for line in block) for block in blocks if block]


def _alone(line: str) -> bool:
    """A heading, a table row, the edge of a code block."""
    return line.lstrip().startswith(("#", "|", "```", "~~~"))


def _broken_on_purpose(line: str, following: str, width: int) -> bool:
    """The next word would have fitted on this line and begins something: a title, a verse, a menu."""
    first = following.split()[0]
    fitted = len(line.rstrip()) + 1 + len(first) < 0.8 * width
    return fitted and not first[0].islower() and not line.rstrip().endswith((",", ";", "-", "–"))


def _bare(line: str) -> str:
    """The line without #, >, bullets and the stars of emphasis."""
    return STRONG.sub(r"\2", MARK.sub("", line)).strip()


def _split(block: str) -> list[str]:
    """One block into sentences."""
    parts, start = [], 0
    for stop in STOP.finditer(block):
        end = stop.end(4) if stop[4] else stop.end(2)
        if stop[4] or _ends(
            block[max(start, stop.start() - 60) : stop.start()], stop[1], block[stop.end() : stop.end() + 40]
        ):
            parts.append(block[start:end].strip())
            start = end
    return [*parts, block[start:].strip()]


def _ends(before: str, stop: str, after: str) -> bool:
    """Whether *stop* between these two ends a sentence."""
    match = NEXT_WORD.match(after)
    word, dotted = (match[1] or "", bool(match[2])) if match else ("", False)
    if word[:1].islower():
        return False
    last = LAST_WORD.search(before[-40:])
    if stop != "." or last is None:
        return True
    lower, starts = last[1].lower(), word.lower() in STARTERS and not dotted
    if lower in BEFORE_MORE:
        return False
    if before.strip() == last[1] and (len(lower) == 1 or lower.isdigit()):
        return False  # "1. Item" or "A. Item": the mark of a list
    if lower in BEFORE_NUMBER and word[:1].isdigit():
        return False
    if lower in MAYBE_LAST or (len(lower) == 1 and lower.isalpha()) or re.fullmatch(r"(?:\w\.)+\w", lower):
        return starts
    return True
