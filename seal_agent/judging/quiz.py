"""
A quiz: questions of a SQuAD-shaped file, put to one version and graded on the spot.

Promises: closed-book unless asked otherwise; every question, gold answer and given answer stands in the
result; the accuracy against shuffled gold answers stands beside the real one, since mere reciting shows
there.
Does not promise: that every question is asked. Those without an answer (SQuAD 2.0 has some) are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from seal_agent.errors import ConfigError
from seal_agent.judging import grading
from seal_agent.records import Answer, Check, Document, content_id

Item = Mapping[str, Any]
"""A question, its answer, the title and context it belongs to; `answers`, if there, lists all that count."""

_SHAPE = "an object with `title`, `context` and `questions` was expected"


class Answerer(Protocol):
    """Whoever can be asked: SealAgent, as seen from here."""

    def ask_all(
        self, questions: Sequence[str], version: int | None = None, contexts: Sequence[str] = ()
    ) -> list[Answer]:
        """Answers to many questions."""
        ...


def quiz(
    agent: Answerer,
    items: Sequence[Item],
    version: int | None = None,
    open_book: bool = False,
    topic: bool = False,
) -> dict[str, Any]:
    """
    Put *items* to *version* (None: the live one).

    *open_book* shows the passage; *topic* begins each question with "Topic: TITLE", as SEAL's protocol does.
    """
    if not items:
        raise ConfigError(f"the quiz holds no question with an answer; {_SHAPE}")
    asked = [f"Topic: {i['title']}\n{i['question']}" if topic and i["title"] else i["question"] for i in items]
    said = agent.ask_all(asked, version, [i["context"] for i in items] if open_book else ())
    answers = [answer.text for answer in said]
    rows = [_row(item, answer) for item, answer in zip(items, answers, strict=True)]
    f1 = [max(grading.f1(gold, a) for gold in _golds(item)) for item, a in zip(items, answers, strict=True)]
    right = sum(row["correct"] for row in rows)
    by = max(said, key=lambda answer: answer.version)  # the base may have answered some for it
    return {
        "n": len(rows),
        "correct": right,
        "accuracy": right / len(rows),
        "f1": sum(f1) / len(rows),
        "shuffled": grading.shuffled_accuracy([row["gold"] for row in rows], answers),
        "version": by.version,
        "digest": by.digest,
        "open_book": open_book,
        "topic": topic,
        "rows": rows,
    }


def _row(item: Item, answer: str) -> dict[str, Any]:
    right = any(grading.correct(gold, answer) for gold in _golds(item))
    return {"question": item["question"], "gold": item["answer"], "answer": answer, "correct": right}


def _golds(item: Item) -> list[str]:
    return list(item.get("answers") or [item["answer"]])


def seen(items: Sequence[Item], prompts: Iterable[str]) -> list[bool]:
    """Of each of *items*: is it, word for word, one of the *prompts* that were trained? Then its wording was no unseen one."""
    trained = {tuple(grading.normalise(prompt)) for prompt in prompts}
    return [tuple(grading.normalise(item["question"])) in trained for item in items]


def read(file: Path) -> list[Item]:
    """The questions of *file*, [{title, context, questions}] or official SQuAD. Raises ConfigError."""
    return [item for number, entry in enumerate(_entries(file), 1) for item in _entry(entry, f"{file}, entry {number}")]


def by_passage(file: Path) -> dict[tuple[str, str], list[Item]]:
    """The questions of *file* by the title and the text they are asked of. Raises ConfigError."""
    found: dict[tuple[str, str], list[Item]] = {}
    for item in read(file):
        found.setdefault((item["title"], item["context"]), []).append(item)
    return found


def _entries(file: Path) -> list[Any]:
    try:
        whole = json.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} cannot be read as JSON: {error}") from error
    entries = whole.get("data", [whole]) if isinstance(whole, dict) else whole
    if not isinstance(entries, list):
        raise ConfigError(f"{file}: {_SHAPE}, or a list of them")
    return entries


def practised(file: Path) -> dict[Document, list[Check]]:
    """The passages of *file* as documents, each with its questions as checks, if it has any. Raises ConfigError."""
    found: dict[Document, list[Check]] = {}
    for number, entry in enumerate(_entries(file), 1):
        where = f"{file}, entry {number}"
        passages = entry.get("paragraphs", [entry]) if isinstance(entry, dict) else None
        for passage in passages if isinstance(passages, list) else [None]:
            if not isinstance(passage, dict) or not isinstance(passage.get("context"), str):
                raise ConfigError(f"{where}: {_SHAPE}, `questions` may be missing")
            document = Document(text=passage["context"], title=_text(entry.get("title")))
            rows = passage.get("questions", passage.get("qas")) or []
            found.setdefault(document, []).extend(
                _check(document.id, item)
                for row in rows
                for item in _question(row, document.title, document.text, where)
            )
    if not found:
        raise ConfigError(f"{file} holds no passage")
    return found


def _check(document: str, item: Item) -> Check:
    key = content_id("c", document, item["question"])
    return Check(id=key, kind="fact", question=item["question"], gold=item["answer"], document=document)


def _entry(entry: Any, where: str) -> Iterator[Item]:
    """The questions of one passage {title, context, questions}, or of one article {title, paragraphs}."""
    passages = entry.get("paragraphs", [entry]) if isinstance(entry, dict) else None
    if not isinstance(passages, list):
        raise ConfigError(f"{where}: {_SHAPE}")
    for passage in passages:
        asked = passage.get("questions", passage.get("qas")) if isinstance(passage, dict) else None
        if not isinstance(asked, list):
            raise ConfigError(f"{where}: {_SHAPE}; it has no list of `questions`")
        for row in asked:
            yield from _question(row, _text(entry.get("title")), _text(passage.get("context")), where)


def _text(given: Any) -> str:
    """What a file gives in place of a text; nothing for null."""
    return "" if given is None else str(given)


def _question(row: Any, title: str, context: str, where: str) -> Iterator[Item]:
    if not isinstance(row, dict) or not isinstance(row.get("question"), str):
        raise ConfigError(f"{where}: a question is an object with `question` and `answer`")
    given = row.get("answers") or row.get("answer")
    given = given.get("text") if isinstance(given, dict) else given  # as Hugging Face's copy of SQuAD has it
    texts = [g.get("text") if isinstance(g, dict) else g for g in (given if isinstance(given, list) else [given])]
    golds = [str(text) for text in texts if text not in (None, "")]
    if golds:
        said = {"question": row["question"], "answer": golds[0], "answers": golds}
        yield {**said, "title": title, "context": context}
