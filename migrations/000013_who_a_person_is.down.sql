DROP TABLE list_entries;
DROP TABLE declarations_refused;
DROP TABLE beneficiaries;
ALTER TABLE verifications
    DROP CONSTRAINT verifications_purpose_known,
    DROP COLUMN lookup,
    DROP COLUMN purpose,
    DROP COLUMN person_id;
DROP INDEX persons_flagged;
DROP INDEX persons_contact;
DROP INDEX persons_self;
-- Fails while there are people without a phone: the release before can't serve them.
ALTER TABLE persons
    DROP COLUMN self_index,
    DROP COLUMN contact_id,
    DROP COLUMN flagged_at,
    ALTER COLUMN phone_index SET NOT NULL,
    ALTER COLUMN phone_ordinal SET NOT NULL;
