-- A command that was given up keeps its build's place after the build has ended.
ALTER TABLE command ADD COLUMN slot BIGINT NOT NULL DEFAULT 0;
UPDATE command SET slot = COALESCE((SELECT slot FROM build WHERE build.id = command.build), 0);
