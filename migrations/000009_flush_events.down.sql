DROP TABLE flush_events;
