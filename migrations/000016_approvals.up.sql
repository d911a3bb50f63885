-- Acts that need a second person: what somebody asked for, and who else agreed. The fingerprint covers the whole request and
-- what it was based on, so that nothing else can be done by the approval.
CREATE TABLE approvals (
    approval_id uuid        PRIMARY KEY,
    fingerprint bytea       NOT NULL,
    act         text        NOT NULL,
    subject     text        NOT NULL,
    -- What is asked for, as whoever approves reads it.
    request     jsonb       NOT NULL,
    proposed_by text        NOT NULL,
    proposed_at timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    approved_by text,
    approved_at timestamptz,
    used_at     timestamptz,
    CONSTRAINT approvals_by_somebody_else CHECK (approved_by <> proposed_by),
    CONSTRAINT approvals_used_after_approval CHECK (used_at IS NULL OR approved_at IS NOT NULL)
);
CREATE INDEX approvals_open ON approvals (proposed_at DESC);
