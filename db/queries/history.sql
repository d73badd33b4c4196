-- Every measurement ever made, the newest first.
-- :device text = '' a device's id; all devices where it is empty
-- :artifact text = '' how its SHA-256 begins
SELECT
    m.measured_at, c.device, c.tool, c.threads, c.protocol, c.artifact,
    m.latency_us, m.latency_low_us, m.latency_high_us, m.runs, CAST(m.valid AS INTEGER) AS valid, m.quality
FROM measurements AS m
JOIN cases AS c ON c.id = m.case_id
WHERE (:device = '' OR c.device = :device) AND substr(c.artifact, 1, length(:artifact)) = lower(:artifact)
ORDER BY m.measured_at DESC, m.id DESC
