-- +goose Up

-- What proven forged tokens said of themselves, as many of each key as a person can
-- read. A thief chose all of it.
CREATE TABLE traces (
    kid  TEXT    NOT NULL,
    hash BYTEA   NOT NULL,
    at   BIGINT  NOT NULL,
    says TEXT    NOT NULL,
    PRIMARY KEY (kid, hash)
);

-- Who has shown them.
CREATE TABLE sightings (
    kid      TEXT    NOT NULL,
    hash     BYTEA   NOT NULL,
    reporter TEXT    NOT NULL,
    at       BIGINT  NOT NULL,
    PRIMARY KEY (kid, hash, reporter)
);
