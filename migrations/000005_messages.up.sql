CREATE TABLE messages (
    message_id uuid        PRIMARY KEY,
    -- What the message is about, so that a job that runs twice writes one message.
    subject    text        NOT NULL,
    kind       text        NOT NULL,
    -- Recipient and text.
    sealed     bytea       NOT NULL,
    state      text        NOT NULL DEFAULT 'queued',
    created_at timestamptz NOT NULL DEFAULT now(),
    -- A code that arrives after it has expired only confuses: such messages are dropped instead.
    useful_until timestamptz NOT NULL,
    settled_at timestamptz,
    CONSTRAINT messages_one_per_subject UNIQUE (subject),
    CONSTRAINT messages_kind_known CHECK (kind IN ('code', 'booked', 'moved', 'cancelled')),
    -- queued → sending → sent | failed | unknown; queued → dropped. A message in "sending" was handed to the
    -- gateway and is never handed over again.
    CONSTRAINT messages_state_known CHECK (state IN ('queued', 'sending', 'sent', 'failed', 'unknown', 'dropped')),
    CONSTRAINT messages_settled CHECK ((settled_at IS NULL) = (state IN ('queued', 'sending')))
);
CREATE INDEX messages_newest ON messages (created_at DESC);
