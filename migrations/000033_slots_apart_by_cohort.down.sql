DROP INDEX CONCURRENTLY IF EXISTS slots_one_per_place_and_cohort;
