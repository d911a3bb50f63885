-- A share of a phone's day is kept for devices that verified it before: what those spend is counted apart too, so that what
-- strangers spent is known. An instance of the release before counts everybody as a stranger.
ALTER TABLE phone_budgets ADD COLUMN known_codes integer NOT NULL DEFAULT 0;
ALTER TABLE phone_budgets ADD COLUMN known_failures integer NOT NULL DEFAULT 0;
ALTER TABLE verifications ADD COLUMN known_device boolean NOT NULL DEFAULT false;

-- What codes may cost beyond one phone: per address block and hour, per country prefix and day, for the deployment and day.
CREATE TABLE code_budgets (
    scope text        NOT NULL,
    -- A keyed hash of the block or the prefix; an address is personal data.
    key   bytea       NOT NULL,
    since timestamptz NOT NULL,
    codes integer     NOT NULL,
    PRIMARY KEY (scope, key, since),
    CONSTRAINT code_budgets_scope_known CHECK (scope IN ('block', 'prefix', 'deployment'))
);
CREATE INDEX code_budgets_since ON code_budgets (since);
