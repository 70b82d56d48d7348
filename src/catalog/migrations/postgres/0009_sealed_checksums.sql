-- What a part's plaintext sums up to tells a guess at it, and copies of the catalog outlive the keys: kept sealed from now on. Uploads that
-- are open over this migration take their parts with checksums once more.
ALTER TABLE attempts ADD COLUMN sealed_checksum BYTEA;
UPDATE attempts SET checksum = NULL, checksum_algorithm = NULL, checksum_type = NULL;
UPDATE uploads SET answer_checksum = NULL, answer_algorithm = NULL, answer_type = NULL, part_list = NULL;
