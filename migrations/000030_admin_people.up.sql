-- People who administer, as an OpenID provider calls them. Roles are those of the last time that they signed in.
CREATE TABLE admin_people (
    staff_id     uuid        PRIMARY KEY,
    issuer       text        NOT NULL,
    subject      text        NOT NULL,
    name         text        NOT NULL,
    roles        text[]      NOT NULL,
    created_at   timestamptz NOT NULL,
    signed_in_at timestamptz NOT NULL,
    CONSTRAINT admin_people_once UNIQUE (issuer, subject)
);

-- Their sessions. The secret is 256 random bits, so a plain hash of it can't be guessed back.
CREATE TABLE admin_sessions (
    session_id  text        PRIMARY KEY,
    secret_hash bytea       NOT NULL,
    staff_id    uuid        NOT NULL REFERENCES admin_people,
    role        text        NOT NULL,
    campaign_id text,
    site_id     text,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    CONSTRAINT admin_sessions_site_known FOREIGN KEY (campaign_id, site_id) REFERENCES sites,
    CONSTRAINT admin_sessions_site_of_clinic CHECK (
        (role = 'clinic') = (site_id IS NOT NULL) AND (site_id IS NULL) = (campaign_id IS NULL)),
    CONSTRAINT admin_sessions_are_short CHECK (expires_at > created_at AND expires_at <= created_at + interval '12 hours')
);
CREATE INDEX admin_sessions_of ON admin_sessions (staff_id, created_at);

-- Whose key it is, where that is known: a key and a session of the same person aren't two people. Keys that are there belong to
-- nobody, so there is nothing to validate.
ALTER TABLE admin_keys ADD COLUMN staff_id uuid;
ALTER TABLE admin_keys ADD CONSTRAINT admin_keys_staff_known FOREIGN KEY (staff_id) REFERENCES admin_people NOT VALID;
