-- How much each measurement's processes differ, and what did not count: the shakiest first.
SELECT
    r.device, r.threads, r.protocol, r.artifact, r.runs, r.disturbed_runs, r.latency_us,
    (r.latency_high_us - r.latency_low_us) / r.latency_us AS interval_width,
    (SELECT (max(n.avg_us) - min(n.avg_us)) / r.latency_us FROM runs AS n
     WHERE n.measurement_id = r.measurement_id AND n.disturbed = '') AS spread,
    r.temperature_c, r.frequency_khz
FROM results AS r
WHERE r.latency_us > 0
ORDER BY spread DESC
