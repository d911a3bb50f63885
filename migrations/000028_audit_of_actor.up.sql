-- What somebody did, newest first, however much everybody did; made beside the work, so it is alone in its file.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_entries_of_actor ON audit_entries (actor, entry_id);
