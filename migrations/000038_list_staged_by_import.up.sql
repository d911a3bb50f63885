-- Rows are staged in the transaction that notes their import, and by nothing else: looking the import up for each of several
-- hundred thousand found nothing that could be wrong. What the key was for, that no row outlives its import, is seen to when
-- one is deleted.
CREATE FUNCTION staged_goes_with_its_import() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM list_staged WHERE import_id = OLD.import_id;
    RETURN NULL;
END $$;
CREATE TRIGGER staged_goes_with_its_import AFTER DELETE ON list_imports FOR EACH ROW EXECUTE FUNCTION staged_goes_with_its_import();

ALTER TABLE list_staged DROP CONSTRAINT list_staged_import_id_fkey;
