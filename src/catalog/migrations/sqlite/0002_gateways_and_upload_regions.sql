-- One row a running gateway: the revision whose changes it has applied to what it caches. renewals is the gateway's own count of its
-- polls, so that progress can be seen without comparing clocks of two machines; renewed is for people.
CREATE TABLE gateways (
    gateway BLOB PRIMARY KEY,
    acknowledged INTEGER NOT NULL,
    lease_ms INTEGER NOT NULL,
    renewals INTEGER NOT NULL,
    renewed INTEGER NOT NULL
) STRICT;

-- An upload's region, which its bucket's row no longer tells once the bucket is gone.
ALTER TABLE uploads ADD COLUMN region TEXT;
UPDATE uploads SET region = COALESCE(
    (SELECT b.region FROM buckets b WHERE b.tenant = uploads.tenant AND b.name = uploads.bucket),
    (SELECT t.region FROM tenants t WHERE t.id = uploads.tenant)
);
