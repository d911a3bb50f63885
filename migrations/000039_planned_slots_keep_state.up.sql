-- Whether a slot that is there keeps its state: what wants it says none. Known when rows are staged, before they are put beside
-- the slots.
ALTER TABLE planned_slots ADD COLUMN keeps_state boolean NOT NULL DEFAULT false;
