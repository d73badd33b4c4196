-- Where each profiled artifact's time goes, by the role of its operators, with its MACs by width.
-- :device text = '' a device's id; empty for all devices
WITH newest AS MATERIALIZED (
    SELECT case_id, max(profiled_at) AS profiled_at
    FROM operators
    GROUP BY case_id
),
roles AS MATERIALIZED (
    SELECT
        o.case_id, o.profiled_at, o.role,
        count(*) AS operators, sum(o.share) AS time_share, sum(o.avg_us * o.calls) AS time_us
    FROM newest AS n
    JOIN operators AS o ON o.case_id = n.case_id AND o.profiled_at = n.profiled_at
    GROUP BY o.case_id, o.profiled_at, o.role
)
SELECT
    c.device, c.threads, c.artifact, t.model, t.precision,
    r.role, r.operators, r.time_share, r.time_us,
    CASE
        WHEN c.resized IS NOT FALSE THEN NULL
        WHEN r.role = 'binary convolution' THEN a.binary_macs
        WHEN r.role = 'float layer' THEN a.float_macs
    END AS macs,
    r.profiled_at
FROM roles AS r
JOIN cases AS c ON c.id = r.case_id
JOIN artifacts AS a ON a.sha256 = c.artifact
LEFT JOIN trials AS t
    ON t.id = (SELECT min(ta.trial_id) FROM trial_artifacts AS ta WHERE ta.artifact = a.sha256)
WHERE :device = '' OR c.device = :device
ORDER BY c.device, c.artifact, c.threads, r.time_share DESC
