DROP SEQUENCE campaign_draft_revisions;
DROP TABLE campaign_drafts;
