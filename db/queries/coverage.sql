-- What there is no good number of: artifacts that are missing, queued, failed or stale on a device.
-- :device = '' a device's id; all devices where it is empty
-- :sweep = '' a sweep's name; all where it is empty
-- :since = '' what was measured before then is stale, as 2024-12-31
WITH newest AS MATERIALIZED (
    SELECT
        c.artifact, c.device, c.tool, c.tool_sha256, m.measured_at,
        row_number() OVER (PARTITION BY c.artifact, c.device ORDER BY m.measured_at DESC, m.id DESC) AS age,
        row_number() OVER (PARTITION BY c.device, c.tool ORDER BY m.measured_at DESC, m.id DESC) AS age_on_device
    FROM measurements AS m
    JOIN cases AS c ON c.id = m.case_id
    WHERE m.valid
),
tools AS MATERIALIZED (SELECT device, tool, tool_sha256 FROM newest WHERE age_on_device = 1),
failed AS MATERIALIZED (
    SELECT c.artifact, c.device, max(f.failed_at) AS failed_at, max(f.message) AS message
    FROM failures AS f
    JOIN cases AS c ON c.id = f.case_id
    GROUP BY c.artifact, c.device
),
asked AS MATERIALIZED (SELECT DISTINCT artifact, device FROM queue),
wanted AS (
    SELECT d.id AS device, a.sha256 AS artifact
    FROM devices AS d
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
        w.device, w.artifact, n.measured_at,
        CASE
            WHEN q.artifact IS NOT NULL THEN 'queued'
            WHEN f.failed_at > coalesce(n.measured_at, '') THEN 'failed'
            WHEN n.artifact IS NULL THEN 'missing'
            WHEN n.tool_sha256 <> t.tool_sha256 THEN 'stale: another build of the tool is newer'
            WHEN n.measured_at < :since THEN 'stale: measured too long ago'
        END AS state,
        f.message
    FROM wanted AS w
    LEFT JOIN newest AS n ON n.artifact = w.artifact AND n.device = w.device AND n.age = 1
    LEFT JOIN tools AS t ON t.device = n.device AND t.tool = n.tool
    LEFT JOIN failed AS f ON f.artifact = w.artifact AND f.device = w.device
    LEFT JOIN asked AS q ON q.artifact = w.artifact AND q.device = w.device
)
SELECT device, artifact, state, measured_at, CASE WHEN state = 'failed' THEN message END AS message
FROM states
WHERE state IS NOT NULL
ORDER BY device, state, artifact
