-- Read while people book: validating keeps nobody out.
ALTER TABLE flush_events VALIDATE CONSTRAINT flush_events_causes_known;
ALTER TABLE message_templates VALIDATE CONSTRAINT message_templates_kind_known;
