-- The key store (design §3). Everything secret in here is wrapped; the root provider holds what opens it.
-- Versions 1001 to 1999 are additive to one another.

CREATE TABLE key_store (
    id         BIGINT PRIMARY KEY CHECK (id = 1),
    identity   BYTEA NOT NULL,
    domain     TEXT   NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('initializing', 'ready')),
    epoch      BIGINT NOT NULL,
    -- Number of the newest fence; counted here, so that fences commit in the order of their numbers.
    fence      BIGINT NOT NULL,
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
-- pending: its commitment is not in the log yet. Used from the log's first release on; until then KEKs start active.
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

-- Leaves that the log's sequencer has yet to take. They outlive their KEKs.
CREATE TABLE log_pending (
    tenant        BYTEA NOT NULL,
    version       BIGINT NOT NULL,
    kek_id        BYTEA NOT NULL,
    nonce         BYTEA NOT NULL,
    commitment    BYTEA NOT NULL,
    previous_hash BYTEA NOT NULL,
    leaf_hash     BYTEA NOT NULL,
    created_ms    BIGINT NOT NULL,
    PRIMARY KEY (tenant, version)
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
    CHECK ((kind = 'tenant') = (tenant IS NOT NULL))
);
