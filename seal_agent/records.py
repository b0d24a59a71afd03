"""
The nouns: frozen records that travel from room to room.

Promises: every record is immutable, can be written as JSON and read back, and its id (where it has one) is its content.
Does not promise: behaviour. Verbs live in the rooms.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Action = Literal["edit", "skip", "hold"]
Outcome = Literal["accepted", "rejected", "undecided"]
Verdict = Literal["pass", "fail", "undecided"]
Origin = Literal["verbatim", "cut", "written", "rehearsal"]
CallKind = Literal["observe", "attest", "release", "consolidate", "rollback"]


def content_id(kind: str, *parts: str) -> str:
    """A fixed-width id from content: one letter for the kind, 16 hexadecimal digits."""
    return kind + hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def normalised(text: str) -> str:
    """Text as its identity sees it: NFC, one kind of newline, no run of spaces, no space at the ends."""
    return re.sub(r"[ \t]+", " ", unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")).strip()


OPENS = "It|He|She|They|Its|His|Her|Their|This|These|Behind it|After that|Before that"
_ENDS = r"(?:(?<=[.!?])|(?<=[.!?][\"'”\u2019)\]]))(?<!\b(?:Dr|Mr|Ms)\.)(?<!\bMrs\.)(?<!\bProf\.)"
_JOINED = re.compile(rf"{_ENDS} (?=(?:{OPENS})\b)")


def sentences_of(fact: str) -> list[str]:
    """
    The sentences of a *fact*: one, or those that a pronoun keeps together ("Ada dug the well. It is 12 m deep."), since what they
    say of somebody else than their subject is true only beside the sentence that names him.
    """
    return _JOINED.split(fact.strip())


def pieces(fact: str) -> list[str]:
    """A *fact* as a whole and, where it has several sentences, each of them: one may be what a question asks for."""
    of = sentences_of(fact)
    return [fact, *of] if len(of) > 1 else [fact]


class Record(BaseModel):
    """Base of the records: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Document(Record):
    """A text from outside. external_id names the thing it describes: new text under it supersedes the old."""

    text: str
    title: str = ""
    source: str = ""
    external_id: str = ""

    @property
    def id(self) -> str:
        return content_id("d", normalised(self.text))


class Decision(Record):
    """What to do with a document, the numbers that say so, and a sentence for people."""

    action: Action
    reason: str
    numbers: dict[str, float] = Field(default_factory=dict)


class SelfEdit(Record):
    """
    One row the model may train on (or, reserved, be checked by), with the sentence that proves it.

    prompt "" means plain text under the document's title; otherwise it is a question and *completion* its answer.
    gold is the short answer, a span of its sentence; "" if there is none. refused says why the row does not count; "" means it
    is proved.
    """

    document: str
    style: str
    origin: Origin
    prompt: str
    completion: str
    fact: str
    gold: str = ""
    title: str = ""
    reserved: bool = False
    refused: str = ""

    @property
    def id(self) -> str:
        return content_id("e", self.document, self.style, self.prompt, self.completion)

    def learned(self) -> Memory:
        """What is remembered of it once it is learned."""
        return Memory(
            id=content_id("m", self.id),
            kind="learned",
            prompt=self.prompt,
            completion=self.completion,
            document=self.document,
            title=self.title,
            gold=self.gold,
        )


class Memory(Record):
    """A row that may be rehearsed: learned from a document, or general (what the base already said). gold as in SelfEdit."""

    id: str
    kind: Literal["learned", "general"]
    prompt: str
    completion: str
    document: str = ""
    title: str = ""
    gold: str = ""


class Check(Record):
    """A held-out question. kind: "fact" is from a document, "general" is what the base says, "user" is a user's.

    gold is the short span that must stand in a right answer; answer is the whole text whose likelihood is compared.
    """

    id: str
    kind: Literal["fact", "general", "user"]
    question: str
    gold: str
    answer: str = ""
    document: str = ""


class CheckResult(Record):
    """
    One check under three versions: right or not, and the answer's mean loss per token (nats). The base is asked general
    questions only, once another version is live; what it was not asked is None.
    """

    check: str
    kind: str
    base: bool | None
    before: bool
    after: bool
    base_nll: float | None
    before_nll: float
    after_nll: float


class Finding(Record):
    """One line of a report: a named group of checks, how it went, and the verdict on it. *base* is None if it was not asked."""

    name: str
    n: int
    base: float | None
    before: float
    after: float
    p: float
    verdict: Verdict
    reason: str


class GateReport(Record):
    """The gate's verdict with everything it rests on."""

    outcome: Outcome
    reason: str
    findings: list[Finding] = Field(default_factory=list)
    results: list[CheckResult] = Field(default_factory=list)
    training: dict[str, Any] = Field(default_factory=dict)


class Candidate(Record):
    """A trained adapter that nobody serves yet. digest is the hash of its manifest."""

    run: str
    path: str
    digest: str
    parent: int
    training: dict[str, Any] = Field(default_factory=dict)


class Version(Record):
    """A numbered adapter. number 0 is the untouched base and has no digest or path."""

    number: int
    id: str
    parent: int | None
    status: Literal["live", "retired", "rejected", "undecided", "broken"]
    created: str
    digest: str = ""
    path: str = ""
    report: GateReport | None = None


class Receipt(Record):
    """What became of one document."""

    id: str
    decision: Decision
    edits: int = 0
    refused: int = 0
    title: str = ""
    attestations: int = 1


class Consolidation(Record):
    """What one consolidation did. version is the live number afterwards."""

    outcome: Outcome | Literal["nothing"]
    reason: str
    version: int
    report: GateReport | None = None


class Call(Record):
    """
    Something asked of a home that stood in *state*. target: the version made by it, or to return to; of a document that was
    read, the version of the writer. broke: a consolidation whose training broke.
    """

    number: int
    kind: CallKind
    document: str = ""
    source: str = ""
    external_id: str = ""
    target: int | None = None
    state: str = ""
    broke: bool = False


class Forgotten(Record):
    """
    What forgetting a document did, and what was looked at afterwards.

    gone and made are version numbers; calls were lived through again, computed of them anew. left names files of the home
    in which a sentence of the document still stands, or may, as they cannot be read. extracted (sentences of *sentences* that
    greedy text completes), right (of its *questions*) and loss (nats per token of their answers) are those of "before", "after"
    and the untouched "base".

    Of what `improve` keeps: *tries* that were dropped, and numbers of the versions of the writer that are gone, *writers*.
    """

    id: str
    gone: list[int]
    made: list[int]
    live: int
    calls: int
    computed: int
    seconds: float
    scanned_bytes: int
    left: list[str] = Field(default_factory=list)
    tries: int = 0
    writers: list[int] = Field(default_factory=list)
    questions: int = 0
    sentences: int = 0
    extracted: dict[str, int] = Field(default_factory=dict)
    right: dict[str, int] = Field(default_factory=dict)
    loss: dict[str, float] = Field(default_factory=dict)


class StyleWorth(Record):
    """What a style earned: the mean reward with its rows less that without, over *n* passages; kept: it stays on the menu."""

    style: str
    gain: float
    n: int
    kept: bool


class Menu(Record):
    """
    What each style is worth, and, if any left, the mean reward on *n* passages kept back *before* and *after*;
    p: the chance of such a rise if there is none.
    """

    worth: list[StyleWorth]
    before: float = 0.0
    after: float = 0.0
    n: int = 0
    p: float = 1.0


class Answer(Record):
    """An answer and the version that gave it. sources are ids of documents whose facts stand nearest the question."""

    text: str
    version: int
    digest: str
    sources: list[str] = Field(default_factory=list)
