ALTER TABLE slots DROP CONSTRAINT slots_shared_with_others;
ALTER TABLE slots ADD CONSTRAINT slots_shared_with_others CHECK (shared_at IS NULL OR cohort <> '') NOT VALID;
