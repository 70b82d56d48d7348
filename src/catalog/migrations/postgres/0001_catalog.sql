-- Times are milliseconds since 1970, ids are 16 bytes, object keys are bytes (they may hold NUL and compare bytewise).
CREATE TABLE domain (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    catalog_identity BYTEA NOT NULL,
    key_store_identity BYTEA,
    revision BIGINT NOT NULL
);

-- One row a revision; the oldest are pruned.
CREATE TABLE changes (
    revision BIGINT PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    tenant BYTEA,
    name TEXT COLLATE "C"
);

CREATE TABLE tenants (
    id BYTEA PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    region TEXT NOT NULL,
    state TEXT NOT NULL,
    created BIGINT NOT NULL,
    bucket_count BIGINT NOT NULL
);
CREATE UNIQUE INDEX tenants_living_name ON tenants (name) WHERE state <> 'shredded';
CREATE INDEX tenants_name ON tenants (name, id);

CREATE TABLE credentials (
    id TEXT COLLATE "C" PRIMARY KEY,
    tenant BYTEA NOT NULL REFERENCES tenants (id),
    sealed_secret BYTEA NOT NULL,
    state TEXT NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX credentials_tenant ON credentials (tenant, id);

CREATE TABLE buckets (
    tenant BYTEA NOT NULL REFERENCES tenants (id),
    name TEXT COLLATE "C" NOT NULL,
    region TEXT NOT NULL,
    upstream TEXT NOT NULL UNIQUE,
    format BIGINT NOT NULL,
    state TEXT NOT NULL,
    versioning TEXT NOT NULL,
    created BIGINT NOT NULL,
    uploads_begun BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE uploads (
    tenant BYTEA NOT NULL REFERENCES tenants (id),
    id TEXT COLLATE "C" NOT NULL,
    bucket TEXT COLLATE "C" NOT NULL,
    object_key BYTEA NOT NULL,
    object_id BYTEA NOT NULL,
    kek_id BYTEA NOT NULL,
    header TEXT NOT NULL,
    sealed_metadata BYTEA NOT NULL,
    checksum_algorithm BIGINT,
    checksum_type BIGINT,
    created BIGINT NOT NULL,
    state TEXT NOT NULL,
    upstream TEXT,
    part_list BYTEA,
    answer_etag TEXT,
    answer_version TEXT,
    answer_algorithm BIGINT,
    answer_type BIGINT,
    answer_checksum BYTEA,
    active BIGINT NOT NULL,
    completed BIGINT,
    fence BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    attempts_begun BIGINT NOT NULL,
    attempts_finished BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX uploads_listing ON uploads (tenant, bucket, object_key, id);
CREATE INDEX uploads_state ON uploads (state);

-- `id` counts an upload's attempts; `finish_order` counts those that finished.
CREATE TABLE attempts (
    tenant BYTEA NOT NULL,
    upload TEXT COLLATE "C" NOT NULL,
    id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    begun BIGINT NOT NULL,
    finished BIGINT,
    finish_order BIGINT,
    is_current BIGINT NOT NULL,
    upstream_etag TEXT,
    salt BYTEA,
    commitment BYTEA,
    plaintext_bytes BIGINT,
    checksum_algorithm BIGINT,
    checksum_type BIGINT,
    checksum BYTEA,
    spool_key BYTEA,
    PRIMARY KEY (tenant, upload, id),
    FOREIGN KEY (tenant, upload) REFERENCES uploads (tenant, id)
);
CREATE UNIQUE INDEX attempts_current ON attempts (tenant, upload, number) WHERE is_current = 1;
CREATE INDEX attempts_number ON attempts (tenant, upload, number, finish_order);

CREATE TABLE jobs (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    due BIGINT NOT NULL,
    owner TEXT,
    lease_until BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    last_error TEXT,
    enqueued BIGINT NOT NULL,
    enqueued_at_claim BIGINT NOT NULL,
    UNIQUE (kind, subject)
);
CREATE INDEX jobs_due ON jobs (due);

CREATE TABLE regions (
    name TEXT COLLATE "C" PRIMARY KEY,
    identity BYTEA,
    spool_bucket TEXT,
    checked BIGINT,
    profile TEXT,
    missing TEXT
);
