"""
Where documents come from: strings, records, LangChain documents and loaders, files, folders, standard input.

Promises: whatever cannot be read is a Refusal with a reason in its place and never stops the stream;
documents are handed on one by one (only a .json file is read whole).
Does not promise: trust. What a text says is judged in screening.py.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel

from seal_agent.records import Document, Record

SUFFIXES = (".txt", ".md", ".jsonl", ".json")
JSON_TIMES_LIMIT = 256  # a .json file holds many documents; each of them has the limit, the file this many limits
DEEPEST = 32  # lists in lists; a list that contains itself ends here
FEW = 3, 0.1  # unwanted characters that are only stripped: this many, or this share of the text

UNWANTED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
JOINERS = "\u200c\u200d"  # spelling in Persian and Hindi, glue in emoji; a hiding place between Latin letters
HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(\S.*)$", re.MULTILINE)
UNDERLINED = re.compile(r"\s*(\S.*)\n {0,3}(?:=+|-{2,})[ \t]*(?:\n|$)")
# What Obsidian, Hugo and others keep about a note at its head, as YAML: no part of what it says. Prose between two rules is one.
_YAML = r"[\w-]+[ \t]*:(?:[ \t].*)?\n|[ \t].*\n|-[ \t].*\n|#.*\n|\n"
FRONT = re.compile(rf"---[ \t]*\n(?=[\w-]+[ \t]*:)((?:{_YAML})+?)(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
NAMED = re.compile(r"""^title[ \t]*:[ \t]*(["']?)(.*\S)\1[ \t]*$""", re.MULTILINE | re.IGNORECASE)
USUAL = re.compile(
    r"^(?:title|tags|date|aliases|authors?|draft|layout|id|created|updated|categories)[ \t]*:", re.M | re.I
)
FENCED = re.compile(r"^ {0,3}(```|~~~).*?(?:^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
WINDOWS = {  # Windows-1252 read as Latin-1: a dash that is dropped makes one number of two
    code: char for code in range(0x80, 0xA0) if (char := bytes([code]).decode("cp1252", "ignore"))
}
OWN = ("adapters", "forgetting")  # folders of a home that hold nothing to read
PAGE_ENDS = re.compile("[\x0b\x0c]")  # as text taken from a PDF has them: its words must not run together


class Refusal(Record):
    """Something that could not be read as a document, and why."""

    name: str
    reason: str


Found = Iterator[Document | Refusal]


def documents(*inputs: Any, limit_bytes: int = 1_000_000) -> Found:
    """Every document in *inputs*, in order. A plain string is the text itself; a path is a pathlib.Path."""
    for thing in inputs:
        yield from _read(thing, limit_bytes, 0)


def stdin_documents(stream: IO[str] | IO[bytes], *, limit_bytes: int = 1_000_000) -> Found:
    """Standard input: JSON lines if the first line that is not blank is a JSON object, else one document."""
    name = "standard input"
    lines = _numbered_lines(getattr(stream, "buffer", stream), limit_bytes)
    blank = b""
    for number, line in lines:
        if len(line) > _line_limit(limit_bytes):  # it may have no end
            yield Refusal(name=name, reason=f"it has more than {limit_bytes} bytes; split it")
            return
        if not line.strip():
            # A leading blank run cannot be a document of its own, so only its newline matters.
            blank = b"\n"
        elif _is_object(line):
            yield from _rows(name, _chained((number, line), lines), name, limit_bytes)
            return
        else:
            yield from _whole(name, blank + line, lines, limit_bytes)
            return
    yield Refusal(name=name, reason="it is empty")


def clean(text: str) -> tuple[str, str]:
    """(*text* without control, zero-width and direction characters, "") or ("", the reason to refuse it)."""
    for place, char in enumerate(text):
        if "\ud800" <= char <= "\udfff":
            return "", f"character {place} is half of a surrogate pair (U+{ord(char):04X}): wrongly decoded"
    # composed: a letter and its accent apart are two things to whoever looks for words
    text = unicodedata.normalize("NFC", text)
    text = PAGE_ENDS.sub("\n", text.translate(WINDOWS).replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff"))
    allowed = max(FEW[0], FEW[1] * len(text))
    kept = UNWANTED.sub(lambda match: _joiner(text, match), text)
    if len(text) - len(kept) > allowed:
        return (
            "",
            f"{len(text) - len(kept)} of {len(text)} characters are control characters: this is not text",
        )
    if kept.count("\ufffd") > allowed:
        return "", f"{kept.count(chr(0xFFFD))} characters are replacement marks; the text was decoded wrongly"
    if not any(char.isalnum() for char in kept):
        return "", "it is empty" if not kept.strip() else "it has no words"
    return kept, ""


def _joiner(text: str, match: re.Match[str]) -> str:
    """A joiner that is part of the spelling, else nothing."""
    start, end = match.span()
    around = text[start - 1 : start] + text[end : end + 1]
    wanted = match[0] in JOINERS and len(around) == 2 and not around.isascii()
    return match[0] if wanted and "LATIN" not in unicodedata.name(around[0], "") else ""


def _read(thing: Any, limit: int, depth: int) -> Found:
    """One input, whatever it is."""
    if isinstance(thing, str):
        yield _document("a string", thing, limit)
    elif isinstance(thing, (Document, Refusal)):
        yield _again(thing, limit)
    elif hasattr(thing, "page_content"):
        yield _from_langchain(thing, limit)
    elif hasattr(thing, "lazy_load"):
        yield from _each(thing.lazy_load, type(thing).__name__, limit, depth)
    elif isinstance(thing, os.PathLike):
        yield from _path(Path(thing), limit)
    elif isinstance(thing, dict):
        yield _row("a dictionary", thing, "", limit)
    elif isinstance(thing, Iterable) and not _record(thing):
        ordered = sorted(thing, key=str) if isinstance(thing, (set, frozenset)) else thing
        yield from _each(lambda: ordered, f"a {type(thing).__name__}", limit, depth)
    else:
        reason = "it is no text, Document, loader, path or list of these"
        yield Refusal(name=f"a {type(thing).__name__}", reason=reason)


def _record(thing: Any) -> bool:
    """Is *thing* bytes, or a pydantic model (a chat message, a blob), which would give away its fields one by one?"""
    fields = getattr(type(thing), "__iter__", None) is BaseModel.__iter__
    return fields or isinstance(thing, (bytes, bytearray, memoryview))


def _each(start: Any, name: str, limit: int, depth: int) -> Found:
    """The items that someone else's iterator gives; if it breaks, what it gave before still counts."""
    if depth >= DEEPEST:
        yield Refusal(name=name, reason=f"lists are nested more than {DEEPEST} deep")
        return
    try:
        items = iter(start())
    except Exception as error:
        yield Refusal(name=name, reason=f"it could not be started: {_said(error)}")
        return
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except Exception as error:
            yield Refusal(name=name, reason=f"it broke off: {_said(error)}")
            return
        yield from _read(item, limit, depth + 1)


def _document(
    name: str, text: str, limit: int, title: str = "", source: str = "", external_id: str = ""
) -> Document | Refusal:
    """A cleaned document, or why there is none. Every way in ends here."""
    # Characters first: counting the bytes of a text that is far too long would copy it.
    if len(text) > limit or len(text.encode("utf-8", "surrogatepass")) > limit:
        return Refusal(name=name, reason=f"it has more than {limit} bytes; split it")
    cleaned, reason = clean(text)
    if reason:
        return Refusal(name=name, reason=reason)
    return Document(
        text=cleaned,
        title=_label(title)[:200].rstrip(),
        source=_name(source),
        external_id=_name(external_id),
    )


def _label(text: str) -> str:
    """One line that can be printed and stored."""
    return " ".join(UNWANTED.sub("", _composed(text)).split())


def _name(text: str) -> str:
    """A label under which nothing else goes: where blanks or what is not seen were lost, a mark tells what they were."""
    label, whole = _label(text), _composed(text).strip()
    return label if label in ("", whole) else f"{label} #{sha256(whole.encode()).hexdigest()[:8]}"


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text.encode("utf-8", "backslashreplace").decode())


def _again(thing: Document | Refusal, limit: int) -> Document | Refusal:
    """A Document goes through the same cleaning; a Refusal stays one."""
    if isinstance(thing, Refusal):
        return thing
    return _document(thing.title or "a Document", thing.text, limit, thing.title, thing.source, thing.external_id)


def _from_langchain(thing: Any, limit: int) -> Document | Refusal:
    """A LangChain Document, by its shape."""
    extra = getattr(thing, "metadata", None)
    extra = extra if isinstance(extra, dict) else {}
    # loaders put anything there: a title that is none is left out, a source is only told
    title = extra["title"] if isinstance(extra.get("title"), (str, int, float)) else None
    row = {
        "text": thing.page_content,
        "title": None if isinstance(title, bool) else title,
        "id": getattr(thing, "id", None),
    }
    row["source"] = None if extra.get("source") is None else str(extra["source"])
    return _row("a LangChain Document", row, "", limit)


def _row(name: str, row: Any, source: str, limit: int) -> Document | Refusal:
    """A row of `text`, optional `title`, `source` and `id`."""
    if not isinstance(row, dict):
        return Refusal(name=name, reason=f"a {_kind(row)} where an object with `text` was expected")
    if not isinstance(row.get("text"), str):
        what = f"its `text` is a {_kind(row['text'])}" if "text" in row else "it has no `text`"
        return Refusal(name=name, reason=what)
    for key in ("title", "source", "id"):
        value = row.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int, float))):
            return Refusal(name=name, reason=f"its `{key}` is a {_kind(value)}, not text")
    title, given, external_id = ("" if row.get(key) is None else str(row[key]) for key in ("title", "source", "id"))
    return _document(name, row["text"], limit, title, given or source, external_id)


