-- Every measurement ever made, newest first.
-- :device text = '' a device's id; empty for all devices
-- :artifact text = '' the start of the artifact's SHA-256
SELECT
    m.measured_at, c.device, c.tool, c.threads, c.protocol, c.artifact, c.inputs,
    m.latency_us, m.latency_low_us, m.latency_high_us, m.runs,
    CAST(m.valid AS INTEGER) AS valid, m.quality
FROM measurements AS m
JOIN cases AS c ON c.id = m.case_id
WHERE (:device = '' OR c.device = :device)
  AND substr(c.artifact, 1, length(:artifact)) = lower(:artifact)
ORDER BY m.measured_at DESC, m.id DESC
