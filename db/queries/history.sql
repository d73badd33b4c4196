-- Every measurement ever made, the newest first.
-- :device = '' a device's id; all devices where it is empty
-- :artifact = '' how its SHA-256 begins
SELECT
    m.measured_at, c.device, c.tool, c.threads, c.protocol, c.artifact,
    m.latency_us, m.latency_low_us, m.latency_high_us, m.runs, m.valid, m.quality
FROM measurements AS m
JOIN cases AS c ON c.id = m.case_id
WHERE (:device = '' OR c.device = :device) AND c.artifact LIKE :artifact || '%'
ORDER BY m.measured_at DESC, m.id DESC
