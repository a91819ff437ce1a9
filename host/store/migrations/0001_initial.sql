-- Columns named sealed_* hold what only the key beside the database opens.

-- One row: who this host is among those that share an engine.
CREATE TABLE host (
    id TEXT NOT NULL
) STRICT;

INSERT INTO host (id) VALUES (lower(hex(randomblob(16))));

CREATE TABLE apps (
    name            TEXT PRIMARY KEY,
    subnet          TEXT NOT NULL UNIQUE,
    sealed_manifest BLOB,              -- the spec as the last applied manifest gave it
    sealed_spec     BLOB,              -- the spec with what was set by hand
    sealed_request  BLOB,              -- the request of the current release
    release         INTEGER,           -- number of the current release
    stopped         TEXT NOT NULL DEFAULT '[]',
    reloads         TEXT NOT NULL DEFAULT '[]',
    last_error      TEXT,
    notes           TEXT NOT NULL DEFAULT '[]'
) STRICT;

CREATE TABLE releases (
    app              TEXT NOT NULL,
    number           INTEGER NOT NULL,
    created_ms       INTEGER NOT NULL,
    source           TEXT NOT NULL,
    sealed_blueprint BLOB NOT NULL,
    PRIMARY KEY (app, number)
) STRICT;

-- Secrets outlive their app for as long as its volumes are kept: a database in a
-- volume knows only the password that it was made with. Every revision is kept that
-- the current release may still need: what it is mended with is what it was made with.
CREATE TABLE secrets (
    app          TEXT NOT NULL,
    name         TEXT NOT NULL,
    revision     INTEGER NOT NULL,
    sealed_value BLOB NOT NULL,
    PRIMARY KEY (app, name, revision)
) STRICT;

CREATE TABLE builds (
    app    TEXT NOT NULL,
    source TEXT NOT NULL,
    image  TEXT NOT NULL,
    ports  TEXT NOT NULL,
    PRIMARY KEY (app, source)
) STRICT;

CREATE TABLE blobs (
    digest         TEXT PRIMARY KEY,
    sealed_content BLOB NOT NULL
) STRICT;

CREATE TABLE operations (
    id             TEXT PRIMARY KEY,
    app            TEXT NOT NULL,
    kind           TEXT NOT NULL,
    state          TEXT NOT NULL,
    started_ms     INTEGER NOT NULL,
    ended_ms       INTEGER,
    sealed_request BLOB NOT NULL
) STRICT;

CREATE INDEX operations_by_app ON operations (app, started_ms);
CREATE INDEX operations_by_state ON operations (state);

CREATE TABLE operation_events (
    operation TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    number    INTEGER NOT NULL,
    event     TEXT NOT NULL,
    PRIMARY KEY (operation, number)
) STRICT, WITHOUT ROWID;
