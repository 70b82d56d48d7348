-- A tenant has at most one termination that is not cancelled. `tenant_state` is what a cancellation gives back.
CREATE TABLE terminations (
    id BLOB PRIMARY KEY,
    tenant BLOB NOT NULL REFERENCES tenants (id),
    requested_by TEXT NOT NULL,
    requested INTEGER NOT NULL,
    grace_end INTEGER NOT NULL,
    mode TEXT NOT NULL,
    approvals_needed INTEGER NOT NULL,
    approvals INTEGER NOT NULL,
    state TEXT NOT NULL,
    tenant_state TEXT NOT NULL,
    cancelled_by TEXT,
    cancelled INTEGER,
    shred BLOB,
    sealed_inventory_key BLOB
) STRICT;
CREATE UNIQUE INDEX terminations_open ON terminations (tenant) WHERE state <> 'cancelled';
CREATE INDEX terminations_requested ON terminations (requested, id);
CREATE INDEX terminations_shred ON terminations (shred, tenant);

CREATE TABLE approvals (
    termination BLOB NOT NULL REFERENCES terminations (id),
    principal TEXT NOT NULL,
    approved INTEGER NOT NULL,
    PRIMARY KEY (termination, principal)
) STRICT;

-- One row a move of the root. At most one has not destroyed its epoch yet: `is_open` is 1 there.
CREATE TABLE shreds (
    id BLOB PRIMARY KEY,
    state TEXT NOT NULL,
    is_open INTEGER NOT NULL,
    epoch_from INTEGER NOT NULL,
    started INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    owner TEXT,
    lease_until INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    last_error TEXT
) STRICT;
CREATE UNIQUE INDEX shreds_open ON shreds (is_open) WHERE is_open = 1;
CREATE INDEX shreds_started ON shreds (started, id);

-- `tenant` is empty for what concerns the whole shred.
CREATE TABLE shred_evidence (
    shred BLOB NOT NULL REFERENCES shreds (id),
    state TEXT NOT NULL,
    tenant BLOB NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (shred, state, tenant)
) STRICT;

CREATE TABLE receipts (
    id BLOB PRIMARY KEY,
    tenant BLOB NOT NULL REFERENCES tenants (id),
    stage TEXT NOT NULL,
    envelope TEXT NOT NULL,
    entry BLOB NOT NULL,
    issued INTEGER NOT NULL,
    logged INTEGER,
    proof TEXT,
    settled INTEGER NOT NULL,
    UNIQUE (tenant, stage)
) STRICT;
CREATE INDEX receipts_unsettled ON receipts (issued, id) WHERE settled = 0;
