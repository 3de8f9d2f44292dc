-- The engine no longer holds keys, so none is let go of.
DROP INDEX submission_key_live;
ALTER TABLE submission_key DROP COLUMN is_retired;
