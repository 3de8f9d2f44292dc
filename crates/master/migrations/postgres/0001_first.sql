-- The first schema. `sqlite/0001_first.sql` says the same; a test compares the two.
-- Times are µs since 1970. BYTEA columns hold exact bytes or one value as MessagePack behind a
-- version byte. Rows refer to each other without foreign keys: what refers to what is decided
-- by the engine, whose memory on disk this is. Texts in keys compare by bytes, as in SQLite.

CREATE TABLE meta (
    one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    incarnation BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    batch BIGINT NOT NULL
);

CREATE TABLE revision (
    n BIGINT NOT NULL PRIMARY KEY,
    sha256 BYTEA NOT NULL,
    files BYTEA NOT NULL,
    loaded_us BIGINT NOT NULL
);

CREATE TABLE counter (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE change (
    id BIGINT NOT NULL PRIMARY KEY,
    source TEXT COLLATE "C" NOT NULL,
    principal TEXT COLLATE "C" NOT NULL,
    category TEXT,
    branch TEXT,
    revision TEXT,
    repository TEXT NOT NULL,
    project TEXT NOT NULL,
    codebase TEXT NOT NULL,
    author TEXT NOT NULL,
    author_bytes BYTEA NOT NULL,
    comments TEXT NOT NULL,
    comments_bytes BYTEA NOT NULL,
    files BYTEA NOT NULL,
    properties BYTEA NOT NULL,
    when_us BIGINT NOT NULL,
    accepted_us BIGINT NOT NULL,
    launch BYTEA,
    holders BIGINT NOT NULL
);
CREATE INDEX change_held ON change (id) WHERE holders > 0;

CREATE TABLE source_heads (
    source TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    heads BYTEA NOT NULL
);

CREATE TABLE pending (
    scheduler TEXT COLLATE "C" NOT NULL,
    lane TEXT COLLATE "C" NOT NULL,
    changes BYTEA NOT NULL,
    armed_us BIGINT NOT NULL,
    stable_us BIGINT NOT NULL,
    PRIMARY KEY (scheduler, lane)
);

CREATE TABLE submission_key (
    principal TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    body BIGINT NOT NULL,
    change BIGINT NOT NULL,
    requests BYTEA NOT NULL,
    schedulers BYTEA NOT NULL,
    accepted_us BIGINT NOT NULL,
    is_retired BIGINT NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX submission_key_live ON submission_key (principal, key) WHERE is_retired = 0;

CREATE TABLE request (
    id BIGINT NOT NULL PRIMARY KEY,
    label TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    builder TEXT COLLATE "C" NOT NULL,
    buildset BIGINT NOT NULL,
    change BIGINT NOT NULL,
    changes BYTEA NOT NULL,
    owner TEXT NOT NULL,
    reason TEXT NOT NULL,
    priority BIGINT NOT NULL,
    submitted_us BIGINT NOT NULL,
    on_disconnect TEXT NOT NULL,
    build BIGINT,
    result TEXT,
    result_reason TEXT,
    exit_code BIGINT,
    ended_us BIGINT
);
CREATE UNIQUE INDEX request_name ON request (label, number);
CREATE INDEX request_live ON request (id) WHERE ended_us IS NULL;

CREATE TABLE build (
    id BIGINT NOT NULL PRIMARY KEY,
    request BIGINT NOT NULL,
    label TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    rerun BIGINT NOT NULL,
    builder TEXT COLLATE "C" NOT NULL,
    worker TEXT NOT NULL,
    slot BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    plan BYTEA NOT NULL,
    steps BYTEA NOT NULL,
    started_us BIGINT NOT NULL,
    stop_reason TEXT,
    result TEXT,
    ended_us BIGINT
);
CREATE UNIQUE INDEX build_name ON build (label, number, rerun);
CREATE INDEX build_builder ON build (builder, id);
CREATE INDEX build_live ON build (id) WHERE ended_us IS NULL;

CREATE TABLE command (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    build BIGINT NOT NULL,
    step BIGINT NOT NULL,
    part BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    worker TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    spool_id TEXT NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT,
    state_detail BYTEA NOT NULL,
    assigned_us BIGINT NOT NULL,
    began_us BIGINT,
    ended_us BIGINT
);
CREATE UNIQUE INDEX command_part ON command (build, part);
CREATE INDEX command_live ON command (id) WHERE state <> 'sealed';

CREATE TABLE log (
    command TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    record_bytes BIGINT NOT NULL,
    sealed_path TEXT NOT NULL,
    sealed_bytes BIGINT NOT NULL,
    sha256 BYTEA NOT NULL,
    out_bytes BIGINT NOT NULL,
    err_bytes BIGINT NOT NULL,
    out_lines BIGINT NOT NULL,
    err_lines BIGINT NOT NULL,
    sealed_us BIGINT NOT NULL
);
