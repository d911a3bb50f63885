ALTER TABLE campaign_versions DROP COLUMN rollback_of;
ALTER TABLE campaign_versions DROP COLUMN published_by;
DROP TABLE admin_keys;
