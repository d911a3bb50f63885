ALTER TABLE admin_keys DROP CONSTRAINT admin_keys_staff_known;
ALTER TABLE admin_keys DROP COLUMN staff_id;
DROP TABLE admin_sessions;
DROP TABLE admin_people;
