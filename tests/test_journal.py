"""What the journal promises, claimed against a real SQLite file. No model, no mocks."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seal_agent.errors import HomeBusy, SealError
from seal_agent.journal import HomeLock, Journal, adapters, schema
from seal_agent.records import (
    Candidate,
    Check,
    CheckResult,
    Decision,
    Document,
    GateReport,
    Memory,
    Receipt,
    SelfEdit,
    Version,
)

EDIT = Decision(action="edit", reason="new", numbers={"surprise": 2.5})
SKIP = Decision(action="skip", reason="known")
HOLD = Decision(action="hold", reason="it gives orders")
ACCEPTED = GateReport(outcome="accepted", reason="better")


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Journal:
    return Journal(tmp_path / "home", clock=clock)


def edit(document: Document, prompt: str, *, reserved: bool = False, refused: str = "") -> SelfEdit:
    return SelfEdit(
        document=document.id,
        style="facts",
        origin="cut",
        prompt=prompt,
        completion="1871",
        fact=document.text,
        reserved=reserved,
        refused=refused,
    )


def check(document: Document) -> Check:
    return Check(id=f"c-{document.id}", kind="fact", question="When?", gold="1871", document=document.id)


def memory(document: Document, kind: str = "learned") -> tuple[Memory, bytes | None]:
    row = Memory(id=f"m-{document.id}", kind=kind, prompt="When?", completion="1871", document=document.id)
    return row, b"\0\0\x80?"


def learn(journal: Journal, document: Document, decision: Decision = EDIT) -> Receipt:
    edits = [edit(document, "When?"), edit(document, "In which year?", reserved=True)]
    return journal.record(document, decision, edits, [check(document)])


def candidate(run: str, parent: int) -> Candidate:
    return Candidate(run=run, path=f"adapters/{run}", digest=f"digest of {run}", parent=parent)


def consolidate(journal: Journal, run: str, outcome: str = "accepted", results: Sequence[CheckResult] = ()) -> Version:
    fence, edits = journal.buffer.claim(run)
    live = journal.versions.live()
    learned = dict.fromkeys(row.document for row in edits)
    memories = [memory(document) for key in learned if (document := journal.document(key))]
    report = GateReport(outcome=outcome, reason="tried", results=list(results))
    return journal.publish(candidate(run, live.number if live else 0), report, run, fence, memories)


def states(journal: Journal, document: Document) -> list[str]:
    return [state for _, state in journal.buffer.of(document.id)]


MILL = Document(text="Alder Mill opened in 1871.", title="Alder Mill", source="wiki", external_id="mill")
MILL_2 = Document(text="Alder Mill opened in 1872.", title="Alder Mill", source="wiki", external_id="mill")
LAMP = Document(text="Ana keeps the lighthouse of Anstrow.", source="wiki", external_id="lamp")


# Documents


def test_a_recorded_document_is_there_after_reopening(journal: Journal) -> None:
    receipt = learn(journal, MILL)
    journal.close()

    again = Journal(journal.home)
    assert receipt == Receipt(id=MILL.id, decision=EDIT, edits=1, title="Alder Mill")
    assert again.receipt(MILL.id) == receipt
    assert again.document(MILL.id) == MILL
    assert [row.prompt for row in again.buffer.waiting()] == ["When?"]
    assert again.verify() == []


def test_rows_wait_only_if_proved_and_not_reserved(journal: Journal) -> None:
    rows = [edit(MILL, "a"), edit(MILL, "b", refused="not in the source"), edit(MILL, "c", reserved=True)]
    receipt = journal.record(MILL, EDIT, rows, [])

    assert states(journal, MILL) == ["waiting", "refused", "reserved"]
    assert (receipt.edits, receipt.refused) == (1, 1)


def test_an_edit_of_another_document_is_refused_whole(journal: Journal) -> None:
    with pytest.raises(SealError, match="names document"):
        journal.record(MILL, EDIT, [edit(MILL, "a"), edit(LAMP, "b")], [])

    assert journal.documents() == []
    assert journal.events() == []


def test_the_same_text_again_is_an_attestation_and_not_a_second_lesson(journal: Journal) -> None:
    learn(journal, MILL)
    elsewhere = MILL.model_copy(update={"source": "press", "text": "Alder  Mill opened in 1871.\r\n"})

    assert journal.attest(LAMP) is None
    assert journal.attest(MILL).attestations == 1
    assert journal.attest(elsewhere).attestations == 2
    assert learn(journal, elsewhere).attestations == 2
    assert journal.buffer.count() == 1


def test_what_a_check_said_when_its_document_was_learned_is_remembered(journal: Journal) -> None:
    """Not what a later or a rejected version said; a rollback before that version forgets it."""

    def result(document: Document, after: bool) -> CheckResult:
        losses = {"base_nll": 1.0, "before_nll": 1.0, "after_nll": 1.0}
        return CheckResult(check=check(document).id, kind="fact", base=False, before=False, after=after, **losses)

    learn(journal, MILL)
    consolidate(journal, "r1", "rejected", [result(MILL, False)])
    consolidate(journal, "r2", results=[result(MILL, True)])
    learn(journal, LAMP)
    consolidate(journal, "r3", results=[result(LAMP, False), result(MILL, False)])
    asked = [check(MILL).id, check(LAMP).id]

    assert journal.checks.when_learned(asked) == {asked[0]: (True, 1.0), asked[1]: (False, 1.0)}
    assert journal.checks.when_learned(asked[1:]) == {asked[1]: (False, 1.0)}
    journal.versions.rollback(2)
    assert journal.checks.when_learned(asked) == {asked[0]: (True, 1.0)}


def test_changed_text_under_a_name_supersedes_what_the_name_said(journal: Journal) -> None:
    learn(journal, MILL)
    learn(journal, MILL_2)

    assert states(journal, MILL) == ["superseded", "superseded"]
    assert [row.document for row in journal.buffer.waiting()] == [MILL_2.id]
    assert journal.documents() == [MILL_2]
    assert [row.document for row in journal.checks.of([MILL.id, MILL_2.id])] == [MILL_2.id]


def test_a_superseded_lesson_leaves_replay_and_checks(journal: Journal) -> None:
    learn(journal, MILL)
    consolidate(journal, "r1")
    assert [row.document for row in journal.memories.all("learned")] == [MILL.id]

    learn(journal, MILL_2)

    assert journal.memories.all("learned") == journal.checks.all("fact") == []
    assert journal.memories.vectors() == ([], [])


def test_a_stream_told_twice_ends_where_it_ended_once(journal: Journal) -> None:
    """At-least-once delivery of a stream that revises itself teaches nothing twice."""
    for document in (MILL, LAMP, MILL_2):
        learn(journal, document)
    consolidate(journal, "r1")
    before = (journal.counts(), journal.memories.all(), states(journal, MILL), states(journal, MILL_2))

    for document in (MILL, LAMP, MILL_2):
        journal.attest(document)

    assert (journal.counts(), journal.memories.all(), states(journal, MILL), states(journal, MILL_2)) == before
    assert journal.buffer.count() == 0


def test_a_change_taken_back_brings_the_old_lesson_back(journal: Journal) -> None:
    learn(journal, MILL)
    learn(journal, MILL_2)
    journal.attest(MILL)

    assert [row.document for row in journal.buffer.waiting()] == [MILL.id]
    assert states(journal, MILL) == ["waiting", "reserved"]
    assert journal.documents() == [MILL]


def test_what_a_change_taught_otherwise_is_learned_again_when_it_is_taken_back(journal: Journal) -> None:
    """Told twice over between two consolidations it ends as it stood: the weights have learned nothing since."""
    for run, document in (("r1", MILL), ("r2", MILL_2)):
        learn(journal, document)
        consolidate(journal, run)
    assert journal.buffer.count() == 0

    journal.attest(MILL)
    assert [row.document for row in journal.buffer.waiting()] == [MILL.id]

    journal.attest(MILL_2)
    assert journal.buffer.count() == 0
    assert journal.verify() == []


def test_all_that_a_name_has_said_is_known_though_none_of_it_stands(journal: Journal) -> None:
    """Learned, changed, and changed again before the change was learned: the weights still hold the first text."""
    learn(journal, MILL)
    consolidate(journal, "r1")
    learn(journal, MILL_2)
    third = MILL.model_copy(update={"text": "Alder Mill opened in 1880."})

    assert journal.names.superseded_by(third) == [MILL_2.id]
    assert journal.names.told_before(third) == sorted([MILL.id, MILL_2.id])
    assert {memory.document for memory in journal.taught_by(journal.names.told_before(third))} == {MILL.id}
    assert journal.names.told_before(LAMP) == []


def test_a_state_knows_what_a_name_has_said(journal: Journal) -> None:
    """Decisions and rows rest on it: a home that forgets must not take them over from another past."""
    before = journal.state_for(MILL_2)
    learn(journal, MILL)

    assert journal.state_for(LAMP) == journal.state()
    assert journal.state_for(MILL_2) != before == journal.state()


def test_documents_without_a_name_supersede_nothing(journal: Journal) -> None:
    for text in ("one", "two"):
        learn(journal, Document(text=text))

    assert len(journal.documents("edit")) == 2


def test_a_held_document_teaches_nothing_and_pushes_nothing_out(journal: Journal) -> None:
    learn(journal, MILL)
    learn(journal, MILL_2, HOLD)

    assert [row.document for row in journal.buffer.waiting()] == [MILL.id]
    assert [(row.id, row.decision.reason) for row in journal.quarantine()] == [(MILL_2.id, "it gives orders")]
    assert journal.checks.of([MILL_2.id]) == []


def test_a_released_document_is_decided_on_again(journal: Journal) -> None:
    learn(journal, MILL)
    learn(journal, MILL_2, HOLD)

    assert journal.release(MILL_2.id) == journal.release(MILL_2.id) == MILL_2
    assert [row.id for row in journal.quarantine()] == [MILL_2.id], "until decided on again it stays in sight"
    receipt = journal.redecide(MILL_2, EDIT, [edit(MILL_2, "When?")], [check(MILL_2)])

    assert (receipt.decision, receipt.edits) == (EDIT, 1)
    assert [row.document for row in journal.buffer.waiting()] == [MILL_2.id]
    assert (journal.quarantine(), journal.documents()) == ([], [MILL_2])
    with pytest.raises(SealError, match="not held"):
        journal.release(MILL_2.id)
    with pytest.raises(SealError, match="only what is held"):
        journal.redecide(MILL_2, EDIT, [], [])


def test_text_that_is_not_unicode_is_refused_with_a_reason(journal: Journal) -> None:
    with pytest.raises(SealError, match="not valid Unicode"):
        learn(journal, Document(text="half a pair \ud800"))
    learn(journal, Document(text="a NUL \0 is only odd"))

    assert journal.documents()[0].text == "a NUL \0 is only odd"


# The buffer


def test_claimed_rows_wait_no_longer_and_fences_only_grow(journal: Journal) -> None:
    learn(journal, MILL)
    first, edits = journal.buffer.claim("r1")
    second, none = journal.buffer.claim("r2")

    assert ([row.document for row in edits], none) == ([MILL.id], [])
    assert second > first
    assert journal.buffer.count() == 0


def test_a_run_that_lost_its_turn_changes_nothing(journal: Journal) -> None:
    learn(journal, MILL)
    fence, _ = journal.buffer.claim("r1")
    journal.buffer.claim("r2")

    with pytest.raises(SealError, match="does not hold the turn; the last is r2"):
        journal.buffer.settle("r1", fence, outcome="accepted", version=1)
    with pytest.raises(SealError, match="does not hold the turn"):
        journal.buffer.release("r1", fence)
    with pytest.raises(SealError, match="does not hold the turn"):
        journal.publish(candidate("r1", 0), ACCEPTED, "r1", fence)
    assert journal.versions.live() is None


def test_a_run_settles_once(journal: Journal) -> None:
    learn(journal, MILL)
    fence, _ = journal.buffer.claim("r1")
    journal.buffer.settle("r1", fence, outcome="rejected", version=1)

    with pytest.raises(SealError, match="settled"):
        journal.buffer.settle("r1", fence, outcome="rejected", version=1)
    with pytest.raises(SealError, match="does not hold the turn"):
        journal.publish(candidate("r1", 0), ACCEPTED, "r1", fence)


@pytest.mark.parametrize("outcome", ["rejected", "undecided"])
def test_rows_of_a_refused_candidate_wait_once_more_then_stand_aside(journal: Journal, outcome: str) -> None:
    learn(journal, MILL)
    consolidate(journal, "r1", outcome)
    assert list(journal.buffer.attempts().values()) == [1]

    consolidate(journal, "r2", outcome)

    assert (journal.buffer.count(), journal.memories.count()) == (0, 0)
    assert [reason for _, reason in journal.buffer.aside()] == [f"version 2 was {outcome}"]


def test_rows_whose_training_breaks_three_times_are_set_aside(journal: Journal) -> None:
    learn(journal, MILL)
    for attempt in range(3):
        assert journal.buffer.count() == 1, attempt
        fence, _ = journal.buffer.claim("same run")
        journal.buffer.release("same run", fence, "loss is not finite")

    assert [reason for _, reason in journal.buffer.aside()] == ["loss is not finite"]


def test_a_lesson_superseded_during_its_run_is_no_memory_and_not_trained_again(journal: Journal) -> None:
    """Not even when the change is taken back: the weights have it."""
    learn(journal, MILL)
    fence, _ = journal.buffer.claim("r1")
    learn(journal, MILL_2)
    journal.publish(candidate("r1", 0), ACCEPTED, "r1", fence, [memory(MILL)])

    assert states(journal, MILL)[0] == "learned"
    assert journal.memories.all() == []
    assert journal.learned_documents() == [MILL.id], "the weights did see it: lineage says so"
    learn(journal, MILL)
    assert states(journal, MILL)[0] == "learned"
    assert {row.document for row in journal.buffer.waiting()} == set()


def test_only_the_holder_of_the_lock_sweeps_and_twice_is_once(journal: Journal) -> None:
    learn(journal, MILL)
    journal.buffer.claim("dead")
    after = Journal(journal.home)
    with pytest.raises(SealError, match="only the holder"):
        after.buffer.sweep(HomeLock(after.home))

    with HomeLock(after.home) as lock:
        assert after.buffer.sweep(lock) == 1
        once = dump(after)
        assert after.buffer.sweep(lock) == 0
        assert dump(after) == once
    assert after.buffer.count() == 1


def test_a_sweep_spares_the_run_of_its_own_process(journal: Journal) -> None:
    learn(journal, MILL)
    fence, _ = journal.buffer.claim("mine")
    with HomeLock(journal.home) as lock:
        assert journal.buffer.sweep(lock) == 0

    journal.buffer.settle("mine", fence, outcome="accepted", version=1)


def test_the_oldest_waiting_row_has_an_age_even_if_the_clock_jumps(journal: Journal, clock: Clock) -> None:
    """One that is set back must not keep rows from coming due until it is there again."""
    assert journal.buffer.oldest_age() is None
    learn(journal, MILL)
    clock.now += 7200
    assert journal.buffer.oldest_age() == pytest.approx(2)
    clock.now -= 1e6
    assert journal.buffer.oldest_age() == pytest.approx((1e6 - 7200) / 3600)


def test_an_interrupt_while_the_file_is_locked_leaves_no_transaction_behind(tmp_path: Path) -> None:
    """Ctrl-C is raised as soon as the wait is over, which is when the transaction has begun."""
    with Journal(tmp_path) as journal, closing(sqlite3.connect(tmp_path / "seal.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begin = journal._db._file

        class Interrupted:
            def __getattr__(self, name: str) -> Any:
                return getattr(begin, name)

            def execute(self, sql: str, *given: Any) -> Any:
                if sql != "BEGIN IMMEDIATE":
                    return begin.execute(sql, *given)
                other.execute("COMMIT")
                begin.execute(sql)
                raise KeyboardInterrupt

        journal._db._file = Interrupted()  # type: ignore[assignment]  # a connection, but for the first call
        with pytest.raises(KeyboardInterrupt):
            journal.set_meta("x", "1")
        journal._db._file = begin

        assert not begin.in_transaction
        journal.set_meta("x", "2")
        assert journal.meta("x") == "2"


# Memories, checks, versions


def test_a_rollback_hides_what_only_the_left_version_learned(journal: Journal) -> None:
    journal.memories.add([(Memory(id="g", kind="general", prompt="Sky?", completion="blue"), None)])
    journal.checks.add([Check(id="general", kind="general", question="Sky?", gold="blue")])
    learn(journal, MILL)
    consolidate(journal, "r1")
    learn(journal, LAMP)
    consolidate(journal, "r2")
    assert journal.learned_documents() == [MILL.id, LAMP.id]

    assert journal.versions.rollback() == 1

    assert journal.learned_documents() == [MILL.id]
    assert [row.document for row in journal.memories.all("learned")] == [MILL.id]
    assert [row.id for row in journal.checks.all()] == ["general", f"c-{MILL.id}"]
    assert journal.memories.vectors()[0] == [f"m-{MILL.id}"]
    assert journal.versions.rollback(2) == 2
    assert journal.learned_documents() == [MILL.id, LAMP.id]


def test_one_memory_learned_on_two_branches_is_seen_once_from_each(journal: Journal) -> None:
    learn(journal, MILL)
    consolidate(journal, "r1")
    journal.versions.rollback(0)
    fence, _ = journal.buffer.claim("r2")
    journal.publish(candidate("r2", 0), ACCEPTED, "r2", fence, [memory(MILL)])

    for version in (1, 2):
        journal.versions.rollback(version)
        assert journal.memories.count() == 1


def test_a_new_embedder_replaces_vectors_in_place(journal: Journal) -> None:
    learn(journal, MILL)
    consolidate(journal, "r1")
    row, _ = memory(MILL)
    journal.memories.add([(row, b"\1\2\3\4")], embedder="new")

    assert journal.memories.vectors("new") == ([row.id], [b"\1\2\3\4"])
    assert journal.memories.vectors("old") == ([], [])
    assert journal.memories.count() == 1


def test_an_accepted_candidate_goes_live_and_a_refused_one_does_not(journal: Journal) -> None:
    learn(journal, MILL)
    first = consolidate(journal, "r1")
    learn(journal, LAMP)
    second = consolidate(journal, "r2", "rejected")

    assert (first.status, second.status) == ("live", "rejected")
    assert journal.versions.live() == journal.versions.one(1) == journal.versions.all()[0]
    assert (first.parent, second.parent, journal.versions.one(0).parent) == (0, 1, None)
    assert second.report == GateReport(outcome="rejected", reason="tried")
    assert (journal.versions.one(0).status, first.id != second.id) == ("retired", True)


def test_a_candidate_judged_against_a_version_no_longer_live_is_refused(journal: Journal) -> None:
    learn(journal, MILL)
    consolidate(journal, "r1")
    learn(journal, LAMP)
    fence, _ = journal.buffer.claim("r2")
    journal.versions.rollback(0)

    with pytest.raises(SealError, match="judged against version 1, but 0 is live"):
        journal.publish(candidate("r2", 1), ACCEPTED, "r2", fence)
    assert len(journal.versions.all()) == 1
    journal.buffer.release("r2", fence)
    assert journal.buffer.count() == 1


def test_a_rollback_names_what_is_possible(journal: Journal) -> None:
    with pytest.raises(SealError, match="nothing to roll back"):
        journal.versions.rollback()
    learn(journal, MILL)
    consolidate(journal, "r1", "undecided")
    consolidate(journal, "r2")

    with pytest.raises(SealError, match=r"version 1 is undecided; possible: 0$"):
        journal.versions.rollback(1)
    for unknown in (9, 10**30):
        with pytest.raises(SealError, match=rf"no version {unknown}; possible: 0$"):
            journal.versions.rollback(unknown)
    assert journal.versions.rollback(2) == 2
    assert journal.versions.rollback() == 0
    assert journal.versions.live() is None


def test_a_broken_version_yields_to_its_nearest_sound_ancestor_for_good(journal: Journal) -> None:
    for run, document in (("r1", MILL), ("r2", LAMP), ("r3", Document(text="three"))):
        learn(journal, document)
        consolidate(journal, run)

    assert journal.versions.mark_broken(2, "hash") == 3
    assert journal.versions.mark_broken(3, "hash") == journal.versions.mark_broken(3, "hash") == 1
    with pytest.raises(SealError, match=r"version 3 is broken; `seal-agent verify` tells what it knew; possible: 0$"):
        journal.versions.rollback(3)
    assert journal.verify() == []


def test_the_file_itself_allows_one_live_version_and_legal_moves_only(journal: Journal) -> None:
    learn(journal, MILL)
    consolidate(journal, "r1", "rejected")
    consolidate(journal, "r2")
    db = sqlite3.connect(journal.home / "seal.db")

    with pytest.raises(sqlite3.IntegrityError, match="cannot move"):
        db.execute("UPDATE versions SET status = 'live' WHERE number = 1")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        db.execute(
            "INSERT INTO versions SELECT 9, 'v', 0, 'live', created, digest, path, report, training, 99"
            " FROM versions WHERE number = 2"
        )
    with pytest.raises(sqlite3.IntegrityError, match="cannot move"):
        db.execute("UPDATE edits SET state = 'claimed' WHERE state = 'learned'")


# Events, transactions, the file


def test_events_cannot_be_changed_and_a_forged_one_is_found(journal: Journal) -> None:
    for number in range(3):
        journal.event("note", number=number)
    db = sqlite3.connect(journal.home / "seal.db")
    for change in ("UPDATE events SET data = '{}'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            db.execute(change)
    assert [row["data"]["number"] for row in journal.events(2)] == [1, 2]

    db.execute("DROP TRIGGER events_stay")
    db.execute("UPDATE events SET data = '{\"number\": 7}' WHERE seq = 2")
    db.commit()

    assert journal.verify() == ["event 2 (note) is not what was written"]


def test_verify_names_a_state_that_cannot_be(journal: Journal) -> None:
    learn(journal, MILL, HOLD)
    db = sqlite3.connect(journal.home / "seal.db")
    db.execute("UPDATE documents SET state = 'edited'")
    db.commit()

    assert [MILL.id in problem for problem in journal.verify()] == [True]


def test_a_failed_transaction_leaves_nothing_and_an_inner_one_only_its_own(journal: Journal) -> None:
    def broken(key: str) -> None:
        with journal.transaction():
            journal.set_meta(key, "lost")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken("base")
    with journal.transaction():
        journal.set_meta("outer", "kept")
        with pytest.raises(RuntimeError):
            broken("inner")

    assert [journal.meta(key) for key in ("base", "outer", "inner")] == [None, "kept", None]


def test_threads_share_a_journal(journal: Journal) -> None:
    def tell(start: int) -> None:
        for number in range(start, start + 10):
            learn(journal, Document(text=f"fact {number}"))

    threads = [threading.Thread(target=tell, args=(start,)) for start in (0, 5, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert journal.counts()["documents"]["total"] == journal.buffer.count() == 20
    assert journal.verify() == []


def test_a_reader_waits_for_nobody_and_sees_only_what_is_committed(journal: Journal) -> None:
    with journal.transaction():
        journal.set_meta("base", "a")
        assert Journal(journal.home).meta("base") is None
    assert Journal(journal.home).meta("base") == "a"


def test_processes_may_create_one_home_at_once(tmp_path: Path) -> None:
    script = "import sys, pathlib, seal_agent.journal as j; j.Journal(pathlib.Path(sys.argv[1]))"
    racers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "home")]) for _ in range(4)]

    assert [racer.wait(30) for racer in racers] == [0, 0, 0, 0]
    assert Journal(tmp_path / "home").verify() == []


def test_who_opens_a_file_that_another_is_writing_first_waits(tmp_path: Path) -> None:
    first = sqlite3.connect(tmp_path / "seal.db", isolation_level=None, check_same_thread=False)
    first.execute("BEGIN IMMEDIATE")  # not yet WAL: SQLite fails the switch at once, without its busy_timeout
    finish = threading.Timer(0.3, first.execute, ("COMMIT",))
    finish.start()

    assert Journal(tmp_path).verify() == []
    finish.join()
    first.close()


def test_what_was_tried_before_tries_named_their_document_is_dropped(journal: Journal) -> None:
    journal.set_meta("tried t1", "Alder Mill opened in 1871.")
    journal.set_meta("base", "f1")
    with journal.transaction():
        journal._db.write("DROP TABLE tries")
        journal._db.write("DELETE FROM migrations WHERE name = 'm005_tries'")

    with Journal(journal.home) as later:
        assert (later.meta("tried t1"), later.meta("base"), later.tries.documents()) == (None, "f1", set())


def test_a_newer_or_damaged_file_is_refused_in_words(journal: Journal, tmp_path: Path) -> None:
    db = sqlite3.connect(journal.home / "seal.db")
    db.execute("INSERT INTO migrations VALUES ('m999_future', 0)")
    db.commit()
    with pytest.raises(SealError, match="newer seal_agent"):
        Journal(journal.home)

    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "seal.db").write_bytes(b"not a database, certainly not one" * 100)
    with pytest.raises(SealError, match="is damaged: file is not a database; put a copy in its place"):
        Journal(tmp_path / "bad")
    (tmp_path / "file").write_text("")
    with pytest.raises(SealError, match="cannot be a home"):
        Journal(tmp_path / "file")


def test_a_damaged_page_is_a_problem_to_read_not_an_error(journal: Journal) -> None:
    (page,) = journal._db.read("SELECT rootpage FROM sqlite_master WHERE name = 'edits'")[0]
    journal.close()
    file = journal.home / "seal.db"
    pages = bytearray(file.read_bytes())
    pages[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    file.write_bytes(pages)
    assert "put a copy in its place" in str(Journal(journal.home).verify())


def test_a_document_is_named_once_however_many_rows_come_of_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name hashes the text, and everybody waits for the journal meanwhile."""
    named: list[Document] = []
    real = Document.id.fget  # type: ignore[attr-defined] - a property

    def name(document: Document) -> str:
        named.append(document)
        return str(real(document))

    monkeypatch.setattr(Document, "id", property(name))
    counts = []
    for document, rows in ((MILL, 2), (LAMP, 60)):
        edits = [
            SelfEdit(document=document.id, style="s", origin="cut", prompt=f"{n}?", completion="x", fact="x", title="")
            for n in range(rows)
        ]
        named.clear()
        journal.record(document, Decision(action="edit", reason=""), edits, [])
        counts.append(len(named))
    assert counts[0] == counts[1]


