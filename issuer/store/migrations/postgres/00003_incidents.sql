-- +goose Up

-- One row for each key that somebody else signs with, by what evidence says.
CREATE TABLE incidents (
    kid            TEXT PRIMARY KEY,
    state          TEXT    NOT NULL,
    drill          BIGINT  NOT NULL,
    held           BIGINT  NOT NULL, -- the kill waits for a person
    automatic      BIGINT  NOT NULL, -- nobody but the issuer gave up the key
    jti            TEXT    NOT NULL,
    level0         TEXT    NOT NULL,
    reporter       TEXT    NOT NULL,
    successor      TEXT    NOT NULL,
    tokens         BIGINT  NOT NULL,
    entries        BIGINT  NOT NULL,
    quarantine_seq BIGINT  NOT NULL,
    kill_seq       BIGINT  NOT NULL,
    found          BIGINT  NOT NULL,
    seen           BIGINT  NOT NULL,
    alarmed        BIGINT  NOT NULL,
    quarantined    BIGINT  NOT NULL,
    switched       BIGINT  NOT NULL,
    drained        BIGINT  NOT NULL,
    killed         BIGINT  NOT NULL,
    closed         BIGINT  NOT NULL,
    version        BIGINT  NOT NULL
);

-- The first forged tokens of each key, by hashes of what is signed.
CREATE TABLE forgeries (
    kid  TEXT    NOT NULL,
    hash BYTEA   NOT NULL,
    jti  TEXT    NOT NULL,
    seq  BIGINT  NOT NULL, -- of its entry in the log; 0: it has none
    at   BIGINT  NOT NULL,
    PRIMARY KEY (kid, hash)
);

-- Alarms that the webhook has not taken yet.
CREATE TABLE alarms (
    id       TEXT PRIMARY KEY,
    kid      TEXT    NOT NULL,
    body     TEXT    NOT NULL,
    at       BIGINT  NOT NULL,
    due      BIGINT  NOT NULL,
    attempts BIGINT  NOT NULL,
    error    TEXT    NOT NULL
);

-- Records whose tags the notary of a node made, as many as tokens may be alive:
-- whoever calls a token forged has to find these right.
CREATE TABLE probes (
    kid    TEXT    NOT NULL,
    node   TEXT    NOT NULL,
    at     BIGINT  NOT NULL,
    record BYTEA   NOT NULL,
    PRIMARY KEY (kid, node, at)
);
