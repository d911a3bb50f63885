ALTER TABLE admin_keys DROP CONSTRAINT admin_keys_role_known;
ALTER TABLE admin_keys ADD CONSTRAINT admin_keys_role_known
    CHECK (role IN ('viewer', 'clinic', 'operator', 'editor', 'publisher', 'owner'));
-- The one site that a clinic's key is for.
ALTER TABLE admin_keys ADD COLUMN campaign_id text;
ALTER TABLE admin_keys ADD COLUMN site_id text;
ALTER TABLE admin_keys ADD CONSTRAINT admin_keys_site_known FOREIGN KEY (campaign_id, site_id) REFERENCES sites;
ALTER TABLE admin_keys ADD CONSTRAINT admin_keys_site_of_clinic CHECK (
    (role = 'clinic') = (site_id IS NOT NULL) AND (site_id IS NULL) = (campaign_id IS NULL));
-- The key that made this one, or the command line of whoever has the database's password.
ALTER TABLE admin_keys ADD COLUMN created_by text NOT NULL DEFAULT 'command';
