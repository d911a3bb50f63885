DROP TABLE room_transitions;
DROP TABLE room_leaves;
DROP TABLE room_servings;
DROP TABLE late_places;
DROP TABLE registrations;
DROP TABLE rooms;
DROP FUNCTION rooms_go_forward();
