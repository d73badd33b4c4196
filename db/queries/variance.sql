-- How much each measurement's processes differ, and what did not count: the shakiest first.
-- :device text = '' a device's id; all devices where it is empty
WITH spreads AS (
    SELECT measurement_id, max(avg_us) - min(avg_us) AS apart_us
    FROM runs
    WHERE disturbed = ''
    GROUP BY measurement_id
)
SELECT
    c.device, c.threads, c.protocol, c.artifact, m.measured_at, m.runs, m.disturbed_runs, m.latency_us,
    (m.latency_high_us - m.latency_low_us) / m.latency_us AS interval_width,
    s.apart_us / m.latency_us AS spread,
    m.temperature_c, m.frequency_khz
FROM measurements AS m
JOIN cases AS c ON c.id = m.case_id
LEFT JOIN spreads AS s ON s.measurement_id = m.id
WHERE m.valid AND m.latency_us > 0 AND (:device = '' OR c.device = :device)
ORDER BY spread DESC
