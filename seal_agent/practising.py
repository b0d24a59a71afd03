"""
Practising: the writer of a home learns to write, or its menu of styles is looked at, on passages that are not learned.

Promises: what the home knows and serves is not touched; documents are cleaned as `observe` cleans them and have its ids; all of
it is kept in the folder `writer` of the home, under its own lock, and is not done twice: not what the model asked itself, not
what was tried.
Does not promise: to keep the texts. Of a document that was only practised on there is what was tried of it, by its id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from seal_agent.agent import SealAgent
from seal_agent.editing.imitating import asked_of, imitated, placed
from seal_agent.editing.improving import Loop, Practice
from seal_agent.editing.menu import Bandit
from seal_agent.errors import ConfigError
from seal_agent.journal import HomeLock, Journal, adapters
from seal_agent.judging.statistics import mean_test
from seal_agent.parts import ENOUGH
from seal_agent.reading import sources
from seal_agent.records import Check, Document, GateReport, Menu, content_id
from seal_agent.wiring import OWN

_KEPT = "whole questions"  # what a try keeps of what was written: tries that kept something else are not taken over
Given = Mapping[Document, Sequence[Check]]
"""Documents to practise on, each with questions about it, or none."""


def improve(agent: SealAgent, documents: Given, rounds: int, samples: int) -> list[GateReport]:
    """See SealAgent.improve."""
    if rounds < 1 or samples < 2:
        raise ConfigError(f"rounds={rounds}, samples={samples}: at least one round, and two samples to choose from")
    with practice(agent, documents, samples) as (loop, lessons):
        writer, versions = agent.writer(), loop.journal.versions
        live = versions.live()
        if live and (writer is None or writer.number != live.number):
            versions.rollback(writer.number if writer else 0)  # what is tuned now descends from what can write now
        # what people ask is learned first, and once: a writer that is live has learned it, or descends from one that won
        first = loop.imitate if not versions.live() and any(one.shown for one in lessons) else loop.round
        return [round_of(lessons) for round_of in (first, *[loop.round] * (rounds - 1))]


def menu(agent: SealAgent, documents: Given) -> Menu:
    """See SealAgent.menu."""
    with practice(agent, documents) as (loop, lessons):
        return Bandit(loop).play(lessons)


def cleaned(documents: Given, limit: int) -> dict[Document, list[Check]]:
    """
    *documents* as `observe` would hold them, each question about one once. ConfigError lists what it would refuse, for one with
    more than *limit* bytes.
    """
    found: dict[Document, dict[str, Check]] = {}
    refused = []
    for given, checks in documents.items():
        (one,) = sources.documents(given, limit_bytes=limit)
        if isinstance(one, sources.Refusal):
            refused.append(f"{one.name!r}: {one.reason}")
        else:
            known = found.setdefault(one, {})
            for check in checks:
                asked, gold = (sources.clean(said)[0] or said for said in (check.question, check.gold))
                same = check.model_copy(update={"document": one.id, "question": asked, "gold": gold})
                known.setdefault(asked.lower(), same)
    if refused:
        raise ConfigError(f"{len(refused)} of {len(documents)} passages cannot be read: {'; '.join(refused)}")
    return {document: list(checks.values()) for document, checks in found.items()}


@contextmanager
def practice(agent: SealAgent, documents: Given, samples: int = 4) -> Iterator[tuple[Loop, list[Practice]]]:
    """What a round needs, with the writers' journal locked; and passages with questions."""
    rooms = agent.rooms
    if agent.settings.writer != OWN:
        raise ConfigError(
            f"writer = {agent.settings.writer!r} writes edits here; only the writer {OWN!r} can be tuned: change seal.toml"
        )
    agent.writers.mkdir(exist_ok=True)
    with HomeLock(agent.writers) as lock, Journal(agent.writers) as line:
        line.buffer.sweep(lock)
        adapters.tidy(agent.writers / "adapters", [version.path for version in line.versions.all()], lock)
        lessons, reward = list(_lessons(agent, line, documents)), rooms.reward(agent.learner, agent.journal)
        write, basis = partial(rooms.compose, agent.learner), " ".join(("likelihood", _KEPT, *rooms.styles))
        yield (
            Loop(agent.learner, line, write, reward, mean_test, basis, samples, agent.settings.seed, agent.say),
            lessons,
        )


def _lessons(agent: SealAgent, line: Journal, documents: Given) -> Iterator[Practice]:
    """
    The passages of *documents* with questions: those given whose answer stands there; where they are too few for a verdict, those
    the model asks itself, too, which take minutes and are kept in *line*.
    """
    rooms, seed = agent.rooms, str(agent.settings.seed)
    documents = cleaned(documents, agent.settings.max_document_bytes)
    of = {document: rooms.passages(document) for document in documents}
    passages = [pair for document, given in documents.items() for pair in placed(of[document], given)]
    for number, (passage, given) in enumerate(passages):
        agent.say("asking itself", number / len(passages))
        asked = asked_of(passage, given)
        if len(asked) < ENOUGH:
            key = content_id("q", _KEPT, repr(passage), agent.learner.fingerprint, *rooms.styles, seed)
            if (kept := line.tries.kept(key)) is None:
                found = rooms.asked(passage, agent.learner)
                line.tries.keep(key, passage.document, kept := [check.model_dump(mode="json") for check in found])
            known = {check.question.lower() for check in asked}
            more = [Check.model_validate(one) for one in kept]
            asked += [check for check in more if check.question.lower() not in known]
        if asked:  # a passage without a question that can be answered in its view teaches nobody how to write
            yield Practice(passage, tuple(asked), tuple(imitated(passage, given, tuple(rooms.styles))))
    agent.say("asking itself", 1.0)
