-- Who was verified lately may be about to book, so they aren't forgotten yet. By the default, everybody counts as verified now.
ALTER TABLE persons ADD COLUMN verified_at timestamptz NOT NULL DEFAULT now();
-- When somebody was forgotten: what identified them is gone from the row, which stays for the counts.
ALTER TABLE persons ADD COLUMN forgotten_at timestamptz;
-- When a campaign was forgotten, with everybody whom nothing else keeps.
ALTER TABLE campaigns ADD COLUMN forgotten_at timestamptz;

-- People who were forgotten could book once more in a campaign that came back.
CREATE FUNCTION forgotten_campaigns_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM campaigns WHERE campaign_id = NEW.campaign_id AND forgotten_at IS NOT NULL) THEN
        RAISE EXCEPTION 'campaign % was forgotten; publish under another id', NEW.campaign_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'campaigns_forgotten_stay';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER campaigns_forgotten_stay BEFORE INSERT ON campaign_versions
    FOR EACH ROW EXECUTE FUNCTION forgotten_campaigns_stay();
