-- Who asked for a request, whether its builder merges what asks for the same, and into what it was.
ALTER TABLE request ADD COLUMN scheduler TEXT;
ALTER TABLE request ADD COLUMN collapses BIGINT NOT NULL DEFAULT 0;
ALTER TABLE request ADD COLUMN merged_into BIGINT;
