-- +goose Up

-- Times are Unix milliseconds, 0 for "never". Handles are unsigned 64-bit
-- numbers kept in signed columns.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- One row. Whoever appends to the log locks it last and holds it to the commit,
-- so that seq is commit order.
CREATE TABLE log_head (
    id        SMALLINT PRIMARY KEY CHECK (id = 1),
    epoch     BIGINT NOT NULL,
    base      BIGINT NOT NULL,
    seq       BIGINT NOT NULL,
    c         BYTEA    NOT NULL,
    low_water BIGINT NOT NULL,
    low_c     BYTEA    NOT NULL -- chain after the entry low_water
) WITH (fillfactor = 10);

CREATE TABLE log (
    seq     BIGINT PRIMARY KEY,
    epoch   BIGINT NOT NULL,
    kind    BIGINT NOT NULL,
    flags   BIGINT NOT NULL,
    handle  BIGINT NOT NULL,
    c       BYTEA    NOT NULL,
    at      BIGINT NOT NULL,
    session TEXT    NOT NULL -- of a token entry, so that they can be counted
);
CREATE INDEX log_session ON log (session) WHERE session <> '';
CREATE INDEX log_token ON log (handle) WHERE kind = 1;

-- The seq of the last entry about a user, device, client, tenant or everything:
-- a grant born below it is worth nothing. Rows outlive what they are about, so
-- that a name used again does not bring old grants back.
CREATE TABLE valid_from (
    kind  BIGINT NOT NULL,
    value TEXT    NOT NULL,
    seq   BIGINT NOT NULL,
    PRIMARY KEY (kind, value)
);

CREATE TABLE users (
    id       TEXT PRIMARY KEY,
    name     TEXT    NOT NULL UNIQUE,
    password TEXT    NOT NULL,
    tenant   TEXT    NOT NULL,
    roles    TEXT    NOT NULL,
    claims   TEXT    NOT NULL,
    disabled BIGINT NOT NULL,
    version  BIGINT NOT NULL,
    created  BIGINT NOT NULL
);

CREATE TABLE clients (
    id       TEXT PRIMARY KEY,
    kind     TEXT    NOT NULL,
    secret   BYTEA,
    disabled BIGINT NOT NULL,
    created  BIGINT NOT NULL
);

CREATE TABLE sessions (
    id          TEXT PRIMARY KEY,
    user_id     TEXT    NOT NULL,
    client_id   TEXT    NOT NULL,
    tenant      TEXT    NOT NULL,
    device      TEXT    NOT NULL,
    audience    TEXT    NOT NULL,
    scope       TEXT    NOT NULL,
    born        BIGINT NOT NULL,
    auth_time   BIGINT NOT NULL,
    created     BIGINT NOT NULL,
    expires     BIGINT NOT NULL,
    rotated_at  BIGINT NOT NULL,
    counter     BIGINT NOT NULL,
    epoch       BIGINT NOT NULL,
    secret_hash BYTEA    NOT NULL,
    holder      BYTEA    NOT NULL,
    revoked_seq BIGINT NOT NULL
) WITH (fillfactor = 70); -- a refresh rewrites its row on the same page
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE keys (
    kid        TEXT PRIMARY KEY,
    use        TEXT    NOT NULL,
    alg        TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    sealed     TEXT    NOT NULL,
    public     BYTEA,
    published  BIGINT NOT NULL,
    activated  BIGINT NOT NULL,
    retired    BIGINT NOT NULL,
    version    BIGINT NOT NULL
);
CREATE UNIQUE INDEX keys_one_active ON keys (use, alg) WHERE state = 'active';

CREATE TABLE secrets (
    name    TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    sealed  TEXT    NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (name, id)
);

CREATE TABLE audit (
    n       BIGINT PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    hash    BYTEA    NOT NULL
);

CREATE TABLE audit_head (
    id   SMALLINT PRIMARY KEY CHECK (id = 1),
    n    BIGINT NOT NULL,
    hash BYTEA    NOT NULL
) WITH (fillfactor = 10);
INSERT INTO audit_head (id, n, hash) VALUES (1, 0, decode(repeat('00', 32), 'hex'));
