ALTER TABLE user ADD COLUMN revision INT NOT NULL DEFAULT 1 COMMENT 'counts changes: who changes a user says of which one';
