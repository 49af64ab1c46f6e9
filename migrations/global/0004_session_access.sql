ALTER TABLE session ADD COLUMN access_hash BINARY(32) NULL COMMENT 'SHA-256 of the id within the access token that is good now';
