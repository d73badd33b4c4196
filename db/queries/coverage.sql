-- What there is no good number of: artifacts that are missing, queued, failed or stale on a device.
-- :device text = '' a device's id; all devices where it is empty
-- :sweep text = '' a sweep's name; all where it is empty
-- :since date = '' what was measured before then is stale
WITH made AS MATERIALIZED (
    SELECT c.artifact, c.device, c.tool, c.tool_sha256, m.measured_at
    FROM measurements AS m
    JOIN cases AS c ON c.id = m.case_id
    WHERE m.valid AND (:device = '' OR c.device = :device)
),
builds AS (
    SELECT
        device, tool, tool_sha256,
        row_number() OVER (PARTITION BY device, tool ORDER BY max(measured_at) DESC) AS age
    FROM made
    GROUP BY device, tool, tool_sha256
),
older AS MATERIALIZED (SELECT device, tool, tool_sha256 FROM builds WHERE age > 1),
measured AS MATERIALIZED (
    SELECT
        m.artifact, m.device, max(m.measured_at) AS measured_at,
        sum(CASE WHEN o.device IS NULL THEN 1 ELSE 0 END) AS by_newest_build
    FROM made AS m
    LEFT JOIN older AS o ON o.device = m.device AND o.tool = m.tool AND o.tool_sha256 = m.tool_sha256
    GROUP BY m.artifact, m.device
),
failed AS MATERIALIZED (
    SELECT
        c.artifact, c.device, f.failed_at, f.message,
        row_number() OVER (PARTITION BY c.artifact, c.device ORDER BY f.failed_at DESC, f.id DESC) AS age
    FROM failures AS f
    JOIN cases AS c ON c.id = f.case_id
),
asked AS MATERIALIZED (SELECT DISTINCT artifact, device FROM queue),
known AS (SELECT id FROM devices UNION SELECT device FROM cases),
wanted AS (
    SELECT d.id AS device, a.sha256 AS artifact
    FROM known AS d
    CROSS JOIN artifacts AS a
    WHERE (:device = '' OR d.id = :device)
      AND (:sweep = '' OR a.sha256 IN (
          SELECT ta.artifact
          FROM trial_artifacts AS ta
          JOIN sweep_trials AS s ON s.trial_id = ta.trial_id
          WHERE s.sweep = :sweep))
),
states AS (
    SELECT
        w.device, w.artifact, m.measured_at, f.message,
        CASE
            WHEN q.artifact IS NOT NULL THEN 'queued'
            WHEN f.failed_at > coalesce(m.measured_at, '') THEN 'failed'
            WHEN m.artifact IS NULL THEN 'missing'
            WHEN m.by_newest_build = 0 THEN 'stale: another build of the tool is newer'
            WHEN m.measured_at < :since THEN 'stale: measured too long ago'
        END AS state
    FROM wanted AS w
    LEFT JOIN measured AS m ON m.artifact = w.artifact AND m.device = w.device
    LEFT JOIN failed AS f ON f.artifact = w.artifact AND f.device = w.device AND f.age = 1
    LEFT JOIN asked AS q ON q.artifact = w.artifact AND q.device = w.device
)
SELECT device, artifact, state, measured_at, CASE WHEN state = 'failed' THEN message END AS message
FROM states
WHERE state IS NOT NULL
ORDER BY device, state, artifact