def _path(path: Path, limit: int) -> Found:
    """A file or a folder."""
    try:
        if path.is_dir():
            yield from _folder(path, limit)
        elif not path.exists():
            yield Refusal(name=_shown(path), reason="there is no such file or folder")
        elif path.suffix.lower() not in SUFFIXES:
            known = ", ".join(SUFFIXES)
            what = path.suffix or "a file without a suffix"
            yield Refusal(name=_shown(path), reason=f"{what} is not read; known: {known}")
        elif not path.is_file():
            yield Refusal(name=_shown(path), reason="it is not a regular file")
        else:
            yield from _file(path, limit)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        yield Refusal(name=_shown(path), reason=_said(error))


def _folder(folder: Path, limit: int) -> Found:
    """What all files of a folder hold."""
    found = None
    for found in files(folder):
        yield from [found] if isinstance(found, Refusal) else _path(found, limit)
    if found is None:
        yield Refusal(name=_shown(folder), reason=f"the folder holds no file with {', '.join(SUFFIXES)}")


def files(folder: Path) -> Iterator[Path | Refusal]:
    """Files with known suffixes, sorted, hidden ones left out; no link is followed out of the folder."""
    inside = _real(folder)
    seen: set[Path] = set()
    refused: list[OSError] = []
    for here, folders, names in os.walk(folder, onerror=refused.append):
        # what a home holds of its own is no reading: by default it stands where the notes do
        own = OWN if Path(here, "seal.db").is_file() else ()
        folders[:] = sorted(
            n for n in folders if n not in own and not n.startswith(".") and not Path(here, n, "seal.db").is_file()
        )
        away = [Path(here, name) for name in folders if not _real(Path(here, name)).is_relative_to(inside)]
        yield from (Refusal(name=_shown(link), reason="it is a link that leads out of the folder") for link in away)
        for name in sorted(names):
            path = Path(here, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            target = _real(path)
            if not target.is_relative_to(inside):
                yield Refusal(name=_shown(path), reason="it is a link that leads out of the folder")
            elif target not in seen:
                seen.add(target)
                yield path
    for error in refused:
        yield Refusal(name=_shown(Path(error.filename or folder)), reason=_said(error))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _file(path: Path, limit: int) -> Found:
    """One file of a known suffix."""
    name, suffix = _shown(path), path.suffix.lower()
    if suffix == ".jsonl":
        with path.open("rb") as stream:
            yield from _rows(name, _numbered_lines(stream, limit), name, limit)
        return
    largest = limit * JSON_TIMES_LIMIT if suffix == ".json" else limit
    with path.open("rb") as stream:
        raw = _up_to(stream, largest + 1)  # not the size on disk: the file may be growing
    text, reason = _decoded(raw)
    text = text.replace("\r\n", "\n").replace("\r", "\n")  # a line is a line before anything looks for a heading
    if len(raw) > largest:
        yield Refusal(name=name, reason=f"it has more than {largest} bytes; split it")
    elif reason:
        yield Refusal(name=name, reason=reason)
    elif suffix == ".json":
        yield from _squad(name, text, limit)
    else:
        said, text = _headed(text) if suffix == ".md" else ("", text)
        yield _document(name, text, limit, said or _title(text, path), name, name)


def _up_to(stream: IO[bytes], most: int) -> bytes:
    """What *stream* holds, up to *most*: piece by piece, as reading so many at once would reserve them for the shortest file."""
    pieces: list[bytes] = []
    while most > 0 and (piece := stream.read(min(most, 1 << 20))):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _headed(text: str) -> tuple[str, str]:
    """The title that the head of a note gives it, or "", and the note without its head."""
    about = FRONT.match(text)
    if not (about and USUAL.search(about[1])):
        return "", text
    named = NAMED.search(about[1])
    title = re.sub(r"\s+#.*", "", named[2]) if named else ""
    return title if any(map(str.isalnum, title)) and title.lower() != "null" else "", text[about.end() :]


def _title(text: str, path: Path) -> str:
    """What the first line says it is, the first heading (of the highest level, if one is), or the file's name made readable."""
    prose = FENCED.sub("", text)  # a comment of a script is no heading
    headings = [(len(found[1]), _open(found[2])) for found in HEADING.finditer(prose)]
    first, newline, rest = text.strip().partition("\n")
    alone = newline and not rest.partition("\n")[0].strip() and rest.strip()
    if underlined := UNDERLINED.match(text):
        title = underlined[1]
    elif headings and (headings[0][0] == 1 or HEADING.match(first)):
        title = headings[0][1]
    elif alone and len(first) <= 80 and first.strip()[-1] not in ".!?:;,":
        title = first
    elif headings:
        title = min(headings, key=lambda heading: heading[0])[1]
    else:
        title = ""
    title = re.sub(r"^(?:Subject|Title):\s*", "", title.replace("*", "").replace("`", ""))
    if any(map(str.isalnum, title)):  # a rule of dashes or stars is no name
        return title
    words = re.sub(r"[-_\s]+", " ", path.stem).strip()
    return words[:1].upper() + words[1:]


def _open(heading: str) -> str:
    """A heading without the signs that may close it."""
    told = heading.rstrip()
    bare = told.rstrip("#")
    return bare.rstrip() if bare[-1:] in (" ", "\t") else told


def _squad(name: str, text: str, limit: int) -> Found:
    """Passages of a SQuAD-shaped file. Its questions are never read: they are for checking."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f"it is not JSON: {_said(error)}" if text.strip() else "it is empty"
        yield Refusal(name=name, reason=reason)
        return
    entries = whole.get("data", [whole]) if isinstance(whole, dict) else whole
    if not isinstance(entries, list):
        yield Refusal(name=name, reason=f"a {_kind(entries)} where a list of passages was expected")
        return
    if not entries:
        yield Refusal(name=name, reason="its list of passages is empty")
    for number, entry in enumerate(entries, 1):
        yield from _entry(f"{name}, entry {number}", entry, name, limit)


def _entry(name: str, entry: Any, source: str, limit: int) -> Found:
    """One passage {title, context}, or one article {title, paragraphs: [{context}]}."""
    if not isinstance(entry, dict) or not ("context" in entry or isinstance(entry.get("paragraphs"), list)):
        yield Refusal(name=name, reason="it is not in SQuAD shape, an object with `title` and `context`")
        return
    passages = [entry] if "context" in entry else entry["paragraphs"]
    if not passages:
        yield Refusal(name=name, reason="its list of paragraphs is empty")
    for number, passage in enumerate(passages, 1):
        where = name if "context" in entry else f"{name}, paragraph {number}"
        context = passage.get("context") if isinstance(passage, dict) else None
        if not isinstance(context, str):
            yield Refusal(name=where, reason="its `context` is missing or not text")
        else:
            yield _row(where, {"text": context, "title": entry.get("title")}, source, limit)


def _rows(name: str, lines: Iterable[tuple[int, bytes]], source: str, limit: int) -> Found:
    """JSON lines. A bad one is refused by its number; the next ones are read."""
    empty = True
    for number, line in lines:
        where = f"{name}, line {number}"
        if not line.strip():
            continue
        empty = False
        text, reason = _decoded(line)
        if len(line) > _line_limit(limit):
            yield Refusal(name=where, reason=f"it has more than {limit} bytes; split it")
        elif reason:
            yield Refusal(name=where, reason=reason)
        else:
            yield _json_row(where, text, source, limit)
    if empty:
        yield Refusal(name=name, reason="it is empty")


def _json_row(where: str, line: str, source: str, limit: int) -> Document | Refusal:
    try:
        return _row(where, json.loads(line), source, limit)
    except (ValueError, RecursionError) as error:
        return Refusal(name=where, reason=f"it is not JSON: {_said(error)}")


def _whole(name: str, start: bytes, lines: Iterable[tuple[int, bytes]], limit: int) -> Found:
    """One document from the rest of a stream; reading stops once it is too long."""
    raw = bytearray(start)
    for _, line in lines:
        raw += line
        if len(raw) > limit:
            break
    text, reason = _decoded(bytes(raw))
    if len(raw) > limit:
        reason = f"it has more than {limit} bytes; split it"
    if reason:
        yield Refusal(name=name, reason=reason)
    elif text.lstrip()[:1] in ("[", "{") and _is_json(text):
        yield from _squad(name, text, limit)
    else:
        yield _document(name, text, limit, source=name)


def _numbered_lines(stream: IO[str] | IO[bytes], limit: int) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers. Of a line that is far too long only the start is kept, and given before its end is looked for."""
    size, number = _line_limit(limit) + 1, 0
    while line := _bytes(stream.readline(size)):
        number += 1
        more = line
        while len(line) < size and not more.endswith(b"\n") and (more := _bytes(stream.readline(size))):
            line += more
        yield number, line
        while not more.endswith(b"\n") and (more := _bytes(stream.readline(size))):
            pass


def _line_limit(limit: int) -> int:
    # JSON may write a byte of text as six (\\u0041), and title, source and id stand beside it.
    return 6 * limit + 65_536


def _bytes(line: str | bytes) -> bytes:
    return line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line


def _chained(first: tuple[int, bytes], rest: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    yield first
    yield from rest


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_object(line: bytes) -> bool:
    try:
        found = json.loads(_decoded(line)[0])
        return isinstance(found, dict) and not {"data", "context", "paragraphs"} & found.keys()  # SQuAD's are no rows
    except (ValueError, RecursionError):
        return False


def _decoded(raw: bytes) -> tuple[str, str]:
    """(text, "") or ("", why it is not UTF-8)."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "", "it looks like UTF-16; save it as UTF-8"
    try:
        return raw.decode("utf-8").removeprefix("\ufeff"), ""
    except UnicodeDecodeError as error:
        return "", f"it is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}"


def _shown(path: Path) -> str:
    """The absolute path, printable even if it is not UTF-8. Links stay: they may be re-pointed."""
    return os.fsencode(os.path.abspath(path)).decode("utf-8", "backslashreplace")


def _said(error: BaseException) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return _label(said) or type(error).__name__


def _kind(value: Any) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number" if isinstance(value, (int, float)) else type(value).__name__)
