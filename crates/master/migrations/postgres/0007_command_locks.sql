-- What a command's build and step hold as long as it may run.
ALTER TABLE command ADD COLUMN locks BYTEA;