def test_an_acknowledged_commit_is_a_durable_one(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """WAL with FULL, and an answer other than the one asked for is an error, not a shrug."""
    names = ("journal_mode", "synchronous", "foreign_keys")
    said = {name: journal._db.read(f"PRAGMA {name}")[0][0] for name in names}
    assert said == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}

    monkeypatch.setattr(schema, "PRAGMAS", (("journal_mode", "WAL", "memory"),))
    with pytest.raises(SealError, match="answered 'wal' to journal_mode"):
        Journal(journal.home)


def test_counts_are_what_status_shows(journal: Journal) -> None:
    learn(journal, MILL)
    consolidate(journal, "r1")
    learn(journal, LAMP)
    learn(journal, Document(text="known"), SKIP)
    learn(journal, Document(text="bad"), HOLD)

    assert journal.counts() == {
        "documents": {"total": 4, "edited": 2, "skipped": 1, "held": 1},
        "waiting": 1,
        "aside": 0,
        "live": 1,
        "versions": 1,
        "memories": 1,
    }


def test_importing_the_journal_loads_nothing_heavy() -> None:
    script = "import sys, seal_agent.journal; print({'torch', 'chromadb', 'numpy'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "set()"


# The lock


def test_a_second_holder_is_refused_by_name_and_admitted_after_release(tmp_path: Path) -> None:
    with HomeLock(tmp_path) as lock:
        assert lock.held
        with pytest.raises(HomeBusy, match=f"process {os.getpid()}"):
            HomeLock(tmp_path).acquire()
        with pytest.raises(HomeBusy):
            lock.acquire()
    with HomeLock(tmp_path):
        assert not lock.held


