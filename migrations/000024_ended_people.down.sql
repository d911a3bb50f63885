DROP TABLE ended_people;
