DROP TABLE sites;
DROP TABLE campaign_versions;
DROP FUNCTION campaign_versions_stay();
DROP TABLE campaigns;
DROP TABLE store_generation;
-- River's migrator has emptied the schema before this runs.
DROP SCHEMA IF EXISTS river CASCADE;
