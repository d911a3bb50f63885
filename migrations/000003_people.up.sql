-- A person is a random id; the keyed hash only finds it. What identifies a human being is sealed (AEAD).
CREATE TABLE persons (
    person_id     uuid        PRIMARY KEY,
    scheme        text        NOT NULL,
    lookup        bytea       NOT NULL,
    phone_index   bytea       NOT NULL,
    phone_ordinal smallint    NOT NULL,
    sealed        bytea       NOT NULL,
    language      text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT persons_one_per_identity UNIQUE (scheme, lookup),
    -- Persons per phone: ordinals 0 … limit−1 are given out, so two concurrent ones can't both take the last.
    CONSTRAINT persons_per_phone UNIQUE (phone_index, phone_ordinal),
    CONSTRAINT persons_phone_ordinal_limit CHECK (phone_ordinal BETWEEN 0 AND 99),
    CONSTRAINT persons_language_known CHECK (language IN ('ko', 'en'))
);

CREATE TABLE verifications (
    verification_id uuid        PRIMARY KEY,
    scheme          text        NOT NULL,
    phone_index     bytea       NOT NULL,
    sealed          bytea       NOT NULL,
    language        text        NOT NULL,
    code_mac        bytea       NOT NULL,
    attempts        smallint    NOT NULL DEFAULT 0,
    sends           smallint    NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    resend_at       timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    -- Set by the one confirm that was right, or by the guess that was one too many.
    ended_at        timestamptz
);
CREATE INDEX verifications_expiry ON verifications (expires_at);

-- What a phone number may still cost on a day; a resend or a new verification doesn't reset it.
CREATE TABLE phone_budgets (
    phone_index bytea   NOT NULL,
    day         date    NOT NULL,
    codes       integer NOT NULL DEFAULT 0,
    failures    integer NOT NULL DEFAULT 0,
    PRIMARY KEY (phone_index, day)
);
CREATE INDEX phone_budgets_day ON phone_budgets (day);

-- Sessions that were ended before they expired ("forget this device"). Rows go when the session would have expired.
CREATE TABLE ended_sessions (
    session_id uuid        PRIMARY KEY,
    ended_at   timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX ended_sessions_ended_at ON ended_sessions (ended_at);
CREATE INDEX ended_sessions_expiry ON ended_sessions (expires_at);
