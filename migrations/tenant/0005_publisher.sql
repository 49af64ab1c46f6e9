-- Who publishes what the line's owner commits, by its transactional id: what it leaves open when it is killed, the next
-- owner ends in its name. NULL: a line from before this, until it is taken over again.
ALTER TABLE checkpoint ADD COLUMN publisher VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'of the last owner';
