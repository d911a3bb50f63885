-- Reads all slots while people book: validating keeps nobody out.
ALTER TABLE slots VALIDATE CONSTRAINT slots_shared_with_others;
