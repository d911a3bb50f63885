ALTER TABLE planned_slots DROP COLUMN keeps_state;
