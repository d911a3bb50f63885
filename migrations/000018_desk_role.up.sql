-- The telephone: somebody who works with every site's bookings, and acts for people who ask them to.
ALTER TABLE admin_keys DROP CONSTRAINT admin_keys_role_known;
ALTER TABLE admin_keys ADD CONSTRAINT admin_keys_role_known
    CHECK (role IN ('viewer', 'clinic', 'desk', 'operator', 'editor', 'publisher', 'owner'));
