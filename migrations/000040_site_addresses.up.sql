-- The address in parts, for those who want it so. An instance of the release before writes none and keeps those that are there.
ALTER TABLE sites
    ADD COLUMN state       text NOT NULL DEFAULT '',
    ADD COLUMN city        text NOT NULL DEFAULT '',
    ADD COLUMN postal_code text NOT NULL DEFAULT '';
