-- Trials, cases and devices whose last attempt failed: why, and what to do.
SELECT f.failed_at, 'trial' AS what, f.trial_id AS id, t.sweep AS subject, NULL AS file,
    f.reason, f.message
FROM failures AS f
JOIN trials AS t ON t.id = f.trial_id
WHERE t.status = 'failed'
  AND f.id = (SELECT max(newer.id) FROM failures AS newer WHERE newer.trial_id = f.trial_id)
UNION ALL
SELECT f.failed_at, 'case', f.case_id, c.device, a.name, f.reason, f.message
FROM failures AS f
JOIN cases AS c ON c.id = f.case_id
LEFT JOIN artifacts AS a ON a.sha256 = c.artifact
WHERE f.id = (SELECT max(newer.id) FROM failures AS newer WHERE newer.case_id = f.case_id)
  AND NOT EXISTS (
      SELECT 1
      FROM measurements AS m
      WHERE m.case_id = f.case_id AND m.valid AND m.measured_at > f.failed_at
  )
UNION ALL
SELECT f.failed_at, 'device', f.device, f.device, NULL, f.reason, f.message
FROM failures AS f
JOIN devices AS d ON d.id = f.device
WHERE d.state = 'set aside'
  AND f.id = (SELECT max(newer.id) FROM failures AS newer WHERE newer.device = f.device)
ORDER BY failed_at DESC
