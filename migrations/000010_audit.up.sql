-- What administrators did, and whose data was looked at. Written in the transaction of the act itself, so neither is there
-- without the other.
CREATE TABLE audit_entries (
    entry_id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    happened_at  timestamptz NOT NULL,
    actor        text        NOT NULL,
    from_address text        NOT NULL,
    act          text        NOT NULL,
    subject      text        NOT NULL,
    person_id    uuid,
    reason       text        NOT NULL,
    -- json, not jsonb: the hash is over the very text.
    details      json        NOT NULL,
    CONSTRAINT audit_entries_have_an_actor CHECK (actor <> '' AND act <> '')
);
CREATE INDEX audit_entries_of_person ON audit_entries (person_id, entry_id) WHERE person_id IS NOT NULL;

-- The chain over the entries: each hash covers the one before. A table of its own, because an entry is written once and
-- never touched again, and because acts must not wait for each other to get a number.
CREATE TABLE audit_chain (
    number   bigint PRIMARY KEY,
    entry_id bigint NOT NULL UNIQUE,
    hash     bytea  NOT NULL,
    CONSTRAINT audit_chain_starts_at_one CHECK (number > 0)
);

-- Entries that have no place in the chain yet.
CREATE TABLE audit_unchained (entry_id bigint PRIMARY KEY);

CREATE FUNCTION audit_entry_awaits_its_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_unchained (entry_id) VALUES (NEW.entry_id);
    RETURN NULL;
END $$;
CREATE TRIGGER audit_entries_await_their_place AFTER INSERT ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION audit_entry_awaits_its_place();

CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was written to % stays as it is', TG_TABLE_NAME USING CONSTRAINT = 'audit_stays';
END $$;
CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_chain_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_chain
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
