DROP TABLE funnel_hours;
