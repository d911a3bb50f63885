-- Who came how far, by hour of shown time: requests, and sketches from which the number of different people can be told and
-- none of them. Steps that belong to no campaign have an empty one. Each is added to by all instances.
CREATE TABLE funnel_hours (
    campaign_id text        NOT NULL,
    hour        timestamptz NOT NULL,
    step        text        NOT NULL,
    requests    bigint      NOT NULL DEFAULT 0,
    done        bigint      NOT NULL DEFAULT 0,
    tried       bytea,
    persons     bytea,
    phones      bytea,
    blocks      bytea,
    PRIMARY KEY (campaign_id, hour, step),
    CONSTRAINT funnel_hours_whole CHECK (hour = date_trunc('hour', hour, 'UTC')),
    CONSTRAINT funnel_hours_counts CHECK (requests >= 0 AND done >= 0),
    CONSTRAINT funnel_hours_sketches CHECK (
        length(tried) = 4096 AND length(persons) = 4096 AND length(phones) = 4096 AND length(blocks) = 4096)
);
