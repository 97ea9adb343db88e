-- +goose Up

-- Over what a row says, by the issuer that wrote it. Rows of before have none until
-- the issuer has looked at them.
ALTER TABLE keys ADD COLUMN mac BLOB;
