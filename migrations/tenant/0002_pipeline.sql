-- What makes the stream exactly once. Lines of one tenant share these tables, so every key begins with the line.

CREATE TABLE IF NOT EXISTS checkpoint (
    topic         VARCHAR(128)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `partition`   INT             NOT NULL,
    line          VARCHAR(48)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    next_offset   BIGINT          NOT NULL COMMENT 'of the line''s topic; -1: none yet',
    commit_seq    BIGINT UNSIGNED NOT NULL COMMENT 'commits so far',
    owner_epoch   BIGINT UNSIGNED NOT NULL COMMENT 'take-overs so far',
    published_seq BIGINT UNSIGNED NOT NULL COMMENT 'known to be published, written lazily',
    incarnation   INT UNSIGNED    NOT NULL,
    state_version INT UNSIGNED    NOT NULL COMMENT 'of the encoding of state',
    state         LONGBLOB        NOT NULL,
    updated_at    DATETIME(3)     NOT NULL,
    PRIMARY KEY (topic, `partition`),
    UNIQUE KEY checkpoint_line (line)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS outbox (
    line       VARCHAR(48)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    commit_seq BIGINT UNSIGNED NOT NULL,
    payload    LONGBLOB        NOT NULL COMMENT 'the records of one commit',
    PRIMARY KEY (line, commit_seq)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS line_input (
    line         VARCHAR(48)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    seq          BIGINT UNSIGNED NOT NULL,
    kind         VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    at           DATETIME(3)     NOT NULL COMMENT 'event time',
    payload      MEDIUMTEXT      NOT NULL COMMENT 'JSON',
    after_offset BIGINT          NOT NULL COMMENT 'last offset of the line''s topic before it; -1: none',
    PRIMARY KEY (line, seq)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS shift_record (
    record_id     BIGINT       NOT NULL AUTO_INCREMENT,
    line          VARCHAR(48)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    business_date DATE         NOT NULL,
    shift         VARCHAR(100) NOT NULL,
    revision      INT UNSIGNED NOT NULL,
    from_time     DATETIME(3)  NOT NULL,
    to_time       DATETIME(3)  NOT NULL,
    figure        MEDIUMTEXT   NOT NULL COMMENT 'JSON, kept byte for byte: the hash is over it',
    watermark     DATETIME(3)  NOT NULL,
    previous_hash CHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'empty for the line''s first',
    hash          CHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (line, business_date, shift, revision),
    UNIQUE KEY shift_record_id (record_id),
    KEY shift_record_time (line, to_time)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS command (
    id              BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    idempotency_key VARCHAR(100) NOT NULL,
    line            VARCHAR(48)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    kind            VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    payload         MEDIUMTEXT   NOT NULL COMMENT 'JSON',
    author          VARCHAR(100) NOT NULL,
    created_at      DATETIME(3)  NOT NULL,
    applied_at      DATETIME(3)  NULL,
    outcome         MEDIUMTEXT   NULL COMMENT 'JSON, once applied',
    UNIQUE KEY command_idempotency (idempotency_key),
    KEY command_pending (applied_at, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
