-- Whether the bucket has object lock upstream: 0 or 1. It is given for good.
ALTER TABLE buckets ADD COLUMN object_lock BIGINT NOT NULL DEFAULT 0;
