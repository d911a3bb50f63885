-- Background jobs (River) live in a schema of their own, filled by River's own migrator.
CREATE SCHEMA IF NOT EXISTS river;

-- The copies of slots in Redis carry this value. Restoring a backup renews it, so that copies made from the
-- database before are replaced although their version numbers are higher.
CREATE TABLE store_generation (
    one_row    boolean     PRIMARY KEY DEFAULT true,
    generation uuid        NOT NULL DEFAULT gen_random_uuid(),
    renewed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT store_generation_is_one_row CHECK (one_row)
);
INSERT INTO store_generation DEFAULT VALUES;

CREATE TABLE campaigns (
    campaign_id    text        PRIMARY KEY,
    -- Raised whenever sites or slots are added or change their place or time; instances reload their directory then.
    slots_revision bigint      NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT campaigns_id_form CHECK (campaign_id ~ '^[a-z0-9][a-z0-9-]{1,62}$')
);

CREATE TABLE campaign_versions (
    campaign_id  text        NOT NULL REFERENCES campaigns,
    version      bigint      NOT NULL,
    document     jsonb       NOT NULL,
    -- The instant, as rules see time, from which every instance judges by this version.
    effective_at timestamptz NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (campaign_id, version),
    CONSTRAINT campaign_versions_start_at_one CHECK (version > 0)
);

CREATE FUNCTION campaign_versions_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a published campaign version never changes' USING CONSTRAINT = 'campaign_versions_immutable';
END $$;
CREATE TRIGGER campaign_versions_immutable BEFORE UPDATE OR DELETE ON campaign_versions
    FOR EACH ROW EXECUTE FUNCTION campaign_versions_stay();

CREATE TABLE sites (
    campaign_id text    NOT NULL REFERENCES campaigns,
    site_id     text    NOT NULL,
    region      text    NOT NULL,
    name        text    NOT NULL,
    name_en     text    NOT NULL DEFAULT '',
    address     text    NOT NULL,
    telephone   text    NOT NULL DEFAULT '',
    latitude    double precision,
    longitude   double precision,
    wheelchair  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (campaign_id, site_id),
    CONSTRAINT sites_id_form CHECK (site_id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    CONSTRAINT sites_on_the_map CHECK (
        (latitude IS NULL) = (longitude IS NULL)
        AND latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180)
);
