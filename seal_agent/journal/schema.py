"""
The tables of seal.db, how the file is opened, and how an older one becomes a newer one.

Promises: every pragma's answer was read back and is what was asked for; each migration runs once, whole or
not at all, and is recorded by name; a file from a newer program is refused, not guessed at.
Does not promise: a way back to an older schema.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from seal_agent.errors import SealError
from seal_agent.journal.crash import crashpoint

PRAGMAS: tuple[tuple[str, str, str | int], ...] = (
    ("busy_timeout", "10000", 10000),  # ms
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", 2),  # NORMAL may lose an acknowledged commit when the power goes
    ("foreign_keys", "ON", 1),
    ("secure_delete", "ON", 1),  # what is forgotten is overwritten, not only unlinked
)
"""(name, what is set, what must be read back)"""

M001_FIRST = """
CREATE TABLE documents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL,
    title TEXT NOT NULL,
    source TEXT NOT NULL,
    external_id TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('edit', 'skip', 'hold')),
    decision TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('edited', 'skipped', 'held', 'released', 'superseded')),
    arrived REAL NOT NULL
);

-- Who said a text, under which name. A name says one text at a time: its row moves on when the text changes.
CREATE TABLE attestations (
    document TEXT NOT NULL REFERENCES documents (id),
    source TEXT NOT NULL,
    external_id TEXT NOT NULL,
    PRIMARY KEY (document, source, external_id)
) WITHOUT ROWID;
CREATE INDEX attestations_by_name ON attestations (source, external_id);

-- The fence is the row's number: strictly increasing for ever, so a run that lost its turn can be told apart.
CREATE TABLE runs (
    fence INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'released')),
    started REAL NOT NULL
);

CREATE TABLE edits (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL REFERENCES documents (id),
    body TEXT NOT NULL,
    reserved INTEGER NOT NULL CHECK (reserved IN (0, 1)),
    state TEXT NOT NULL
        CHECK (state IN ('waiting', 'claimed', 'learned', 'aside', 'refused', 'reserved', 'superseded')),
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,  -- verdicts against it
    failures INTEGER NOT NULL DEFAULT 0,  -- trainings that broke
    fence INTEGER REFERENCES runs (fence),
    arrived REAL NOT NULL,
    CHECK ((state = 'claimed') = (fence IS NOT NULL))
);
CREATE INDEX edits_by_state ON edits (state, seq);
CREATE INDEX edits_by_document ON edits (document);
CREATE TRIGGER edits_move BEFORE UPDATE OF state ON edits
WHEN OLD.state || '>' || NEW.state NOT IN (
    'waiting>claimed', 'waiting>superseded', 'claimed>learned', 'claimed>waiting', 'claimed>aside',
    'claimed>superseded', 'aside>superseded', 'reserved>superseded',
    'superseded>waiting', 'superseded>reserved'
)
BEGIN SELECT RAISE(ABORT, 'an edit cannot move between these states'); END;

-- What a run trained on. Kept apart from edits.state, which moves on: this is the lineage of versions.
CREATE TABLE lessons (
    fence INTEGER NOT NULL REFERENCES runs (fence),
    edit TEXT NOT NULL,
    document TEXT NOT NULL REFERENCES documents (id),
    PRIMARY KEY (fence, edit)
) WITHOUT ROWID;
CREATE INDEX lessons_by_document ON lessons (document);

-- Version 0, the untouched base, has no row: it is live when no row is. A number is never used twice.
CREATE TABLE versions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    parent INTEGER NOT NULL CHECK (parent >= 0 AND parent < number),
    status TEXT NOT NULL CHECK (status IN ('live', 'retired', 'rejected', 'undecided', 'broken')),
    created TEXT NOT NULL,
    digest TEXT NOT NULL,
    path TEXT NOT NULL,
    report TEXT NOT NULL,
    training TEXT NOT NULL,
    fence INTEGER NOT NULL UNIQUE REFERENCES runs (fence)
);
CREATE UNIQUE INDEX versions_one_live ON versions (status) WHERE status = 'live';
CREATE TRIGGER versions_move BEFORE UPDATE OF status ON versions
WHEN OLD.status || '>' || NEW.status NOT IN (
    'live>retired', 'retired>live', 'live>broken', 'retired>broken', 'rejected>broken', 'undecided>broken'
)
BEGIN SELECT RAISE(ABORT, 'a version cannot move between these states'); END;

-- One row for each version that learned it: after a rollback another line may learn the same thing again.
CREATE TABLE memories (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('learned', 'general')),
    prompt TEXT NOT NULL,
    completion TEXT NOT NULL,
    document TEXT REFERENCES documents (id),
    title TEXT NOT NULL,
    vector BLOB,
    embedder TEXT NOT NULL,
    UNIQUE (id, version)
);
CREATE INDEX memories_by_document ON memories (document);

CREATE TABLE checks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('fact', 'general', 'user')),
    question TEXT NOT NULL,
    gold TEXT NOT NULL,
    answer TEXT NOT NULL DEFAULT '',
    document TEXT REFERENCES documents (id)
);
CREATE UNIQUE INDEX checks_once ON checks (id, ifnull(document, ''));
CREATE INDEX checks_by_document ON checks (document);

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    created TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_last BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;

-- The live version, its parent, and so on to the base.
CREATE VIEW ancestry AS
WITH RECURSIVE line (number) AS (
    SELECT ifnull((SELECT number FROM versions WHERE status = 'live'), 0)
    UNION
    SELECT versions.parent FROM versions JOIN line USING (number)
)
SELECT number FROM line;

