-- Where each profiled artifact's time goes, by the role of its operators, beside its multiply-accumulates by width.
-- :device = '' a device's id; all devices where it is empty
SELECT
    c.device, c.threads, c.artifact, t.model, t.precision, o.role,
    count(*) AS operators,
    sum(o.share) AS time_share,
    sum(o.avg_us * o.calls) AS time_us,
    CASE o.role WHEN 'binary convolution' THEN a.binary_macs WHEN 'float layer' THEN a.float_macs END AS macs,
    o.profiled_at
FROM operators AS o
JOIN cases AS c ON c.id = o.case_id
JOIN artifacts AS a ON a.sha256 = c.artifact
LEFT JOIN trials AS t ON t.id = (SELECT min(ta.trial_id) FROM trial_artifacts AS ta WHERE ta.artifact = a.sha256)
WHERE o.profiled_at = (SELECT max(newer.profiled_at) FROM operators AS newer WHERE newer.case_id = o.case_id)
  AND (:device = '' OR c.device = :device)
GROUP BY c.device, c.threads, c.artifact, t.model, t.precision, o.role, a.binary_macs, a.float_macs, o.profiled_at
ORDER BY c.device, c.artifact, c.threads, time_share DESC
