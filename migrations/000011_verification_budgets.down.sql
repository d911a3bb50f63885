DROP TABLE code_budgets;
ALTER TABLE verifications DROP COLUMN known_device;
ALTER TABLE phone_budgets DROP COLUMN known_failures;
ALTER TABLE phone_budgets DROP COLUMN known_codes;
