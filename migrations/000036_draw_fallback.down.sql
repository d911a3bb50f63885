DROP TRIGGER rooms_fallback_stays ON rooms;
DROP FUNCTION rooms_fallback_stays();
ALTER TABLE rooms DROP CONSTRAINT rooms_fallback_named, DROP COLUMN draw_name, DROP COLUMN fell_back;
