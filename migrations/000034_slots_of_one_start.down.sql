ALTER TABLE slots ADD CONSTRAINT slots_one_per_site_and_start UNIQUE (campaign_id, site_id, starts_at);
