-- SHA-256 of an access-key id, and the domain that knows it: nothing else.
CREATE TABLE directory_keys (
    key_hash BLOB PRIMARY KEY,
    domain TEXT NOT NULL
) STRICT;
