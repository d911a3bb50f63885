-- The release before knows no such role, and refuses whoever has it: their keys are ended, and may look at most.
UPDATE admin_keys SET role = 'viewer', revoked_at = coalesce(revoked_at, now()) WHERE role = 'desk';
ALTER TABLE admin_keys DROP CONSTRAINT admin_keys_role_known;
ALTER TABLE admin_keys ADD CONSTRAINT admin_keys_role_known
    CHECK (role IN ('viewer', 'clinic', 'operator', 'editor', 'publisher', 'owner'));
