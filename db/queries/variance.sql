-- How much each measurement's processes differ, and what did not count: the shakiest first.
-- :device = '' a device's id; all devices where it is empty
WITH spreads AS (
    SELECT measurement_id, max(avg_us) - min(avg_us) AS apart_us
    FROM runs
    WHERE disturbed = ''
    GROUP BY measurement_id
)
SELECT
    r.device, r.threads, r.protocol, r.artifact, r.runs, r.disturbed_runs, r.latency_us,
    (r.latency_high_us - r.latency_low_us) / r.latency_us AS interval_width,
    s.apart_us / r.latency_us AS spread,
    r.temperature_c, r.frequency_khz
FROM results AS r
LEFT JOIN spreads AS s ON s.measurement_id = r.measurement_id
WHERE r.latency_us > 0 AND (:device = '' OR r.device = :device)
ORDER BY spread DESC
