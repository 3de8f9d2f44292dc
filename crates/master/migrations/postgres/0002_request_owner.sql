CREATE INDEX request_owner ON request (owner, ended_us, id) WHERE ended_us IS NOT NULL;
