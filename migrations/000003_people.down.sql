DROP TABLE ended_sessions;
DROP TABLE phone_budgets;
DROP TABLE verifications;
DROP TABLE persons;
