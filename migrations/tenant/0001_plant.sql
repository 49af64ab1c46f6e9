-- What the tenant's file says, as tables. Rows that the file no longer has are marked inactive, never deleted.

CREATE TABLE IF NOT EXISTS config_version (
    version        INT UNSIGNED NOT NULL PRIMARY KEY,
    policy_version INT UNSIGNED NOT NULL,
    valid_from     BIGINT       NOT NULL COMMENT 'epoch ms; the first holds from the beginning',
    spec           MEDIUMTEXT   NOT NULL COMMENT 'the whole file as JSON, without the database''s address',
    author         VARCHAR(100) NOT NULL,
    created_at     DATETIME(3)  NOT NULL,
    UNIQUE KEY config_version_from (valid_from)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS production_line (
    line_id              INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    line_name            VARCHAR(48)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    title                VARCHAR(100) NOT NULL,
    line_group           VARCHAR(100) NULL,
    performance          DOUBLE       NULL COMMENT 'ideal pieces per minute',
    availability         DOUBLE       NULL COMMENT 'target',
    oee                  DOUBLE       NULL COMMENT 'target',
    downtime_threshold   DOUBLE       NOT NULL COMMENT 'seconds',
    micro_stop_threshold DOUBLE       NULL COMMENT 'seconds',
    retention_months     INT          NULL,
    is_active            BOOLEAN      NOT NULL DEFAULT TRUE,
    UNIQUE KEY production_line_name (line_name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS area (
    line_id   INT          NOT NULL,
    area_id   INT          NOT NULL,
    area_name VARCHAR(100) NOT NULL,
    area_type VARCHAR(16)  NOT NULL COMMENT 'input, process, output or reject',
    position  INT          NOT NULL COMMENT 'place in the line''s order, from 0',
    coord_x1  INT          NULL,
    coord_y1  INT          NULL,
    coord_x2  INT          NULL,
    coord_y2  INT          NULL,
    is_active BOOLEAN      NOT NULL DEFAULT TRUE,
    PRIMARY KEY (line_id, area_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS camera_area (
    camara_id INT     NOT NULL COMMENT 'the camera''s own number',
    line_id   INT     NOT NULL,
    area_id   INT     NOT NULL,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    PRIMARY KEY (line_id, area_id, camara_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS product (
    product_id     INT          NOT NULL PRIMARY KEY,
    product_code   VARCHAR(100) NOT NULL,
    product_name   VARCHAR(100) NOT NULL,
    product_weight DOUBLE       NULL COMMENT 'grams a piece',
    product_color  VARCHAR(16)  NULL,
    production_std DOUBLE       NULL COMMENT 'ideal pieces per minute',
    is_active      BOOLEAN      NOT NULL DEFAULT TRUE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS shift (
    shift_id         INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    shift_name       VARCHAR(100) NOT NULL,
    start_time       TIME         NOT NULL COMMENT 'wall time of the tenant''s zone',
    end_time         TIME         NOT NULL,
    is_overnight     BOOLEAN      NOT NULL,
    days_implemented JSON         NOT NULL,
    line_names       JSON         NULL COMMENT 'null: all lines',
    spec_hash        CHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'of the entry in the file',
    is_active        BOOLEAN      NOT NULL DEFAULT TRUE,
    UNIQUE KEY shift_spec (spec_hash)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS calendar (
    calendar_id INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind        VARCHAR(16)  NOT NULL COMMENT 'break, exception or extra_shift',
    name        VARCHAR(100) NULL,
    shift_names JSON         NULL COMMENT 'null: all shifts',
    date        DATE         NULL,
    start_time  TIME         NULL,
    end_time    TIME         NULL,
    days        JSON         NULL,
    line_names  JSON         NULL COMMENT 'null: all lines',
    spec_hash   CHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'of the entry in the file',
    is_active   BOOLEAN      NOT NULL DEFAULT TRUE,
    UNIQUE KEY calendar_spec (spec_hash)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS reason (
    reason_code VARCHAR(100) NOT NULL PRIMARY KEY,
    reason_name VARCHAR(100) NOT NULL,
    parent_code VARCHAR(100) NULL,
    kind        VARCHAR(16)  NOT NULL COMMENT 'unplanned, planned or changeover',
    category    VARCHAR(16)  NULL COMMENT 'of the six big losses',
    is_active   BOOLEAN      NOT NULL DEFAULT TRUE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS filter (
    filter_id         INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    filter_name       VARCHAR(100) NOT NULL,
    filter_status     BOOLEAN      NOT NULL DEFAULT TRUE,
    display_order     INT          NOT NULL DEFAULT 0,
    default_value     JSON         NULL,
    additional_filter JSON         NULL,
    UNIQUE KEY filter_name (filter_name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS failure (
    failure_id   INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    failure_name VARCHAR(100) NOT NULL,
    type_failure JSON         NULL,
    is_active    BOOLEAN      NOT NULL DEFAULT TRUE,
    UNIQUE KEY failure_name (failure_name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS incident (
    incident_id  BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    failure_id   INT          NULL,
    line_id      INT          NULL,
    downtime_id  VARCHAR(80)  CHARACTER SET ascii COLLATE ascii_bin NULL,
    description  TEXT         NULL,
    has_solution BOOLEAN      NOT NULL DEFAULT FALSE,
    solution     TEXT         NULL,
    author       VARCHAR(100) NULL,
    created_at   DATETIME(3)  NOT NULL,
    solved_at    DATETIME(3)  NULL,
    KEY incident_line (line_id, created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS system_config (
    `key`      VARCHAR(100) NOT NULL PRIMARY KEY,
    value      JSON         NOT NULL,
    updated_at DATETIME(3)  NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS system_monitor (
    monitor_id         BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    host               VARCHAR(100) NOT NULL,
    measured_at        DATETIME(3)  NOT NULL,
    cpu_usage          FLOAT        NULL,
    ram_usage          FLOAT        NULL,
    gpu_temp           FLOAT        NULL,
    gpu_mem_used_bytes BIGINT       NULL,
    KEY system_monitor_at (measured_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS camera_control_event (
    event_id           BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    camara_id          INT          NOT NULL,
    action             VARCHAR(32)  NOT NULL,
    reason             VARCHAR(255) NULL,
    gpu_mem_used_bytes BIGINT       NULL,
    author             VARCHAR(100) NULL,
    created_at         DATETIME(3)  NOT NULL,
    KEY camera_control_event_camera (camara_id, created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
