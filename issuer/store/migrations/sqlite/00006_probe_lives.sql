-- +goose Up

-- When no token that was made at the time of a probe is accepted any more. Those of
-- before are of a token life of at most an hour, unless somebody had allowed more.
ALTER TABLE probes ADD COLUMN dies INTEGER NOT NULL DEFAULT 0;
UPDATE probes SET dies = at + 4260000;
