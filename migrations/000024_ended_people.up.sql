-- People all of whose sessions from before an instant are over: the desk gave them another phone. Rows go when the last of
-- those sessions would have expired.
CREATE TABLE ended_people (
    person_id  uuid        PRIMARY KEY,
    before     timestamptz NOT NULL,
    ended_at   timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX ended_people_ended_at ON ended_people (ended_at);
CREATE INDEX ended_people_expiry ON ended_people (expires_at);
