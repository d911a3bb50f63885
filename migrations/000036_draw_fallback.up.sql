-- A draw whose announced source had no value in time may be made by another, which has a name that everybody is told.
ALTER TABLE rooms ADD COLUMN fell_back boolean NOT NULL DEFAULT false;
ALTER TABLE rooms ADD COLUMN draw_name text;
-- Locks: there are a few rooms, which are read at once.
ALTER TABLE rooms ADD CONSTRAINT rooms_fallback_named CHECK (NOT fell_back OR (draw_name <> '' AND seed IS NOT NULL));

CREATE FUNCTION rooms_fallback_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.seed IS NOT NULL AND (NEW.fell_back, NEW.draw_name, NEW.proof) IS DISTINCT FROM (OLD.fell_back, OLD.draw_name, OLD.proof) THEN
        RAISE EXCEPTION 'a draw that is published never changes' USING CONSTRAINT = 'rooms_draw_stays';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rooms_fallback_stays BEFORE UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION rooms_fallback_stays();
