-- The ledger: records, append-only and chained, and the blobs that are small enough to lie beside them.
CREATE TABLE records (
    seq       INTEGER PRIMARY KEY,
    campaign  TEXT,
    iteration INTEGER,
    attempt   INTEGER,
    lever     INTEGER,
    request   TEXT,
    wall_ms   INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    body      BLOB NOT NULL,
    prev_hash BLOB NOT NULL,
    hash      BLOB NOT NULL
) STRICT;

CREATE INDEX records_by_iteration ON records (campaign, iteration, seq);
CREATE INDEX records_by_lever ON records (campaign, lever, seq) WHERE lever IS NOT NULL;

-- I1: an iteration is opened once and decided once; an attempt is leased once and ends once.
CREATE UNIQUE INDEX iteration_opened_once ON records (campaign, iteration) WHERE kind = 'iteration_opened';
CREATE UNIQUE INDEX iteration_decided_once ON records (campaign, iteration) WHERE kind = 'iteration_decided';
CREATE UNIQUE INDEX attempt_leased_once ON records (campaign, iteration, attempt) WHERE kind = 'attempt_leased';
CREATE UNIQUE INDEX attempt_ended_once ON records (campaign, iteration, attempt) WHERE kind = 'attempt_ended';
-- I4: a request is answered once.
CREATE UNIQUE INDEX request_answered_once ON records (request) WHERE request IS NOT NULL;

CREATE TABLE blobs (
    hash BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
