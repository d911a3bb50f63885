DELETE FROM message_templates WHERE kind IN ('moved_by_site', 'cancelled_by_site');
ALTER TABLE message_templates DROP CONSTRAINT message_templates_kind_known;
ALTER TABLE message_templates ADD CONSTRAINT message_templates_kind_known CHECK (kind IN ('booked', 'moved', 'cancelled', 'reminder'));
ALTER TABLE flush_events DROP COLUMN causes;
