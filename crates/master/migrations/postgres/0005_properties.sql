-- What a request's scheduler or app gives its build, and what a build's steps have set.
ALTER TABLE request ADD COLUMN properties BYTEA;
ALTER TABLE build ADD COLUMN properties BYTEA;
