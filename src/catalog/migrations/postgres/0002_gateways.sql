-- One row a running gateway: the revision whose changes it has applied to what it caches. renewals is the gateway's own count of its
-- polls, so that progress can be seen without comparing clocks of two machines; renewed is for people.
CREATE TABLE gateways (
    gateway BYTEA PRIMARY KEY,
    acknowledged BIGINT NOT NULL,
    lease_ms BIGINT NOT NULL,
    renewals BIGINT NOT NULL,
    renewed BIGINT NOT NULL
);
