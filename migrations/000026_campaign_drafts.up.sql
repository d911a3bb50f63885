-- What editors prepare of a campaign, one for each; nobody but administrators sees it. The document is kept as it was written,
-- right or not.
CREATE TABLE campaign_drafts (
    campaign_id text        PRIMARY KEY,
    document    text        NOT NULL,
    -- Raised by every change: whoever changes or publishes a draft names the one that they have seen.
    revision    bigint      NOT NULL,
    -- The newest published version when it was last written; 0 where there was none.
    based_on    bigint      NOT NULL,
    updated_by  text        NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT campaign_drafts_revision CHECK (revision > 0)
);
-- Revisions never come again, also not those of a draft that was dropped.
CREATE SEQUENCE campaign_draft_revisions;
