-- People who were found otherwise than by a phone have none of their own.
ALTER TABLE persons
    ALTER COLUMN phone_index DROP NOT NULL,
    ALTER COLUMN phone_ordinal DROP NOT NULL,
    -- Keyed hash of name and birth date: finds whoever says the same of themselves with another phone.
    ADD COLUMN self_index bytea,
    -- Whose phone messages go to: of a declared minor, the one who declared it.
    ADD COLUMN contact_id uuid,
    -- Since when the desk should look whether this is somebody who is known already.
    ADD COLUMN flagged_at timestamptz;
CREATE INDEX persons_self ON persons (self_index);
CREATE INDEX persons_contact ON persons (contact_id) WHERE contact_id IS NOT NULL;
CREATE INDEX persons_flagged ON persons (flagged_at, person_id) WHERE flagged_at IS NOT NULL;

ALTER TABLE verifications
    -- What finds the person where that isn't what is sealed: a national id and the number of an entry are only ever hashed.
    ADD COLUMN lookup bytea,
    -- session: opens one. old_phone, new_phone: the two steps in which a person changes theirs.
    ADD COLUMN purpose text NOT NULL DEFAULT 'session',
    ADD COLUMN person_id uuid;
ALTER TABLE verifications
    ADD CONSTRAINT verifications_purpose_known CHECK (purpose IN ('session', 'old_phone', 'new_phone'));

-- Who acts for whom. Ordinals 0 … quota−1 are given out, so two concurrent ones can't both take the last.
CREATE TABLE beneficiaries (
    actor_id   uuid        NOT NULL,
    person_id  uuid        NOT NULL,
    ordinal    smallint    NOT NULL,
    -- declared: a minor, by name and birth date. verified: by the beneficiary's own verification.
    how        text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT beneficiaries_once PRIMARY KEY (actor_id, person_id),
    CONSTRAINT beneficiaries_quota UNIQUE (actor_id, ordinal),
    CONSTRAINT beneficiaries_ordinal_limit CHECK (ordinal BETWEEN 0 AND 99),
    CONSTRAINT beneficiaries_how_known CHECK (how IN ('declared', 'verified')),
    CONSTRAINT beneficiaries_is_another CHECK (actor_id <> person_id)
);

-- Declarations that were refused because somebody of that name and birth date is known: on a day few, so that nobody asks
-- through them who is registered.
CREATE TABLE declarations_refused (
    actor_id uuid     NOT NULL,
    day      date     NOT NULL,
    times    smallint NOT NULL DEFAULT 1,
    PRIMARY KEY (actor_id, day)
);
CREATE INDEX declarations_refused_day ON declarations_refused (day);

-- Lists of entitled people, hashed at the door: nothing here can be read, only found by whoever has the same fields.
CREATE TABLE list_entries (
    list        text        NOT NULL,
    entry       bytea       NOT NULL,
    -- Keyed hashes of name and birth date, and of the phone that codes may go to.
    self_index  bytea       NOT NULL,
    phone_index bytea,
    imported_at timestamptz NOT NULL DEFAULT now(),
    -- Set when an import no longer has it. Whoever was found by it stays a person.
    ended_at    timestamptz,
    PRIMARY KEY (list, entry)
);
