-- +goose Up

-- One row for each key that somebody else signs with, by what evidence says.
CREATE TABLE incidents (
    kid            TEXT PRIMARY KEY,
    state          TEXT    NOT NULL,
    drill          INTEGER NOT NULL,
    held           INTEGER NOT NULL, -- the kill waits for a person
    automatic      INTEGER NOT NULL, -- nobody but the issuer gave up the key
    jti            TEXT    NOT NULL,
    level0         TEXT    NOT NULL,
    reporter       TEXT    NOT NULL,
    successor      TEXT    NOT NULL,
    tokens         INTEGER NOT NULL,
    entries        INTEGER NOT NULL,
    quarantine_seq INTEGER NOT NULL,
    kill_seq       INTEGER NOT NULL,
    found          INTEGER NOT NULL,
    seen           INTEGER NOT NULL,
    alarmed        INTEGER NOT NULL,
    quarantined    INTEGER NOT NULL,
    switched       INTEGER NOT NULL,
    drained        INTEGER NOT NULL,
    killed         INTEGER NOT NULL,
    closed         INTEGER NOT NULL,
    version        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The first forged tokens of each key, by hashes of what is signed.
CREATE TABLE forgeries (
    kid  TEXT    NOT NULL,
    hash BLOB    NOT NULL,
    jti  TEXT    NOT NULL,
    seq  INTEGER NOT NULL, -- of its entry in the log; 0: it has none
    at   INTEGER NOT NULL,
    PRIMARY KEY (kid, hash)
) STRICT, WITHOUT ROWID;

-- Alarms that the webhook has not taken yet.
CREATE TABLE alarms (
    id       TEXT PRIMARY KEY,
    kid      TEXT    NOT NULL,
    body     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    due      INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    error    TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Records whose tags the notary of a node made, as many as tokens may be alive:
-- whoever calls a token forged has to find these right.
CREATE TABLE probes (
    kid    TEXT    NOT NULL,
    node   TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    record BLOB    NOT NULL,
    PRIMARY KEY (kid, node, at)
) STRICT, WITHOUT ROWID;
