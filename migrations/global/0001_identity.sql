-- Who may do what, and who did. Every statement can be run again: a migration that was cut short is repeated whole.

CREATE TABLE IF NOT EXISTS tenant (
    tenant_id       INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name            VARCHAR(48)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT '[a-z0-9_], part of topics and databases',
    company_name    VARCHAR(200) NOT NULL,
    time_zone       VARCHAR(64)  NOT NULL COMMENT 'IANA name',
    locale          VARCHAR(8)   NOT NULL,
    database_url    VARCHAR(500) NULL COMMENT 'null: andon_t_<name> on this server',
    config_tenant   JSON         NULL COMMENT 'looks and behaviour of the whole tenant',
    is_active       BOOLEAN      NOT NULL DEFAULT TRUE,
    asociated_since DATETIME(3)  NOT NULL,
    UNIQUE KEY tenant_name (name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS user (
    user_id       INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    tenant_id     INT          NULL COMMENT 'null: of no tenant, which only a super admin is',
    username      VARCHAR(100) COLLATE utf8mb4_unicode_ci NOT NULL,
    email         VARCHAR(254) NULL,
    password      VARCHAR(255) NOT NULL COMMENT 'Argon2id in PHC form',
    role          VARCHAR(16)  NOT NULL,
    permissions   JSON         NULL COMMENT 'narrows the role to lines, branches or devices',
    locale        VARCHAR(8)   NULL,
    is_active     BOOLEAN      NOT NULL DEFAULT TRUE,
    created_at    DATETIME(3)  NOT NULL,
    last_login_at DATETIME(3)  NULL,
    UNIQUE KEY user_username (username),
    KEY user_tenant (tenant_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS session (
    session_id   BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    token_hash   BINARY(32)   NOT NULL COMMENT 'SHA-256 of the token, which is nowhere',
    user_id      INT          NOT NULL,
    login_id     BIGINT       NULL,
    created_at   DATETIME(3)  NOT NULL,
    last_seen_at DATETIME(3)  NOT NULL,
    revoked_at   DATETIME(3)  NULL,
    ip_address   VARCHAR(45)  NULL,
    user_agent   VARCHAR(255) NULL,
    UNIQUE KEY session_token (token_hash),
    KEY session_user (user_id, revoked_at, last_seen_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS user_login (
    login_id   BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id    INT          NULL COMMENT 'null: no such user',
    username   VARCHAR(100) NOT NULL COMMENT 'as it was typed',
    succeeded  BOOLEAN      NOT NULL,
    login_at   DATETIME(3)  NOT NULL,
    logout_at  DATETIME(3)  NULL,
    ip_address VARCHAR(45)  NULL,
    user_agent VARCHAR(255) NULL,
    KEY user_login_user (user_id, login_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS audit_log (
    audit_id   BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    tenant_id  INT          NULL,
    user_id    INT          NULL,
    username   VARCHAR(100) NULL,
    action     VARCHAR(64)  NOT NULL,
    ip_address VARCHAR(45)  NULL,
    details    JSON         NULL,
    created_at DATETIME(3)  NOT NULL,
    KEY audit_log_tenant (tenant_id, created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin COMMENT = 'append-only';

CREATE TABLE IF NOT EXISTS user_query (
    query_id      BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    tenant_id     INT          NULL,
    user_id       INT          NULL,
    sql_query     TEXT         NULL COMMENT 'path and parameters of the request',
    line          VARCHAR(500) NULL,
    start_date    DATETIME(3)  NULL,
    end_date      DATETIME(3)  NULL,
    interval_type VARCHAR(16)  NULL,
    duration_ms   INT          NULL,
    created_at    DATETIME(3)  NOT NULL,
    KEY user_query_user (user_id, created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS api_key (
    api_key_id   INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    tenant_id    INT          NOT NULL,
    name         VARCHAR(100) NOT NULL,
    key_hash     BINARY(32)   NOT NULL COMMENT 'SHA-256 of the key, which is nowhere',
    permissions  JSON         NULL,
    created_by   INT          NULL,
    created_at   DATETIME(3)  NOT NULL,
    last_used_at DATETIME(3)  NULL,
    revoked_at   DATETIME(3)  NULL,
    UNIQUE KEY api_key_hash (key_hash),
    KEY api_key_tenant (tenant_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS screen (
    screen_id    INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    tenant_id    INT          NULL COMMENT 'null: not paired yet',
    title        VARCHAR(100) NULL,
    pairing_code VARCHAR(8)   NULL COMMENT 'shown on the screen until it is paired',
    token_hash   BINARY(32)   NULL COMMENT 'SHA-256 of its read-only token',
    permissions  JSON         NULL COMMENT 'lines that it may show',
    created_by   INT          NULL,
    created_at   DATETIME(3)  NOT NULL,
    paired_at    DATETIME(3)  NULL,
    last_seen_at DATETIME(3)  NULL,
    revoked_at   DATETIME(3)  NULL,
    UNIQUE KEY screen_token (token_hash),
    UNIQUE KEY screen_code (pairing_code)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
