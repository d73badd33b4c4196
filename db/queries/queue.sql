-- Requests that have not ended yet, oldest first.
SELECT q.device, q.artifact, q.protocol, q.threads, q.asked_at, d.state, d.message
FROM queue AS q
LEFT JOIN devices AS d ON d.id = q.device
ORDER BY q.asked_at, q.device
