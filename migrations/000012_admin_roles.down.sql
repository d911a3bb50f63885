-- The release before knows one role; keys of the others would be refused by it anyway.
DELETE FROM admin_keys WHERE role <> 'publisher';
ALTER TABLE admin_keys DROP COLUMN created_by;
ALTER TABLE admin_keys DROP CONSTRAINT admin_keys_site_of_clinic;
ALTER TABLE admin_keys DROP CONSTRAINT admin_keys_site_known;
ALTER TABLE admin_keys DROP COLUMN site_id;
ALTER TABLE admin_keys DROP COLUMN campaign_id;
ALTER TABLE admin_keys DROP CONSTRAINT admin_keys_role_known;
ALTER TABLE admin_keys ADD CONSTRAINT admin_keys_role_known CHECK (role IN ('publisher'));
