-- Each commit that publishes names the one before it that did, so that a reader can tell a commit without records
-- from a lost one. NULL: a line from before this, until it publishes again.
ALTER TABLE checkpoint ADD COLUMN told_seq BIGINT UNSIGNED NULL COMMENT 'last commit of the incarnation with records';
