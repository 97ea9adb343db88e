-- +goose Up

-- What each process that shares this database has heard from verifiers. It is
-- written over once a second, and worth nothing after the longest token life.
CREATE TABLE nodes (
    id      TEXT PRIMARY KEY,
    heard   TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    waits   BIGINT NOT NULL, -- somebody there waits until then for what others hear
    version BIGINT NOT NULL
) WITH (fillfactor = 50); -- rewritten in place
