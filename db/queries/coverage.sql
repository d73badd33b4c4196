-- Artifacts without a good number: missing, queued, failed or stale on a device.
-- :device text = '' a device's id; empty for all devices
-- :sweep text = '' a sweep's name; empty for all sweeps
-- :since date = '' measurements before this day are stale
WITH measurements_of_tools AS MATERIALIZED (
    SELECT c.artifact, c.device, c.tool, c.tool_sha256, m.measured_at
    FROM measurements AS m
    JOIN cases AS c ON c.id = m.case_id
    WHERE m.valid AND (:device = '' OR c.device = :device)
),
builds AS (
    SELECT
        device, tool, tool_sha256,
        row_number() OVER (PARTITION BY device, tool ORDER BY max(measured_at) DESC) AS age
    FROM measurements_of_tools
    GROUP BY device, tool, tool_sha256
),
older AS MATERIALIZED (SELECT device, tool, tool_sha256 FROM builds WHERE age > 1),
measured AS MATERIALIZED (
    SELECT
        m.artifact, m.device, max(m.measured_at) AS measured_at,
        sum(CASE WHEN o.device IS NULL THEN 1 ELSE 0 END) AS by_newest_build
    FROM measurements_of_tools AS m
    LEFT JOIN older AS o
        ON o.device = m.device AND o.tool = m.tool AND o.tool_sha256 = m.tool_sha256
    GROUP BY m.artifact, m.device
),
failed AS MATERIALIZED (
    SELECT
        c.artifact, c.device, f.failed_at, f.message,
        row_number() OVER (
            PARTITION BY c.artifact, c.device ORDER BY f.failed_at DESC, f.id DESC
        ) AS age
    FROM failures AS f
    JOIN cases AS c ON c.id = f.case_id
),
queued AS MATERIALIZED (SELECT DISTINCT artifact, device FROM queue),
all_devices AS (SELECT id FROM devices UNION SELECT device FROM cases),
pairs AS (
    SELECT d.id AS device, a.sha256 AS artifact
    FROM all_devices AS d
    CROSS JOIN artifacts AS a
    WHERE (:device = '' OR d.id = :device)
      AND a.sha256 NOT IN (SELECT artifact FROM forms WHERE artifact IS NOT NULL)
      AND (:sweep = '' OR a.sha256 IN (
          SELECT ta.artifact
          FROM trial_artifacts AS ta
          JOIN sweep_trials AS s ON s.trial_id = ta.trial_id
          WHERE s.sweep = :sweep))
),
states AS (
    SELECT
        p.device, p.artifact, m.measured_at, f.message,
        CASE
            WHEN q.artifact IS NOT NULL THEN 'queued'
            WHEN f.failed_at > coalesce(m.measured_at, '') THEN 'failed'
            WHEN m.artifact IS NULL THEN 'missing'
            WHEN m.by_newest_build = 0 THEN 'stale: another build of the tool is newer'
            WHEN m.measured_at < :since THEN 'stale: measured too long ago'
        END AS state
    FROM pairs AS p
    LEFT JOIN measured AS m ON m.artifact = p.artifact AND m.device = p.device
    LEFT JOIN failed AS f ON f.artifact = p.artifact AND f.device = p.device AND f.age = 1
    LEFT JOIN queued AS q ON q.artifact = p.artifact AND q.device = p.device
)
SELECT device, artifact, state, measured_at, CASE WHEN state = 'failed' THEN message END AS message
FROM states
WHERE state IS NOT NULL
ORDER BY device, state, artifact
