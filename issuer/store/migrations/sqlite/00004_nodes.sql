-- +goose Up

-- What each process that shares a database has heard from verifiers. One process
-- owns this one, and nothing is written here.
CREATE TABLE nodes (
    id      TEXT PRIMARY KEY,
    heard   TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    waits   INTEGER NOT NULL, -- somebody there waits until then for what others hear
    version INTEGER NOT NULL
) STRICT;
