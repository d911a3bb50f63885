DROP TABLE planned_slots;
ALTER TABLE slots DROP COLUMN cohort, DROP COLUMN shared_at;
