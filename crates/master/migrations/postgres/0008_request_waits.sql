-- What a request has waited for, and for how long.
ALTER TABLE request ADD COLUMN waits BYTEA;
