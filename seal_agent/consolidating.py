"""
A consolidation: what waits is trained, judged, and published or set aside.

Promises: it ends in a version, in a report that says why not, or in an error after which every row waits; the same rows after
the same versions make the same run; nothing is trained for a verdict that could not be given.
Does not promise: that what was refused comes back. Rows that were not accepted twice are set aside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from seal_agent.agent import SealAgent
from seal_agent.editing.rewards import compression
from seal_agent.errors import Diverged, HomeBusy
from seal_agent.journal import HomeLock, adapters
from seal_agent.parts import ENOUGH
from seal_agent.records import Candidate, Consolidation, GateReport, SelfEdit, content_id
from seal_agent.remembering.replay import token_share


def due(agent: SealAgent) -> str:
    """See SealAgent.due."""
    journal, settings = agent.journal, agent.settings
    if journal.buffer.unfinished():
        with suppress(HomeBusy), HomeLock(agent.home) as lock:  # busy: it has not died
            agent.recover(lock)
    if _unjudgeable(agent) or agent.too_few == (journal.versions.live_number(), *journal.buffer.documents()):
        return ""
    waiting, age = journal.buffer.count(), journal.buffer.oldest_age() or 0.0
    if waiting >= settings.consolidate_after:
        return f"{waiting} rows wait"
    return f"the oldest row has waited {age:.1f} hours" if age >= settings.consolidate_age else ""


def consolidate(agent: SealAgent) -> Consolidation:
    """See SealAgent.consolidate."""
    journal, rooms = agent.journal, agent.rooms
    with HomeLock(agent.home) as lock:
        agent.recover(lock)
        if reason := _unjudgeable(agent):
            return _nothing(agent, reason)
        seed(agent)
        if turn(agent)[1] not in agent.past.consolidations and (reason := _answered_already(agent)):
            return _nothing(agent, reason)
        with journal.transaction():
            # what came while it was asked is claimed, too: the state has to tell of it
            run, state = turn(agent)
            fence, edits = journal.buffer.claim(run)
        given = agent.past.consolidations.get(state)
        if given and given[1].parent != journal.versions.live_number():
            given = None  # judged against a version that was damaged since and has another number now
        try:
            number, candidate, report = given or _made(agent, run, edits)
            if number and any(number < made for made, _, _ in journal.versions.made()):
                number = None  # one before it had to be made anew: numbers tell the order in which versions were made
            learned = [edit for edit in edits if not edit.reserved] if report.outcome == "accepted" else []
            memories, embedder = rooms.memories(learned), rooms.embedder.fingerprint
            version = journal.publish(candidate, report, run, fence, memories, embedder, state=state, number=number)
        except Exception as error:  # after Ctrl-C the next run's sweep returns the rows, and no failure is counted
            journal.buffer.release(run, fence, f"{type(error).__name__}: {error}"[:500], state)
            raise
    live = journal.versions.live_number()
    return Consolidation(outcome=report.outcome, reason=report.reason, version=live, report=version.report)


def seed(agent: SealAgent) -> None:
    """General memories and checks, once in the life of a home; and the base's fingerprint."""
    journal, learner = agent.journal, agent.learner
    agent.same_base(learner)
    journal.checks.keep_users(agent.rooms.user_checks())
    if journal.memories.all("general"):
        return
    agent.say("remembering what it knows", 0.0)
    # not asked for under the journal's lock: who answers takes these two the other way round
    memories, checks = agent.rooms.seed(learner)
    with journal.transaction():
        journal.set_meta("base", learner.fingerprint)
        journal.set_meta("model", agent.settings.model)
        journal.memories.add([(memory, None) for memory in memories])
        journal.checks.add(checks)
    agent.say("remembering what it knows", 1.0)


def turn(agent: SealAgent) -> tuple[str, str]:
    """The id of the run whose turn it is, and of what it rests on: both of content, not of a clock."""
    journal = agent.journal
    tried = sorted(journal.buffer.attempts().items())
    history = [key for _, key, _ in journal.versions.made()]
    run = content_id("r", *journal.buffer.ids(), repr(tried), *history, str(agent.settings.seed))
    # a user's own questions are no part of it: they may veto what came of it, and change nothing
    checks = sorted(check.id for check in journal.checks.all() if check.kind != "user")
    return run, content_id("s", journal.state(), run, *checks)


def _nothing(agent: SealAgent, reason: str) -> Consolidation:
    agent.journal.calls.note("consolidate")
    return Consolidation(outcome="nothing", reason=reason, version=agent.journal.versions.live_number())


def _unjudgeable(agent: SealAgent) -> str:
    """Why no consolidation of what waits could be judged, or ""."""
    documents = agent.journal.buffer.documents()
    if not documents:
        return "no edit waits"
    found = len(agent.journal.checks.of(documents))
    few = f"a verdict needs {ENOUGH} reserved questions, of what waits there are {found}; it waits for more to learn"
    return few if found < ENOUGH else ""


def _answered_already(agent: SealAgent) -> str:
    """Why no verdict could be given on what waits, the answers of the live version seen, or "". It costs these answers."""
    journal, documents = agent.journal, agent.journal.buffer.documents()
    left = agent.rooms.unanswered(agent.learner, journal, documents, agent.adapter())
    if left >= ENOUGH:
        return ""
    agent.too_few = (journal.versions.live_number(), *documents)
    return (
        f"a verdict needs {ENOUGH} reserved questions that are not answered yet, of what waits there are {left};"
        " it waits for more to learn"
    )


def _made(agent: SealAgent, run: str, edits: Sequence[SelfEdit]) -> tuple[None, Candidate, GateReport]:
    candidate = _trained(agent, run, edits)
    documents = list(dict.fromkeys(edit.document for edit in edits))
    report = agent.rooms.judge(
        agent.learner, agent.journal, documents, agent.adapter(), Path(candidate.path), agent.say
    )
    return None, candidate, report.model_copy(update={"training": candidate.training})


def _trained(agent: SealAgent, run: str, edits: Sequence[SelfEdit]) -> Candidate:
    live, root = agent.journal.versions.live(), agent.home / "adapters"
    rows = [edit for edit in edits if not edit.reserved]
    anew = agent.rooms.anew(agent.journal)
    examples = agent.rooms.mix(rows, agent.journal, anew)
    seed = int(hashlib.sha256(f"{run}{agent.settings.seed}".encode()).hexdigest()[:8], 16)
    with adapters.staged(root) as folder:
        log = agent.learner.train(examples, None if anew else agent.adapter(), folder, seed, agent.say)
        if not log["finite"]:
            raise Diverged(
                f"training of run {run} stopped: the loss is not finite; its rows wait again, and are set aside after three such"
            )
        written = [row.prompt or row.completion for row in rows if row.origin == "written"]
        training = {
            **log,
            "anew": anew,
            "origin": token_share(examples, agent.learner.count, log),
            "compression": compression(written),
        }
        digest = hashlib.sha256("".join(sorted(row.id for row in rows)).encode()).hexdigest()
        return adapters.candidate(
            folder, live, run=run, fingerprint=agent.learner.fingerprint, rows=digest, training=training
        )
