-- An hour has a row once the line clock has left it. The migration before this one could not know the clock: where it
-- stood inside an hour's last minute, it added that hour up too soon. A minute that the clock has left holds 60,000 ms.
DELETE added FROM `rollup_hour_{line}` AS added JOIN (
    SELECT minute, unscheduled_ms + planned_stop_ms + no_data_ms + running_ms + micro_stop_ms + stopped_ms AS told
    FROM `rollup_minute_{line}` ORDER BY minute DESC LIMIT 1
) AS last ON added.hour = CAST(DATE_FORMAT(last.minute, '%Y-%m-%d %H:00:00') AS DATETIME)
WHERE last.told < 60000;

DELETE added FROM `pieces_hour_{line}` AS added JOIN (
    SELECT minute, unscheduled_ms + planned_stop_ms + no_data_ms + running_ms + micro_stop_ms + stopped_ms AS told
    FROM `rollup_minute_{line}` ORDER BY minute DESC LIMIT 1
) AS last ON added.hour = CAST(DATE_FORMAT(last.minute, '%Y-%m-%d %H:00:00') AS DATETIME)
WHERE last.told < 60000;
