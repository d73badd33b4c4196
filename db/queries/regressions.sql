-- Artifacts that became slower on a device: the newest measurement against an older one.
-- :device text = '' a device's id; empty for all devices
-- :over number = 0.05 the smallest slowdown to report, as a share of 1
-- :date date = '' compare the newest measurement since this day with the newest before it
-- :new_tool text = '' the start of the SHA-256 of the newer measurement's tool
-- :old_tool text = '' the start of the SHA-256 of the older measurement's tool
WITH several AS MATERIALIZED (
    SELECT
        c.artifact, c.device, c.threads, c.protocol, c.cpus, c.tool,
        coalesce(c.inputs, '') AS inputs
    FROM measurements AS m
    JOIN cases AS c ON c.id = m.case_id
    WHERE m.valid AND (:device = '' OR c.device = :device)
    GROUP BY
        c.artifact, c.device, c.threads, c.protocol, c.cpus, c.tool, coalesce(c.inputs, '')
    HAVING count(*) > 1
),
aged AS (
    SELECT
        s.*, c.tool_sha256, m.measured_at, m.latency_us, m.latency_low_us, m.latency_high_us,
        row_number() OVER (
            PARTITION BY s.artifact, s.device, s.threads, s.protocol, s.cpus, s.tool, s.inputs
            ORDER BY m.measured_at DESC, m.id DESC
        ) AS age
    FROM several AS s
    JOIN cases AS c
        ON c.artifact = s.artifact AND c.device = s.device AND c.threads = s.threads
       AND c.protocol = s.protocol AND c.cpus = s.cpus AND c.tool = s.tool
       AND coalesce(c.inputs, '') = s.inputs
    JOIN measurements AS m ON m.case_id = c.id AND m.valid
),
with_new AS (
    SELECT
        aged.*,
        min(CASE
            WHEN substr(tool_sha256, 1, length(:new_tool)) = lower(:new_tool)
             AND measured_at >= :date THEN age
        END) OVER (PARTITION BY artifact, device, threads, protocol, cpus, tool, inputs) AS new_age
    FROM aged
),
with_both AS (
    SELECT
        with_new.*,
        min(CASE
            WHEN age > new_age
             AND substr(tool_sha256, 1, length(:old_tool)) = lower(:old_tool)
             AND (:date = '' OR measured_at < :date) THEN age
        END) OVER (PARTITION BY artifact, device, threads, protocol, cpus, tool, inputs) AS old_age
    FROM with_new
),
pairs AS (
    SELECT
        device, threads, protocol, artifact, inputs,
        max(CASE WHEN age = old_age THEN latency_us END) AS old_latency_us,
        max(CASE WHEN age = old_age THEN latency_high_us END) AS old_latency_high_us,
        max(CASE WHEN age = new_age THEN latency_us END) AS latency_us,
        max(CASE WHEN age = new_age THEN latency_low_us END) AS latency_low_us,
        max(CASE WHEN age = old_age THEN measured_at END) AS old_measured_at,
        max(CASE WHEN age = new_age THEN measured_at END) AS measured_at,
        max(CASE WHEN age = old_age THEN tool_sha256 END) AS old_tool_sha256,
        max(CASE WHEN age = new_age THEN tool_sha256 END) AS tool_sha256
    FROM with_both
    GROUP BY device, threads, protocol, artifact, cpus, tool, inputs
)
SELECT
    device, threads, protocol, artifact, inputs, latency_us / old_latency_us AS ratio,
    old_latency_us, latency_us, old_measured_at, measured_at, old_tool_sha256, tool_sha256
FROM pairs
WHERE latency_us > (1 + :over) * old_latency_us
  AND latency_low_us > old_latency_high_us  -- the intervals do not overlap
ORDER BY ratio DESC
