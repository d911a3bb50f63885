-- Slots come by the hundred thousand, at a thousand sites. Looking up the site of each, and locking it, was the dearest thing
-- of writing a slot; once a statement and site is enough. The refusals keep the name of the key that was.
CREATE FUNCTION slots_have_sites() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    nowhere text;
BEGIN
    -- Locked like the key did it: whoever takes a site away waits, or has done so already.
    WITH meant AS MATERIALIZED (SELECT DISTINCT campaign_id, site_id FROM added),
        there AS MATERIALIZED (SELECT s.campaign_id, s.site_id FROM sites s JOIN meant USING (campaign_id, site_id) FOR KEY SHARE OF s)
    SELECT meant.site_id INTO nowhere FROM meant LEFT JOIN there USING (campaign_id, site_id) WHERE there.site_id IS NULL LIMIT 1;
    IF nowhere IS NOT NULL THEN
        RAISE EXCEPTION 'there is no site %', nowhere USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'slots_campaign_id_site_id_fkey';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER slots_have_sites AFTER INSERT ON slots
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION slots_have_sites();

CREATE FUNCTION slots_stay_at_their_site() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'slot % stays at its site', OLD.slot_id USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'slots_campaign_id_site_id_fkey';
END $$;
-- Only for statements that name these columns: changing a slot costs nothing more.
CREATE TRIGGER slots_stay_at_their_site BEFORE UPDATE OF campaign_id, site_id ON slots FOR EACH ROW
    WHEN ((OLD.campaign_id, OLD.site_id) IS DISTINCT FROM (NEW.campaign_id, NEW.site_id)) EXECUTE FUNCTION slots_stay_at_their_site();

-- After the row is locked, so that a slot that somebody was adding there is seen.
CREATE FUNCTION sites_with_slots_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM slots WHERE campaign_id = OLD.campaign_id AND site_id = OLD.site_id) THEN
        RAISE EXCEPTION 'site % has slots', OLD.site_id USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'slots_campaign_id_site_id_fkey';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER sites_with_slots_stay AFTER DELETE ON sites FOR EACH ROW EXECUTE FUNCTION sites_with_slots_stay();
CREATE TRIGGER sites_with_slots_keep_their_name AFTER UPDATE OF campaign_id, site_id ON sites FOR EACH ROW
    WHEN ((OLD.campaign_id, OLD.site_id) IS DISTINCT FROM (NEW.campaign_id, NEW.site_id)) EXECUTE FUNCTION sites_with_slots_stay();

ALTER TABLE slots DROP CONSTRAINT slots_campaign_id_site_id_fkey;
