-- +goose Up

-- What proven forged tokens said of themselves, as many of each key as a person can
-- read. A thief chose all of it.
CREATE TABLE traces (
    kid  TEXT    NOT NULL,
    hash BLOB    NOT NULL,
    at   INTEGER NOT NULL,
    says TEXT    NOT NULL,
    PRIMARY KEY (kid, hash)
) STRICT, WITHOUT ROWID;

-- Who has shown them.
CREATE TABLE sightings (
    kid      TEXT    NOT NULL,
    hash     BLOB    NOT NULL,
    reporter TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (kid, hash, reporter)
) STRICT, WITHOUT ROWID;