# Adapters


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    staged = adapters.stage(tmp_path / "adapters")
    (staged / "adapter_model.safetensors").write_bytes(b"weights")
    (staged / "adapter_config.json").write_text("{}")
    final = tmp_path / "adapters" / "a0123"
    adapters.seal(staged, final, fingerprint="base", parent="", run="r1", rows="rows")
    return final


def test_a_sealed_adapter_verifies_and_says_where_it_comes_from(sealed: Path) -> None:
    said = adapters.manifest(sealed)

    assert adapters.verify(sealed, adapters.digest(sealed)) == []
    assert (said.run, said.fingerprint) == ("r1", "base")
    assert set(said.files) == {"adapter_model.safetensors", "adapter_config.json"}
    assert [path.name for path in sealed.parent.iterdir()] == ["a0123"], "nothing staged is left"


def test_what_a_file_manager_leaves_in_an_adapter_is_no_damage(sealed: Path) -> None:
    (sealed / ".DS_Store").write_bytes(b"icons")

    assert adapters.verify(sealed) == []


def test_every_way_an_adapter_can_differ_is_named(sealed: Path) -> None:
    (sealed / "adapter_model.safetensors").write_bytes(b"weighty")
    (sealed / "adapter_config.json").unlink()
    (sealed / "adapter_model.bin").write_bytes(b"pickle")
    (sealed / "extra.txt").write_text("")
    (sealed / "link").symlink_to("/etc/hostname")
    (sealed / "folder").mkdir()

    problems = "\n".join(adapters.verify(sealed, "another digest"))

    for words in (
        "adapter_model.safetensors has changed",
        "adapter_config.json is missing",
        "adapter_model.bin is a pickle",
        "extra.txt is not in the manifest",
        "link is not a plain file",
        "folder is not a plain file",
        "not the one that was judged",
    ):
        assert words in problems


