-- Lists of entitled people are imported, looked at, and signed off by a second person before they admit anybody.
CREATE TABLE lists (
    -- Sessions carry the lists of their person as bits: ids below 64 have one.
    list_id    integer     GENERATED ALWAYS AS IDENTITY (MINVALUE 0 START 0) PRIMARY KEY,
    list       text        NOT NULL,
    -- When it last changed, in revisions of all lists.
    changed    bigint      NOT NULL,
    entries    integer     NOT NULL,
    checksum   text        NOT NULL,
    -- How many digits its numbers have; 0 where they vary or there are none.
    number_digits smallint NOT NULL DEFAULT 0,
    signed_off_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT lists_name UNIQUE (list),
    CONSTRAINT lists_entries CHECK (entries >= 0)
);

-- Raised by every change of any list as the last thing before its commit, under the lock of this row: so whoever sees a
-- revision sees all changes up to it.
CREATE TABLE list_revision (
    one_row  boolean PRIMARY KEY DEFAULT true,
    revision bigint  NOT NULL DEFAULT 0,
    CONSTRAINT list_revision_one_row CHECK (one_row)
);
INSERT INTO list_revision DEFAULT VALUES;

CREATE TABLE list_imports (
    import_id   uuid        PRIMARY KEY,
    list        text        NOT NULL,
    -- waiting → signed_off | withdrawn
    state       text        NOT NULL DEFAULT 'waiting',
    -- import: the list will consist of what is staged. removal: nothing is staged, and the list goes.
    kind        text        NOT NULL,
    entries     integer     NOT NULL DEFAULT 0,
    added       integer     NOT NULL DEFAULT 0,
    changed     integer     NOT NULL DEFAULT 0,
    kept        integer     NOT NULL DEFAULT 0,
    removed     integer     NOT NULL DEFAULT 0,
    checksum    text        NOT NULL DEFAULT '',
    number_digits smallint  NOT NULL DEFAULT 0,
    -- The list's own revision that the counts were made against.
    based_on    bigint      NOT NULL DEFAULT 0,
    imported_by text        NOT NULL,
    imported_at timestamptz NOT NULL DEFAULT now(),
    settled_by  text,
    settled_at  timestamptz,
    CONSTRAINT list_imports_state_known CHECK (state IN ('waiting', 'signed_off', 'withdrawn')),
    CONSTRAINT list_imports_kind_known CHECK (kind IN ('import', 'removal')),
    CONSTRAINT list_imports_settled CHECK ((state = 'waiting') = (settled_at IS NULL AND settled_by IS NULL)),
    CONSTRAINT list_imports_by_somebody_else CHECK (state <> 'signed_off' OR settled_by <> imported_by)
);
CREATE INDEX list_imports_newest ON list_imports (list, imported_at DESC);

-- What waits for its sign-off, hashed like the list itself.
CREATE TABLE list_staged (
    import_id   uuid    NOT NULL REFERENCES list_imports ON DELETE CASCADE,
    line        integer NOT NULL,
    entry       bytea   NOT NULL,
    self_index  bytea   NOT NULL,
    phone_index bytea,
    lookup      bytea   NOT NULL
);
CREATE INDEX list_staged_of_import ON list_staged (import_id, entry);

-- What finds the person of an entry, and who it was when what finds them changed: a new phone takes nobody off a list.
ALTER TABLE list_entries ADD COLUMN lookup bytea, ADD COLUMN person_id uuid;
-- Locks: only imports and settings of a person's phone write to this table, and they can wait while it is read once.
CREATE INDEX list_entries_lookup ON list_entries (lookup);
-- Locks: as above.
CREATE INDEX list_entries_person ON list_entries (person_id) WHERE person_id IS NOT NULL;
