-- How much the runs of each measurement differ, and how many do not count; least stable first.
-- :device text = '' a device's id; empty for all devices
WITH spreads AS (
    SELECT measurement_id, max(avg_us) - min(avg_us) AS spread_us
    FROM runs
    WHERE disturbed = ''
    GROUP BY measurement_id
)
SELECT
    c.device, c.threads, c.protocol, c.artifact, c.inputs, m.measured_at,
    m.runs, m.disturbed_runs, m.latency_us,
    (m.latency_high_us - m.latency_low_us) / m.latency_us AS interval_width,
    s.spread_us / m.latency_us AS spread,
    m.temperature_c, m.frequency_khz
FROM measurements AS m
JOIN cases AS c ON c.id = m.case_id
LEFT JOIN spreads AS s ON s.measurement_id = m.id
WHERE m.valid AND m.latency_us > 0 AND (:device = '' OR c.device = :device)
ORDER BY spread DESC
