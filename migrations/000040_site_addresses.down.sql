ALTER TABLE sites DROP COLUMN state, DROP COLUMN city, DROP COLUMN postal_code;
