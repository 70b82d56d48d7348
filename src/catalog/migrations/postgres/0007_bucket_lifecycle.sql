-- Lifecycle rules as their tenant put them, as JSON; NULL without any.
ALTER TABLE buckets ADD COLUMN lifecycle TEXT;
