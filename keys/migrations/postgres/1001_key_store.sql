-- The key store (design §3). Everything secret in here is wrapped; the root provider holds what opens it.
-- Versions 1001 to 1999 are additive to one another.

CREATE TABLE key_store (
    id         BIGINT PRIMARY KEY CHECK (id = 1),
    identity   BYTEA NOT NULL,
    domain     TEXT   NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('initializing', 'restoring', 'ready')),
    epoch      BIGINT NOT NULL,
    -- 1 from a move of the root until the epoch before it is destroyed: no KEK is made meanwhile. In this row, because
    -- whoever makes a KEK locks it first.
    held       BIGINT NOT NULL CHECK (held IN (0, 1)),
    -- Number of the newest fence; counted here, so that fences commit in the order of their numbers.
    fence      BIGINT NOT NULL,
    -- Number of the newest entry for the log, and how much of the log is recorded in here.
    entry      BIGINT NOT NULL,
    log_size   BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE TABLE epochs (
    epoch      BIGINT PRIMARY KEY,
    state      TEXT   NOT NULL CHECK (state IN ('current', 'retired', 'destroyed')),
    created_ms BIGINT NOT NULL
);

-- place: 0 to 1023 are tenant shards, 1024 is the service node. A move of the root writes the next generation,
-- moves the surviving KEKs to it and deletes this one, in one transaction: what exists is current.
CREATE TABLE nodes (
    place      BIGINT NOT NULL CHECK (place BETWEEN 0 AND 1024),
    generation BIGINT NOT NULL,
    epoch      BIGINT NOT NULL REFERENCES epochs (epoch),
    wrapped    BYTEA NOT NULL,
    PRIMARY KEY (place, generation)
);

-- The reference to the node's generation is what stops a KEK from being inserted under a node while a concurrent
-- transaction supersedes it: one of the two fails.
-- pending: its commitment is not in the log yet, and it wraps nothing.
CREATE TABLE keks (
    kek_id     BYTEA PRIMARY KEY,
    tenant     BYTEA NOT NULL,
    version    BIGINT NOT NULL CHECK (version >= 1),
    place      BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    wrapped    BYTEA NOT NULL,
    commitment BYTEA NOT NULL,
    leaf_hash  BYTEA NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('pending', 'active', 'decrypt-only')),
    created_ms BIGINT NOT NULL,
    UNIQUE (tenant, version),
    FOREIGN KEY (place, generation) REFERENCES nodes (place, generation)
);

CREATE UNIQUE INDEX keks_active ON keks (tenant) WHERE state = 'active';
CREATE INDEX keks_node ON keks (place, generation);

-- What the log has taken (log_index) or has yet to take. Public facts only: they outlive their KEKs, and a tenant whose
-- KEKs are gone finds its versions taken here.
CREATE TABLE log_entries (
    number     BIGINT PRIMARY KEY,
    kind       TEXT   NOT NULL CHECK (kind IN ('kek', 'statement', 'override')),
    entry      BYTEA NOT NULL UNIQUE,
    log_index  BIGINT UNIQUE,
    tenant     BYTEA,
    version    BIGINT,
    kek_id     BYTEA,
    nonce      BYTEA,
    commitment BYTEA,
    previous   BYTEA,
    receipt_id BYTEA UNIQUE,
    created_ms BIGINT NOT NULL,
    UNIQUE (tenant, version),
    CHECK ((kind = 'kek') = (tenant IS NOT NULL AND version IS NOT NULL AND kek_id IS NOT NULL AND nonce IS NOT NULL
                             AND commitment IS NOT NULL AND previous IS NOT NULL)),
    CHECK ((kind = 'statement') = (receipt_id IS NOT NULL))
);

CREATE INDEX log_entries_pending ON log_entries (number) WHERE log_index IS NULL;

-- Moves of the root, one an epoch that was left. canary_*: 32 random bytes wrapped under the epoch left and the one
-- entered; sum_*: their SHA-256. victims: tenant uids, 16 bytes each, in order.
CREATE TABLE moves (
    epoch_from       BIGINT PRIMARY KEY,
    epoch_to         BIGINT NOT NULL UNIQUE,
    state            TEXT   NOT NULL CHECK (state IN ('rekeyed', 'destroying', 'destroyed')),
    victims          BYTEA NOT NULL,
    nodes            BIGINT NOT NULL,
    keks_rewrapped   BIGINT NOT NULL,
    keks_deleted     BIGINT NOT NULL,
    bytes            BIGINT NOT NULL,
    canary_from      BYTEA NOT NULL,
    sum_from         BYTEA NOT NULL,
    canary_to        BYTEA NOT NULL,
    sum_to           BYTEA NOT NULL,
    canary_opened_ms BIGINT NOT NULL,
    rekeyed_ms       BIGINT NOT NULL,
    -- SHA-256 of the backup whose restore test passed.
    backup           BYTEA,
    backup_ms        BIGINT,
    destroyed_ms     BIGINT
);

-- One row a running gateway: what it has acknowledged. renewals grows with each renewal, so that progress can be
-- seen without comparing clocks of two machines.
CREATE TABLE gateways (
    gateway    BYTEA PRIMARY KEY,
    epoch      BIGINT NOT NULL,
    fence      BIGINT NOT NULL,
    lease_ms   BIGINT NOT NULL,
    renewals   BIGINT NOT NULL,
    renewed_ms BIGINT NOT NULL
);

CREATE TABLE fences (
    fence     BIGINT PRIMARY KEY,
    kind      TEXT   NOT NULL CHECK (kind IN ('tenant', 'nodes')),
    tenant    BYTEA,
    raised_ms BIGINT NOT NULL,
    CHECK ((kind = 'nodes') = (tenant IS NULL))
);
