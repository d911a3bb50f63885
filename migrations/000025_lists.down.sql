DROP INDEX list_entries_person;
DROP INDEX list_entries_lookup;
ALTER TABLE list_entries DROP COLUMN person_id, DROP COLUMN lookup;
DROP TABLE list_staged;
DROP TABLE list_imports;
DROP TABLE list_revision;
DROP TABLE lists;
