ALTER TABLE booking_events DROP CONSTRAINT booking_events_pkey;
ALTER TABLE booking_events ADD PRIMARY KEY (event_id);
CREATE INDEX booking_events_of_flush ON booking_events (flush_id);

DROP INDEX bookings_cancelled_of_person;
CREATE INDEX bookings_of_person ON bookings (campaign_id, person_id, created_at DESC) WHERE status <> 'void';

DROP TRIGGER booked_persons_stay ON persons;
DROP FUNCTION booked_persons_stay();
DROP TRIGGER booked_slots_stay ON slots;
DROP FUNCTION booked_slots_stay();

ALTER TABLE bookings ADD CONSTRAINT bookings_slot_id_fkey FOREIGN KEY (slot_id) REFERENCES slots;
ALTER TABLE bookings ADD CONSTRAINT bookings_person_id_fkey FOREIGN KEY (person_id) REFERENCES persons;