CREATE VIEW learned AS
SELECT DISTINCT lessons.document FROM lessons JOIN versions USING (fence) JOIN ancestry USING (number);

-- Superseding hides instead of deleting: a source that takes its change back gets its old lesson back.
CREATE VIEW current_documents AS SELECT * FROM documents WHERE state != 'superseded';

CREATE VIEW current_memories AS
SELECT * FROM memories WHERE seq IN (
    SELECT min(seq) FROM memories
    WHERE (kind = 'general' OR version IN (SELECT number FROM ancestry))
        AND (document IS NULL OR document IN (SELECT id FROM current_documents))
    GROUP BY id
);

CREATE VIEW current_checks AS
SELECT * FROM checks WHERE document IS NULL OR document IN (SELECT id FROM current_documents);
"""

M002_CALLS = """
-- What was asked of the home, in order, and the state it stood in: enough to live through it again without a document.
-- target: the version a consolidation made, or a rollback was to return to.
CREATE TABLE calls (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('observe', 'attest', 'release', 'consolidate', 'rollback')),
    document TEXT,
    source TEXT,
    external_id TEXT,
    target INTEGER,
    state TEXT NOT NULL
);
"""

M003_AGAIN = """
-- What a restored document taught, and another text has taught otherwise since, waits once more.
DROP TRIGGER edits_move;
CREATE TRIGGER edits_move BEFORE UPDATE OF state ON edits
WHEN OLD.state || '>' || NEW.state NOT IN (
    'waiting>claimed', 'waiting>superseded', 'claimed>learned', 'claimed>waiting', 'claimed>aside',
    'claimed>superseded', 'aside>superseded', 'reserved>superseded',
    'superseded>waiting', 'superseded>reserved', 'learned>waiting'
)
BEGIN SELECT RAISE(ABORT, 'an edit cannot move between these states'); END;
CREATE INDEX calls_by_name ON calls (source, external_id);
"""

M004_SHORT = """
-- The short answer that stands before the sentence. What was learned earlier has none.
ALTER TABLE memories ADD COLUMN gold TEXT NOT NULL DEFAULT '';
"""

M005_TRIES = """
-- What practising tried, and of which document. What was kept before names none and is not found again.
CREATE TABLE tries (key TEXT PRIMARY KEY, document TEXT NOT NULL, said TEXT NOT NULL) WITHOUT ROWID;
DELETE FROM meta WHERE key GLOB 'tried *' OR key GLOB 'menu *';
"""

M006_FENCED = """
-- The rows of a run are few among all.
CREATE INDEX edits_by_fence ON edits (fence) WHERE fence IS NOT NULL;
"""

M007_HIDDEN = """
-- What is superseded is asked for with every question; the text stands before the state, and all of it would be read.
CREATE INDEX documents_superseded ON documents (id) WHERE state = 'superseded';
"""

M008_AGAIN = """
-- A check that came of another text's, when a change was taken back, is no part of what was written of its document.
ALTER TABLE checks ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
"""

MIGRATIONS: dict[str, str] = {
    "m001_first": M001_FIRST,
    "m002_calls": M002_CALLS,
    "m003_again": M003_AGAIN,
    "m004_short": M004_SHORT,
    "m005_tries": M005_TRIES,
    "m006_fenced": M006_FENCED,
    "m007_hidden": M007_HIDDEN,
    "m008_again": M008_AGAIN,
}
"""Name -> script, in order. A released script is never edited; the next change gets the next name."""


def connect(file: Path) -> sqlite3.Connection:
    """The journal's connection: pragmas set and read back, all migrations applied."""
    db = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=10.0)
    try:
        for pragma in PRAGMAS:
            _ask(db, file, *pragma)
        _migrate(db, file)
    except BaseException:
        db.close()
        raise
    return db


def _ask(db: sqlite3.Connection, file: Path, name: str, value: str, expected: str | int) -> None:
    # SQLite reports a pragma it could not honour by answering with another value, not with an error.
    _patient(db, f"PRAGMA {name} = {value}")
    answer = db.execute(f"PRAGMA {name}").fetchone()[0]
    if answer != expected:
        raise SealError(f"{file}: SQLite answered {answer!r} to {name} = {value}; is the disk read-only?")


def _patient(db: sqlite3.Connection, statement: str) -> None:
    # Of several who open a new file, SQLite lets one switch to WAL and fails the others at once, whatever busy_timeout says.
    deadline = time.monotonic() + 10.0
    while True:
        try:
            db.execute(statement).fetchall()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _migrate(db: sqlite3.Connection, file: Path) -> None:
    if _applied(db) == list(MIGRATIONS):
        return  # the usual case writes nothing, so a reader never waits for a writer
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied REAL NOT NULL)")
        applied = _applied(db)  # again, now that nobody else can be migrating
        if unknown := [name for name in applied if name not in MIGRATIONS]:
            raise SealError(f"{file} was written by a newer seal_agent ({', '.join(unknown)}); update it")
        for name in MIGRATIONS:
            if name not in applied:
                _run(db, MIGRATIONS[name])
                db.execute("INSERT INTO migrations VALUES (?, ?)", (name, time.time()))
                crashpoint("open.migrating")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    crashpoint("open.migrated")


def _applied(db: sqlite3.Connection) -> list[str]:
    known = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone()
    return [row[0] for row in db.execute("SELECT name FROM migrations ORDER BY name")] if known else []


def _run(db: sqlite3.Connection, script: str) -> None:
    """Run *script* inside the open transaction (`executescript` would commit it first)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""
