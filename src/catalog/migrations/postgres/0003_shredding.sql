-- A tenant has at most one termination that is not cancelled. `tenant_state` is what a cancellation gives back.
CREATE TABLE terminations (
    id BYTEA PRIMARY KEY,
    tenant BYTEA NOT NULL REFERENCES tenants (id),
    requested_by TEXT COLLATE "C" NOT NULL,
    requested BIGINT NOT NULL,
    grace_end BIGINT NOT NULL,
    mode TEXT COLLATE "C" NOT NULL,
    approvals_needed BIGINT NOT NULL,
    approvals BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    tenant_state TEXT COLLATE "C" NOT NULL,
    cancelled_by TEXT COLLATE "C",
    cancelled BIGINT,
    shred BYTEA,
    sealed_inventory_key BYTEA
);
CREATE UNIQUE INDEX terminations_open ON terminations (tenant) WHERE state <> 'cancelled';
CREATE INDEX terminations_requested ON terminations (requested, id);
CREATE INDEX terminations_shred ON terminations (shred, tenant);

CREATE TABLE approvals (
    termination BYTEA NOT NULL REFERENCES terminations (id),
    principal TEXT COLLATE "C" NOT NULL,
    approved BIGINT NOT NULL,
    PRIMARY KEY (termination, principal)
);

-- One row a move of the root. At most one has not destroyed its epoch yet: `is_open` is 1 there.
CREATE TABLE shreds (
    id BYTEA PRIMARY KEY,
    state TEXT COLLATE "C" NOT NULL,
    is_open BIGINT NOT NULL,
    epoch_from BIGINT NOT NULL,
    started BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    owner TEXT COLLATE "C",
    lease_until BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    last_error TEXT
);
CREATE UNIQUE INDEX shreds_open ON shreds (is_open) WHERE is_open = 1;
CREATE INDEX shreds_started ON shreds (started, id);

-- `tenant` is empty for what concerns the whole shred.
CREATE TABLE shred_evidence (
    shred BYTEA NOT NULL REFERENCES shreds (id),
    state TEXT COLLATE "C" NOT NULL,
    tenant BYTEA NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (shred, state, tenant)
);

CREATE TABLE receipts (
    id BYTEA PRIMARY KEY,
    tenant BYTEA NOT NULL REFERENCES tenants (id),
    stage TEXT COLLATE "C" NOT NULL,
    envelope TEXT NOT NULL,
    entry BYTEA NOT NULL,
    issued BIGINT NOT NULL,
    logged BIGINT,
    proof TEXT,
    settled BIGINT NOT NULL,
    UNIQUE (tenant, stage)
);
CREATE INDEX receipts_unsettled ON receipts (issued, id) WHERE settled = 0;
