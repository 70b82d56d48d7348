-- One row a running gateway: the revision whose changes it has applied to what it caches. renewals is the gateway's own count of its
-- polls, so that progress can be seen without comparing clocks of two machines; renewed is for people.
CREATE TABLE gateways (
    gateway BLOB PRIMARY KEY,
    acknowledged INTEGER NOT NULL,
    lease_ms INTEGER NOT NULL,
    renewals INTEGER NOT NULL,
    renewed INTEGER NOT NULL
) STRICT;
