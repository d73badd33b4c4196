-- Benchmarked devices: the last answer of each, who uses it, and its queued and measured cases.
SELECT
    d.id AS device, d.kind, d.state, d.seen_at,
    (SELECT l.owner FROM leases AS l
     WHERE l.number = (
         SELECT min(first.number) FROM leases AS first WHERE first.device = d.id
     )) AS used_by,
    (SELECT count(*) FROM queue AS q WHERE q.device = d.id) AS queued,
    (SELECT count(DISTINCT m.case_id) FROM measurements AS m JOIN cases AS c ON c.id = m.case_id
     WHERE c.device = d.id AND m.valid) AS measured,
    d.message
FROM devices AS d
ORDER BY d.id
