DROP TRIGGER campaigns_forgotten_stay ON campaign_versions;
DROP FUNCTION forgotten_campaigns_stay();
ALTER TABLE campaigns DROP COLUMN forgotten_at;
ALTER TABLE persons DROP COLUMN forgotten_at;
ALTER TABLE persons DROP COLUMN verified_at;
