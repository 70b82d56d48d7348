-- A bucket's own settings as JSON, absent until set. They are in the bucket's row, so that they go with it.
ALTER TABLE buckets ADD COLUMN tagging TEXT;
ALTER TABLE buckets ADD COLUMN cors TEXT;
