-- Times are milliseconds since 1970, ids are 16 bytes, object keys are bytes (they may hold NUL and compare bytewise).
CREATE TABLE domain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    catalog_identity BLOB NOT NULL,
    key_store_identity BLOB,
    revision INTEGER NOT NULL
) STRICT;

-- One row a revision; the oldest are pruned.
CREATE TABLE changes (
    revision INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    tenant BLOB,
    name TEXT
) STRICT;

CREATE TABLE tenants (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    state TEXT NOT NULL,
    created INTEGER NOT NULL,
    bucket_count INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX tenants_living_name ON tenants (name) WHERE state <> 'shredded';
CREATE INDEX tenants_name ON tenants (name, id);

CREATE TABLE credentials (
    id TEXT PRIMARY KEY,
    tenant BLOB NOT NULL REFERENCES tenants (id),
    sealed_secret BLOB NOT NULL,
    state TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX credentials_tenant ON credentials (tenant, id);

CREATE TABLE buckets (
    tenant BLOB NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    upstream TEXT NOT NULL UNIQUE,
    format INTEGER NOT NULL,
    state TEXT NOT NULL,
    versioning TEXT NOT NULL,
    created INTEGER NOT NULL,
    uploads_begun INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT;

CREATE TABLE uploads (
    tenant BLOB NOT NULL REFERENCES tenants (id),
    id TEXT NOT NULL,
    bucket TEXT NOT NULL,
    object_key BLOB NOT NULL,
    object_id BLOB NOT NULL,
    kek_id BLOB NOT NULL,
    header TEXT NOT NULL,
    sealed_metadata BLOB NOT NULL,
    checksum_algorithm INTEGER,
    checksum_type INTEGER,
    created INTEGER NOT NULL,
    state TEXT NOT NULL,
    upstream TEXT,
    part_list BLOB,
    answer_etag TEXT,
    answer_version TEXT,
    answer_algorithm INTEGER,
    answer_type INTEGER,
    answer_checksum BLOB,
    active INTEGER NOT NULL,
    completed INTEGER,
    fence INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    attempts_begun INTEGER NOT NULL,
    attempts_finished INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX uploads_listing ON uploads (tenant, bucket, object_key, id);
CREATE INDEX uploads_state ON uploads (state);

-- `id` counts an upload's attempts; `finish_order` counts those that finished.
CREATE TABLE attempts (
    tenant BLOB NOT NULL,
    upload TEXT NOT NULL,
    id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    finished INTEGER,
    finish_order INTEGER,
    is_current INTEGER NOT NULL,
    upstream_etag TEXT,
    salt BLOB,
    commitment BLOB,
    plaintext_bytes INTEGER,
    checksum_algorithm INTEGER,
    checksum_type INTEGER,
    checksum BLOB,
    spool_key BLOB,
    PRIMARY KEY (tenant, upload, id),
    FOREIGN KEY (tenant, upload) REFERENCES uploads (tenant, id)
) STRICT;
CREATE UNIQUE INDEX attempts_current ON attempts (tenant, upload, number) WHERE is_current = 1;
CREATE INDEX attempts_number ON attempts (tenant, upload, number, finish_order);

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    due INTEGER NOT NULL,
    owner TEXT,
    lease_until INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    last_error TEXT,
    enqueued INTEGER NOT NULL,
    enqueued_at_claim INTEGER NOT NULL,
    UNIQUE (kind, subject)
) STRICT;
CREATE INDEX jobs_due ON jobs (due);

CREATE TABLE regions (
    name TEXT PRIMARY KEY,
    identity BLOB,
    spool_bucket TEXT,
    checked INTEGER,
    profile TEXT,
    missing TEXT
) STRICT;
