DROP TABLE plan_progress;
DROP TABLE plan_rows;
DROP TABLE plans;
