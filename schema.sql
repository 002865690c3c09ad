-- The tables of the ledger, the only place where they are declared.
-- Version 3 (PRAGMA user_version). A store of an older version is upgraded by the frozen statements under
-- src/ledger/upgrades/. Names of objects are 32-byte BLAKE3 values; times are RFC 3339 text in UTC.

-- Settings of the store: `head` (the current ref), `catalogue` (a folder) and what `ckstore config` sets.
CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Packs under packs/. The number keeps the rows of `objects` small.
CREATE TABLE packs (
    number INTEGER PRIMARY KEY,
    name   BLOB NOT NULL UNIQUE CHECK (length(name) = 32),
    bytes  INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT;

-- Where each stored record lies. Can be rebuilt from the packs.
CREATE TABLE objects (
    name         BLOB PRIMARY KEY CHECK (length(name) = 32),
    pack         INTEGER NOT NULL REFERENCES packs (number),
    offset       INTEGER NOT NULL CHECK (offset >= 0),
    stored_bytes INTEGER NOT NULL CHECK (stored_bytes >= 0),
    raw_bytes    INTEGER NOT NULL CHECK (raw_bytes >= 0),
    codec        INTEGER NOT NULL CHECK (codec BETWEEN 0 AND 255)
) STRICT, WITHOUT ROWID;

CREATE INDEX objects_by_pack ON objects (pack);

-- Revisions: the body is the stored object's text, kept here so that `log`, `status` and `plan` read no pack.
-- `turn` is the nearest revision, itself or one that it continues, that has steps or another list of migrations
-- than the one before it: where its migrations came from is found in as many rows as there were turns.
CREATE TABLE revisions (
    number  INTEGER PRIMARY KEY,
    name    BLOB NOT NULL UNIQUE CHECK (length(name) = 32),
    tree    BLOB NOT NULL CHECK (length(tree) = 32),
    created TEXT NOT NULL,
    body    TEXT NOT NULL,
    turn    BLOB CHECK (length(turn) = 32)
) STRICT;

CREATE INDEX revisions_by_tree ON revisions (tree);

CREATE TABLE revision_parents (
    revision BLOB NOT NULL REFERENCES revisions (name),
    position INTEGER NOT NULL CHECK (position >= 0),
    parent   BLOB NOT NULL REFERENCES revisions (name),
    PRIMARY KEY (revision, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX revision_parents_by_parent ON revision_parents (parent);

-- Names of revisions. A tag stays where it is; a branch moves.
CREATE TABLE refs (
    name      TEXT PRIMARY KEY,
    kind      TEXT NOT NULL CHECK (kind IN ('branch', 'tag')),
    revision  BLOB NOT NULL REFERENCES revisions (name),
    catalogue TEXT,
    updated   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX refs_by_revision ON refs (revision);

-- Every move of a ref. A revision named here is kept by gc.
CREATE TABLE ref_log (
    seq          INTEGER PRIMARY KEY,
    ref          TEXT NOT NULL,
    old_revision BLOB REFERENCES revisions (name),
    new_revision BLOB REFERENCES revisions (name),
    operation    TEXT NOT NULL,
    at           TEXT NOT NULL,
    actor        TEXT NOT NULL
) STRICT;

CREATE INDEX ref_log_by_ref ON ref_log (ref);

-- The file that a ref was imported from or checked out to, as it was then.
CREATE TABLE working_files (
    ref          TEXT PRIMARY KEY REFERENCES refs (name) ON DELETE CASCADE,
    path         TEXT NOT NULL,
    revision     BLOB NOT NULL REFERENCES revisions (name),
    bytes        INTEGER NOT NULL,
    modified_ns  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX working_files_by_path ON working_files (path);

-- The ledger itself: one row for each thing done to a checkpoint. Rows are only ever added, and each holds
-- the hash of the one before, so a row that was changed, removed or slipped in breaks the chain.
CREATE TABLE steps (
    seq           INTEGER PRIMARY KEY,
    ref           TEXT NOT NULL,
    revision      BLOB REFERENCES revisions (name),
    kind          TEXT NOT NULL CHECK (kind IN ('register', 'migrate', 'rollback', 'baseline', 'redo', 'skip')),
    migration     TEXT NOT NULL,
    version       TEXT,
    group_number  INTEGER,
    digest        BLOB CHECK (length(digest) = 32),
    script        BLOB CHECK (length(script) = 32),
    method        TEXT CHECK (method IN ('run', 'restore', 'merge', 'script')),
    input_tree    BLOB NOT NULL CHECK (length(input_tree) = 32),
    output_tree   BLOB NOT NULL CHECK (length(output_tree) = 32),
    change_record BLOB CHECK (length(change_record) = 32),
    engine        TEXT,
    started       TEXT NOT NULL,
    finished      TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('done', 'failed')),
    error         TEXT,
    actor         TEXT NOT NULL,
    previous_hash BLOB NOT NULL CHECK (length(previous_hash) = 32),
    hash          BLOB NOT NULL UNIQUE CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX steps_by_ref ON steps (ref);
CREATE INDEX steps_by_migration ON steps (migration, kind, status);

CREATE TRIGGER steps_are_never_changed BEFORE UPDATE ON steps
BEGIN
    SELECT RAISE(ABORT, 'rows of the ledger are never changed');
END;

CREATE TRIGGER steps_are_never_removed BEFORE DELETE ON steps
BEGIN
    SELECT RAISE(ABORT, 'rows of the ledger are never removed');
END;

-- Compatibility groups as a catalogue declared them when it was last used: group 0 has no opening migration.
CREATE TABLE groups (
    catalogue TEXT NOT NULL,
    number    INTEGER NOT NULL CHECK (number >= 0),
    opened_by TEXT,
    version   TEXT,
    recorded  TEXT NOT NULL,
    PRIMARY KEY (catalogue, number)
) STRICT, WITHOUT ROWID;

-- Results of runs: the same input tree, digest, entry point and engine give the same output.
CREATE TABLE memo (
    input_tree    BLOB NOT NULL CHECK (length(input_tree) = 32),
    digest        BLOB NOT NULL CHECK (length(digest) = 32),
    entry         TEXT NOT NULL,
    engine        TEXT NOT NULL,
    output_tree   BLOB NOT NULL CHECK (length(output_tree) = 32),
    change_record BLOB NOT NULL CHECK (length(change_record) = 32),
    PRIMARY KEY (input_tree, digest, entry, engine)
) STRICT, WITHOUT ROWID;

-- Trees that were read and hold no list of migrations under this key.
CREATE TABLE unlisted (
    tree BLOB NOT NULL CHECK (length(tree) = 32),
    key  TEXT NOT NULL,
    PRIMARY KEY (tree, key)
) STRICT, WITHOUT ROWID;
