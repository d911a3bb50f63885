-- Keys of administrators' programs. The secret is 256 random bits, so a plain hash of it can't be guessed back.
CREATE TABLE admin_keys (
    key_id      text        PRIMARY KEY,
    secret_hash bytea       NOT NULL,
    name        text        NOT NULL,
    role        text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    revoked_at  timestamptz,
    CONSTRAINT admin_keys_role_known CHECK (role IN ('publisher')),
    CONSTRAINT admin_keys_expire CHECK (expires_at > created_at)
);

-- Who published a version: a key, or the command line of whoever has the database's password.
ALTER TABLE campaign_versions ADD COLUMN published_by text NOT NULL DEFAULT 'command';
-- The version whose document was published again, if this was a rollback.
ALTER TABLE campaign_versions ADD COLUMN rollback_of bigint;
