ALTER TABLE list_staged ADD CONSTRAINT list_staged_import_id_fkey FOREIGN KEY (import_id) REFERENCES list_imports ON DELETE CASCADE;
DROP TRIGGER staged_goes_with_its_import ON list_imports;
DROP FUNCTION staged_goes_with_its_import();