NOT_MANIFESTS = ["", "[]", "{}", '{"files": 3}', "\0", '{"files": {}, "more": 1}', "[" * 100_000]


@pytest.mark.parametrize("text", NOT_MANIFESTS, ids=range(len(NOT_MANIFESTS)))
def test_a_manifest_that_is_not_one_is_a_problem_and_no_crash(sealed: Path, text: str) -> None:
    (sealed / "manifest.json").write_text(text)
    assert len(adapters.verify(sealed)) == 1


def test_a_forged_name_in_a_manifest_is_not_followed(sealed: Path) -> None:
    said = json.loads((sealed / "manifest.json").read_text())
    said["files"]["../../secret"] = {"sha256": "", "size": 0}
    (sealed / "manifest.json").write_text(json.dumps(said))

    assert adapters.verify(sealed) == ["../../secret is missing"]


def test_no_adapter_is_no_crash(tmp_path: Path) -> None:
    assert "cannot be read" in adapters.verify(tmp_path / "nowhere")[0]


def test_who_cannot_look_now_has_no_damaged_adapter(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of file handles: it says so, and a moment later all is well."""

    def full(*given: object, **more: object) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", full)
        with pytest.raises(SealError, match=r"cannot be read now.*Too many open files"):
            adapters.verify(sealed)

    assert adapters.verify(sealed) == []


def test_a_full_disk_leaves_the_lock_with_who_took_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with HomeLock(tmp_path) as lock:
            assert lock.held

    with HomeLock(tmp_path) as lock:
        assert lock.held


def test_pickles_are_never_sealed_and_nothing_is_written_over(sealed: Path) -> None:
    staged = adapters.stage(sealed.parent)
    facts = {"fingerprint": "", "parent": "", "run": "r2", "rows": ""}
    with pytest.raises(SealError, match="never written over"):
        adapters.seal(staged, sealed, **facts)
    (staged / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(SealError, match="is a pickle"):
        adapters.seal(staged, sealed.parent / "a4567", **facts)


def test_an_adapter_that_does_not_read_back_as_written_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = adapters.stage(tmp_path / "adapters")
    (staged / "a.safetensors").write_bytes(b"weights")
    damage = (staged / "a.safetensors").write_text
    monkeypatch.setattr(adapters, "crashpoint", damage)

    with pytest.raises(SealError, match="safetensors has changed"):
        adapters.seal(staged, tmp_path / "adapters" / "a1", fingerprint="", parent="", run="r", rows="")
    assert not (tmp_path / "adapters" / "a1").exists()


def test_tidying_keeps_what_is_known_and_needs_the_lock(sealed: Path, tmp_path: Path) -> None:
    staged = adapters.stage(sealed.parent)
    with pytest.raises(SealError, match="only the holder"):
        adapters.tidy(sealed.parent, [], HomeLock(tmp_path))

    with HomeLock(tmp_path) as lock:
        assert adapters.tidy(sealed.parent, [str(sealed)], lock) == [staged.name]
        assert adapters.tidy(sealed.parent, [str(sealed)], lock) == []
        assert adapters.tidy(tmp_path / "nowhere", [], lock) == []
    assert adapters.verify(sealed) == []


def dump(journal: Journal) -> list[str]:
    with sqlite3.connect(journal.home / "seal.db") as db:
        return list(db.iterdump())
