-- The same for what was done: a rare act is found among many others.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_entries_of_act ON audit_entries (act, entry_id);
