DROP TABLE slot_changes_pushed;
DROP TRIGGER slots_note_changes ON slots;
DROP FUNCTION note_slot_changes();
DROP TABLE slot_changes;
DROP TABLE leases;
