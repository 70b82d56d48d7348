-- What a credential may do within its tenant. permissions: names with commas. scope: a JSON list of texts (BUCKET or BUCKET:PREFIX; JSON,
-- because a prefix may hold NUL), NULL for everything. expires: NULL for never. Credentials from before may do everything, as they could.
ALTER TABLE credentials ADD COLUMN permissions TEXT NOT NULL DEFAULT 'read,write,list,delete,admin';
ALTER TABLE credentials ADD COLUMN scope TEXT;
ALTER TABLE credentials ADD COLUMN expires INTEGER;
