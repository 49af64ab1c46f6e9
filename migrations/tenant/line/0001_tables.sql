-- A line's own tables; {line} is its name.

-- Time first in the key: a range of time is one stretch of pages, and rows in order are appended. No secondary
-- index: it would double the cost of a row. The partitions of the months are made as they are needed.
CREATE TABLE IF NOT EXISTS `detection_line_{line}` (
    detection_id BIGINT      NOT NULL,
    detected_at  DATETIME(3) NOT NULL,
    area_id      INT         NOT NULL,
    product_id   INT         NOT NULL,
    quantity     INT         NOT NULL,
    camera_id    INT         NULL,
    confidence   FLOAT       NULL,
    late         BOOLEAN     NOT NULL,
    PRIMARY KEY (detected_at, detection_id)
) ENGINE = InnoDB DEFAULT CHARSET = ascii COLLATE = ascii_bin
PARTITION BY RANGE COLUMNS (detected_at) (PARTITION gmax VALUES LESS THAN (MAXVALUE));

CREATE TABLE IF NOT EXISTS `downtime_events_{line}` (
    downtime_id   VARCHAR(80)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    revision      INT UNSIGNED NOT NULL,
    status        VARCHAR(10)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'open, closed or retracted',
    start_time    DATETIME(3)  NOT NULL,
    end_time      DATETIME(3)  NULL COMMENT 'null while open',
    duration_ms   BIGINT       NOT NULL,
    reason_code   VARCHAR(100) NULL,
    comment       TEXT         NULL,
    planned       BOOLEAN      NOT NULL,
    shift_id      VARCHAR(100) NULL COMMENT 'name of the shift of the start',
    business_date DATE         NOT NULL,
    segments      MEDIUMTEXT   NOT NULL COMMENT 'JSON',
    KEY start_time (start_time)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS `rollup_minute_{line}` (
    minute          DATETIME   NOT NULL PRIMARY KEY COMMENT 'start, UTC',
    unscheduled_ms  INT        NOT NULL,
    planned_stop_ms INT        NOT NULL,
    no_data_ms      INT        NOT NULL,
    running_ms      INT        NOT NULL,
    micro_stop_ms   INT        NOT NULL,
    stopped_ms      INT        NOT NULL,
    apt_ms          INT        NOT NULL,
    total           BIGINT     NOT NULL,
    good            BIGINT     NOT NULL,
    reject          BIGINT     NOT NULL,
    outside_pbt     BIGINT     NOT NULL,
    good_outside    BIGINT     NOT NULL,
    ideal_ns        BIGINT     NOT NULL,
    seen            BIGINT     NOT NULL,
    without_cycle   BIGINT     NOT NULL,
    unmeasured      BIGINT     NOT NULL,
    stops           INT        NOT NULL,
    micro_stops     INT        NOT NULL,
    pieces          MEDIUMTEXT NOT NULL COMMENT 'JSON: [[area_id, product_id, quantity], ...]',
    slices          BLOB       NOT NULL COMMENT 'the six slices of 10 s in the core''s encoding'
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
