-- Alone in its file, so that it isn't in a transaction, and locks nobody out while it is built.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS slots_one_per_place_and_cohort ON slots (campaign_id, site_id, starts_at, cohort);
