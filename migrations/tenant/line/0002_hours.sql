-- The minutes added up by hours: for figures over long periods. An hour has a row once the line clock has left it.
CREATE TABLE IF NOT EXISTS `rollup_hour_{line}` (
    hour            DATETIME NOT NULL PRIMARY KEY COMMENT 'start, UTC',
    unscheduled_ms  BIGINT   NOT NULL,
    planned_stop_ms BIGINT   NOT NULL,
    no_data_ms      BIGINT   NOT NULL,
    running_ms      BIGINT   NOT NULL,
    micro_stop_ms   BIGINT   NOT NULL,
    stopped_ms      BIGINT   NOT NULL,
    apt_ms          BIGINT   NOT NULL,
    total           BIGINT   NOT NULL,
    good            BIGINT   NOT NULL,
    reject          BIGINT   NOT NULL,
    outside_pbt     BIGINT   NOT NULL,
    good_outside    BIGINT   NOT NULL,
    ideal_ns        BIGINT   NOT NULL,
    seen            BIGINT   NOT NULL,
    without_cycle   BIGINT   NOT NULL,
    unmeasured      BIGINT   NOT NULL,
    stops           BIGINT   NOT NULL,
    micro_stops     BIGINT   NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = ascii COLLATE = ascii_bin;

CREATE TABLE IF NOT EXISTS `pieces_hour_{line}` (
    hour       DATETIME NOT NULL COMMENT 'start, UTC',
    area_id    INT      NOT NULL,
    product_id INT      NOT NULL,
    quantity   BIGINT   NOT NULL,
    PRIMARY KEY (hour, area_id, product_id)
) ENGINE = InnoDB DEFAULT CHARSET = ascii COLLATE = ascii_bin;

-- What is there already. The last hour is the clock's own, unless its last minute is there.
REPLACE INTO `rollup_hour_{line}` (hour, unscheduled_ms, planned_stop_ms, no_data_ms, running_ms, micro_stop_ms, stopped_ms, apt_ms, total, good, reject, outside_pbt, good_outside, ideal_ns, seen, without_cycle, unmeasured, stops, micro_stops)
SELECT CAST(DATE_FORMAT(minute, '%Y-%m-%d %H:00:00') AS DATETIME) AS of_hour,
    SUM(unscheduled_ms), SUM(planned_stop_ms), SUM(no_data_ms), SUM(running_ms), SUM(micro_stop_ms),
    SUM(stopped_ms), SUM(apt_ms), SUM(total), SUM(good), SUM(reject),
    SUM(outside_pbt), SUM(good_outside), SUM(ideal_ns), SUM(seen), SUM(without_cycle),
    SUM(unmeasured), SUM(stops), SUM(micro_stops)
FROM `rollup_minute_{line}`
WHERE minute < (SELECT CAST(DATE_FORMAT(MAX(minute) + INTERVAL 1 MINUTE, '%Y-%m-%d %H:00:00') AS DATETIME)
    FROM `rollup_minute_{line}`)
GROUP BY of_hour;

REPLACE INTO `pieces_hour_{line}` (hour, area_id, product_id, quantity)
SELECT CAST(DATE_FORMAT(minute, '%Y-%m-%d %H:00:00') AS DATETIME) AS of_hour,
    piece.area_id, piece.product_id, SUM(piece.quantity)
FROM `rollup_minute_{line}`, JSON_TABLE(pieces, '$[*]' COLUMNS (area_id INT PATH '$[0]', product_id INT PATH '$[1]',
    quantity BIGINT PATH '$[2]')) AS piece
WHERE minute < (SELECT CAST(DATE_FORMAT(MAX(minute) + INTERVAL 1 MINUTE, '%Y-%m-%d %H:00:00') AS DATETIME)
    FROM `rollup_minute_{line}`)
GROUP BY of_hour, piece.area_id, piece.product_id;
