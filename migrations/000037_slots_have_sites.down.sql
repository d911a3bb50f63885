ALTER TABLE slots ADD CONSTRAINT slots_campaign_id_site_id_fkey FOREIGN KEY (campaign_id, site_id) REFERENCES sites;
DROP TRIGGER sites_with_slots_keep_their_name ON sites;
DROP TRIGGER sites_with_slots_stay ON sites;
DROP FUNCTION sites_with_slots_stay();
DROP TRIGGER slots_stay_at_their_site ON slots;
DROP FUNCTION slots_stay_at_their_site();
DROP TRIGGER slots_have_sites ON slots;
DROP FUNCTION slots_have_sites();
