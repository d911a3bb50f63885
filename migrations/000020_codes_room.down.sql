DROP TABLE frozen_graces;
