-- What a page may hold and what it holds: data, so that a customer never needs new code.

CREATE TABLE IF NOT EXISTS widget_catalog (
    widget_id       INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    widget_name     VARCHAR(100) NOT NULL,
    widget_type     VARCHAR(50)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    required_params JSON         NOT NULL COMMENT 'JSON Schema',
    default_size    JSON         NULL COMMENT '{"w": columns, "h": rows} on the grid of 4 columns',
    is_active       BOOLEAN      NOT NULL DEFAULT TRUE,
    UNIQUE KEY widget_catalog_type (widget_type)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS dashboard_template (
    template_id   INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    tenant_id     INT          NULL COMMENT 'null: for every tenant',
    user_id       INT          NULL COMMENT 'a user''s own copy',
    role_access   VARCHAR(16)  NULL COMMENT 'the role that it is for; null for a user''s copy',
    template_name VARCHAR(100) NOT NULL,
    layout_config JSON         NOT NULL,
    is_active     BOOLEAN      NOT NULL DEFAULT TRUE,
    updated_at    DATETIME(3)  NOT NULL,
    KEY dashboard_template_for (tenant_id, role_access),
    UNIQUE KEY dashboard_template_user (user_id, template_name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
