-- When a message was taken out to be handed to the gateway: it is looked up there some time after, never at once.
ALTER TABLE messages ADD COLUMN taken_at timestamptz;
-- The booking that a message is about, so that one that isn't true any more is dropped instead of sent.
ALTER TABLE messages ADD COLUMN campaign_id text;
ALTER TABLE messages ADD COLUMN booking_id uuid;
ALTER TABLE messages DROP CONSTRAINT messages_kind_known;
ALTER TABLE messages ADD CONSTRAINT messages_kind_known
    CHECK (kind IN ('code', 'booked', 'moved', 'cancelled', 'reminder')) NOT VALID;
ALTER TABLE messages VALIDATE CONSTRAINT messages_kind_known;

-- Lines in which each takes a turn of fixed length: codes that wait for the gateway, and the gateway itself.
CREATE TABLE message_lines (
    line    text        PRIMARY KEY,
    free_at timestamptz NOT NULL,
    CONSTRAINT message_lines_known CHECK (line IN ('codes', 'gateway'))
);

-- How far the reminders of a campaign's day have come, so that each booking is reminded of once and none is left out.
CREATE TABLE reminder_days (
    campaign_id text    NOT NULL,
    day         date    NOT NULL,
    after_slot  bigint  NOT NULL DEFAULT 0,
    done        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (campaign_id, day)
);

-- A campaign's own words for a kind of message; what isn't here is said in the words of the program.
CREATE TABLE message_templates (
    campaign_id text        NOT NULL,
    kind        text        NOT NULL,
    language    text        NOT NULL,
    text        text        NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (campaign_id, kind, language),
    CONSTRAINT message_templates_kind_known CHECK (kind IN ('booked', 'moved', 'cancelled', 'reminder')),
    CONSTRAINT message_templates_language_known CHECK (language IN ('ko', 'en')),
    CONSTRAINT message_templates_text_limit CHECK (length(text) BETWEEN 1 AND 1000)
);
