-- +goose Up

-- Times are Unix milliseconds, 0 for "never". Handles are unsigned 64-bit
-- numbers kept in signed columns.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row. Whoever appends to the log locks it last and holds it to the commit,
-- so that seq is commit order.
CREATE TABLE log_head (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    epoch     INTEGER NOT NULL,
    base      INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    c         BLOB    NOT NULL,
    low_water INTEGER NOT NULL,
    low_c     BLOB    NOT NULL -- chain after the entry low_water
) STRICT;

CREATE TABLE log (
    seq     INTEGER PRIMARY KEY,
    epoch   INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    flags   INTEGER NOT NULL,
    handle  INTEGER NOT NULL,
    c       BLOB    NOT NULL,
    at      INTEGER NOT NULL,
    session TEXT    NOT NULL -- of a token entry, so that they can be counted
) STRICT;
CREATE INDEX log_session ON log (session) WHERE session <> '';
CREATE INDEX log_token ON log (handle) WHERE kind = 1;

-- The seq of the last entry about a user, device, client, tenant or everything:
-- a grant born below it is worth nothing. Rows outlive what they are about, so
-- that a name used again does not bring old grants back.
CREATE TABLE valid_from (
    kind  INTEGER NOT NULL,
    value TEXT    NOT NULL,
    seq   INTEGER NOT NULL,
    PRIMARY KEY (kind, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id       TEXT PRIMARY KEY,
    name     TEXT    NOT NULL UNIQUE,
    password TEXT    NOT NULL,
    tenant   TEXT    NOT NULL,
    roles    TEXT    NOT NULL,
    claims   TEXT    NOT NULL,
    disabled INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    created  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE clients (
    id       TEXT PRIMARY KEY,
    kind     TEXT    NOT NULL,
    secret   BLOB,
    disabled INTEGER NOT NULL,
    created  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id          TEXT PRIMARY KEY,
    user_id     TEXT    NOT NULL,
    client_id   TEXT    NOT NULL,
    tenant      TEXT    NOT NULL,
    device      TEXT    NOT NULL,
    audience    TEXT    NOT NULL,
    scope       TEXT    NOT NULL,
    born        INTEGER NOT NULL,
    auth_time   INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    rotated_at  INTEGER NOT NULL,
    counter     INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    secret_hash BLOB    NOT NULL,
    holder      BLOB    NOT NULL,
    revoked_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE keys (
    kid        TEXT PRIMARY KEY,
    use        TEXT    NOT NULL,
    alg        TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    sealed     TEXT    NOT NULL,
    public     BLOB,
    published  INTEGER NOT NULL,
    activated  INTEGER NOT NULL,
    retired    INTEGER NOT NULL,
    version    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX keys_one_active ON keys (use, alg) WHERE state = 'active';

CREATE TABLE secrets (
    name    TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    sealed  TEXT    NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (name, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    n       INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    hash    BLOB    NOT NULL
) STRICT;

CREATE TABLE audit_head (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    n    INTEGER NOT NULL,
    hash BLOB    NOT NULL
) STRICT;
INSERT INTO audit_head (id, n, hash) VALUES (1, 0, zeroblob(32));
