-- The first schema. `postgres/0001_first.sql` says the same; a test compares the two.
-- Times are µs since 1970. BLOB columns hold exact bytes or one value as MessagePack behind a
-- version byte. Rows refer to each other without foreign keys: what refers to what is decided
-- by the engine, whose memory on disk this is.

CREATE TABLE meta (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    incarnation INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    batch INTEGER NOT NULL
) STRICT;

CREATE TABLE revision (
    n INTEGER NOT NULL PRIMARY KEY,
    sha256 BLOB NOT NULL,
    files BLOB NOT NULL,
    loaded_us INTEGER NOT NULL
) STRICT;

CREATE TABLE counter (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE change (
    id INTEGER NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    principal TEXT NOT NULL,
    category TEXT,
    branch TEXT,
    revision TEXT,
    repository TEXT NOT NULL,
    project TEXT NOT NULL,
    codebase TEXT NOT NULL,
    author TEXT NOT NULL,
    author_bytes BLOB NOT NULL,
    comments TEXT NOT NULL,
    comments_bytes BLOB NOT NULL,
    files BLOB NOT NULL,
    properties BLOB NOT NULL,
    when_us INTEGER NOT NULL,
    accepted_us INTEGER NOT NULL,
    launch BLOB,
    holders INTEGER NOT NULL
) STRICT;
CREATE INDEX change_held ON change (id) WHERE holders > 0;

CREATE TABLE source_heads (
    source TEXT NOT NULL PRIMARY KEY,
    heads BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pending (
    scheduler TEXT NOT NULL,
    lane TEXT NOT NULL,
    changes BLOB NOT NULL,
    armed_us INTEGER NOT NULL,
    stable_us INTEGER NOT NULL,
    PRIMARY KEY (scheduler, lane)
) STRICT, WITHOUT ROWID;

CREATE TABLE submission_key (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    body INTEGER NOT NULL,
    change INTEGER NOT NULL,
    requests BLOB NOT NULL,
    schedulers BLOB NOT NULL,
    accepted_us INTEGER NOT NULL,
    is_retired INTEGER NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX submission_key_live ON submission_key (principal, key) WHERE is_retired = 0;

CREATE TABLE request (
    id INTEGER NOT NULL PRIMARY KEY,
    label TEXT NOT NULL,
    number INTEGER NOT NULL,
    builder TEXT NOT NULL,
    buildset INTEGER NOT NULL,
    change INTEGER NOT NULL,
    changes BLOB NOT NULL,
    owner TEXT NOT NULL,
    reason TEXT NOT NULL,
    priority INTEGER NOT NULL,
    submitted_us INTEGER NOT NULL,
    on_disconnect TEXT NOT NULL,
    build INTEGER,
    result TEXT,
    result_reason TEXT,
    exit_code INTEGER,
    ended_us INTEGER
) STRICT;
CREATE UNIQUE INDEX request_name ON request (label, number);
CREATE INDEX request_live ON request (id) WHERE ended_us IS NULL;

CREATE TABLE build (
    id INTEGER NOT NULL PRIMARY KEY,
    request INTEGER NOT NULL,
    label TEXT NOT NULL,
    number INTEGER NOT NULL,
    rerun INTEGER NOT NULL,
    builder TEXT NOT NULL,
    worker TEXT NOT NULL,
    slot INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    plan BLOB NOT NULL,
    steps BLOB NOT NULL,
    started_us INTEGER NOT NULL,
    stop_reason TEXT,
    result TEXT,
    ended_us INTEGER
) STRICT;
CREATE UNIQUE INDEX build_name ON build (label, number, rerun);
CREATE INDEX build_builder ON build (builder, id);
CREATE INDEX build_live ON build (id) WHERE ended_us IS NULL;

CREATE TABLE command (
    id TEXT NOT NULL PRIMARY KEY,
    build INTEGER NOT NULL,
    step INTEGER NOT NULL,
    part INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    worker TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    spool_id TEXT NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT,
    state_detail BLOB NOT NULL,
    assigned_us INTEGER NOT NULL,
    began_us INTEGER,
    ended_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX command_part ON command (build, part);
CREATE INDEX command_live ON command (id) WHERE state <> 'sealed';

CREATE TABLE log (
    command TEXT NOT NULL PRIMARY KEY,
    record_bytes INTEGER NOT NULL,
    sealed_path TEXT NOT NULL,
    sealed_bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    out_bytes INTEGER NOT NULL,
    err_bytes INTEGER NOT NULL,
    out_lines INTEGER NOT NULL,
    err_lines INTEGER NOT NULL,
    sealed_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
