-- Places at one site and start may be split among cohorts. Serving of the release before goes on; its commands that publish
-- slots from files refuse until they are of this release too, and change nothing.
ALTER TABLE slots DROP CONSTRAINT slots_one_per_site_and_start;
