-- Every measurement ever made, the newest first.
SELECT m.measured_at, c.device, c.tool, c.threads, c.protocol, c.artifact, m.latency_us, m.latency_low_us, m.latency_high_us, m.runs, m.valid, m.quality
FROM measurements AS m
JOIN cases AS c ON c.id = m.case_id
ORDER BY m.id DESC
