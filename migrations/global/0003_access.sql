-- Tokens that are good once, and the word to all gateways that rights have changed.

CREATE TABLE IF NOT EXISTS refresh_token (
    token_hash BINARY(32)  NOT NULL PRIMARY KEY COMMENT 'SHA-256 of the token, which is nowhere',
    session_id BIGINT      NOT NULL,
    created_at DATETIME(3) NOT NULL,
    used_at    DATETIME(3) NULL COMMENT 'whoever brings it again has not got it from us: the session ends',
    KEY refresh_token_session (session_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS rights_epoch (
    id    TINYINT NOT NULL PRIMARY KEY COMMENT 'there is one row',
    epoch BIGINT  NOT NULL COMMENT 'counts changes of rights'
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT IGNORE INTO rights_epoch (id, epoch) VALUES (1, 0);
