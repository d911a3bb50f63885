-- Waiting rooms. A room belongs to one opening of a campaign; what is published stays in the campaign's document, and what
-- happens is here. Everything that a citizen relies on only goes forward, and a trigger says so.
CREATE TABLE rooms (
    room_no      integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room_id      text        NOT NULL,
    state        text        NOT NULL DEFAULT 'scheduled',
    -- Indexes given to registrations so far: 0 … registered−1. The freeze makes it drawn, and it stays.
    registered   bigint      NOT NULL DEFAULT 0,
    drawn        bigint,
    -- Numbers given behind the draw, and in the late lane: the next one each.
    numbers      bigint      NOT NULL DEFAULT 0,
    late_numbers bigint      NOT NULL DEFAULT 0,
    -- Positions below these are called.
    serving      bigint      NOT NULL DEFAULT 0,
    late_serving bigint      NOT NULL DEFAULT 0,
    -- How long the room has been open and led, in milliseconds: grace is counted by this, so a pause or an outage takes
    -- none of it away.
    open_ms      bigint      NOT NULL DEFAULT 0,
    stepped_at   timestamptz,
    -- The one instance that advances the room, until when.
    leader       uuid,
    leader_until timestamptz,
    -- The dial; null is as published.
    rate         double precision,
    max_active   bigint,
    message_ko   text,
    message_en   text,
    -- The draw, as it is published.
    draw_source  text,
    draw_chain   text        NOT NULL DEFAULT '',
    draw_round   bigint      NOT NULL DEFAULT 0,
    value_at     timestamptz,
    root         bytea,
    published_at timestamptz,
    value        bytea,
    proof        bytea,
    seed         bytea,
    proposed     bytea,
    proposed_by  text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT rooms_one_per_id UNIQUE (room_id),
    CONSTRAINT rooms_state_known CHECK (state IN ('scheduled', 'registration', 'drawing', 'open', 'paused', 'closed')),
    CONSTRAINT rooms_counts CHECK (registered >= 0 AND numbers >= 0 AND late_numbers >= 0 AND serving >= 0
        AND late_serving >= 0 AND (drawn IS NULL OR drawn = registered)),
    CONSTRAINT rooms_seed_after_root CHECK (seed IS NULL OR root IS NOT NULL),
    CONSTRAINT rooms_dial CHECK ((rate IS NULL OR rate >= 0) AND (max_active IS NULL OR max_active >= 0)
        AND (message_ko IS NULL) = (message_en IS NULL))
);

CREATE FUNCTION rooms_go_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.registered < OLD.registered OR NEW.numbers < OLD.numbers OR NEW.late_numbers < OLD.late_numbers
        OR NEW.serving < OLD.serving OR NEW.late_serving < OLD.late_serving OR NEW.open_ms < OLD.open_ms THEN
        RAISE EXCEPTION 'nothing in a room goes back' USING CONSTRAINT = 'rooms_only_forward';
    END IF;
    IF (OLD.drawn IS NOT NULL AND NEW.drawn IS DISTINCT FROM OLD.drawn)
        OR (OLD.root IS NOT NULL AND (NEW.root, NEW.draw_source, NEW.draw_chain, NEW.draw_round, NEW.value_at)
            IS DISTINCT FROM (OLD.root, OLD.draw_source, OLD.draw_chain, OLD.draw_round, OLD.value_at))
        OR (OLD.seed IS NOT NULL AND (NEW.seed, NEW.value) IS DISTINCT FROM (OLD.seed, OLD.value)) THEN
        RAISE EXCEPTION 'a draw that is published never changes' USING CONSTRAINT = 'rooms_draw_stays';
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('scheduled', 'registration'), ('scheduled', 'open'), ('registration', 'drawing'), ('drawing', 'open'),
        ('open', 'paused'), ('paused', 'open'), ('scheduled', 'closed'), ('registration', 'closed'), ('drawing', 'closed'),
        ('open', 'closed'), ('paused', 'closed')) THEN
        RAISE EXCEPTION 'a room can''t go from % to %', OLD.state, NEW.state USING CONSTRAINT = 'rooms_state_order';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rooms_go_forward BEFORE UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION rooms_go_forward();

-- A person's place in a room: an index of the draw, or a number behind it. Nothing else is kept for who waits.
CREATE TABLE registrations (
    room_no   integer NOT NULL,
    person_id uuid    NOT NULL,
    behind    boolean NOT NULL,
    place     bigint  NOT NULL,
    -- What makes the published leaf of an index unguessable; null behind the draw.
    nonce     bytea,
    -- The room's open_ms when the place was given: nobody's grace began before that.
    at_ms     bigint  NOT NULL,
    CONSTRAINT registrations_one_per_person PRIMARY KEY (room_no, person_id),
    CONSTRAINT registrations_place_once UNIQUE (room_no, behind, place),
    CONSTRAINT registrations_place CHECK (place >= 0 AND (behind OR octet_length(nonce) = 16))
);

-- Who came too late, by the number written at the first claim after that. Somebody who is late again gets another.
CREATE TABLE late_places (
    room_no   integer NOT NULL,
    person_id uuid    NOT NULL,
    number    bigint  NOT NULL,
    at_ms     bigint  NOT NULL,
    CONSTRAINT late_places_one_per_person PRIMARY KEY (room_no, person_id),
    CONSTRAINT late_places_number_once UNIQUE (room_no, number)
);

-- What was being served by the end of each second of a room's open time.
CREATE TABLE room_servings (
    room_no      integer NOT NULL,
    second       bigint  NOT NULL,
    serving      bigint  NOT NULL,
    late_serving bigint  NOT NULL,
    PRIMARY KEY (room_no, second)
);

-- The published leaves of a draw, in order, some thousands a page.
CREATE TABLE room_leaves (
    room_no integer NOT NULL,
    page    integer NOT NULL,
    leaves  bytea   NOT NULL,
    PRIMARY KEY (room_no, page)
);

-- Every change of a room's state, and who made it.
CREATE TABLE room_transitions (
    room_no    integer     NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_state text        NOT NULL,
    to_state   text        NOT NULL,
    by         text        NOT NULL
);
CREATE INDEX room_transitions_by_room ON room_transitions (room_no, at);
