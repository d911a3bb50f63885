DROP TABLE message_templates;
DROP TABLE reminder_days;
DROP TABLE message_lines;
DELETE FROM messages WHERE kind = 'reminder';
ALTER TABLE messages DROP CONSTRAINT messages_kind_known;
ALTER TABLE messages ADD CONSTRAINT messages_kind_known CHECK (kind IN ('code', 'booked', 'moved', 'cancelled'));
ALTER TABLE messages DROP COLUMN booking_id;
ALTER TABLE messages DROP COLUMN campaign_id;
ALTER TABLE messages DROP COLUMN taken_at;
