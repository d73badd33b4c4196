-- Artifacts that became slower on a device: the newest measurement against an older one, intervals apart.
-- :device = '' a device's id; all devices where it is empty
-- :over = 0.05 the least change that counts, as a share
-- :date = '' compare the newest from then on with the newest before then, as 2024-12-31
-- :new_tool = '' how the SHA-256 of the newer measurement's tool begins
-- :old_tool = '' how the SHA-256 of the older measurement's tool begins
WITH made AS MATERIALIZED (
    SELECT
        m.id, m.measured_at, m.latency_us, m.latency_low_us, m.latency_high_us,
        c.artifact, c.device, c.threads, c.protocol, c.cpus, c.tool, c.tool_sha256
    FROM measurements AS m
    JOIN cases AS c ON c.id = m.case_id
    WHERE m.valid AND (:device = '' OR c.device = :device)
),
newer AS (
    SELECT
        made.*,
        row_number() OVER (
            PARTITION BY artifact, device, threads, protocol, cpus, tool ORDER BY measured_at DESC, id DESC
        ) AS age
    FROM made
    WHERE tool_sha256 LIKE :new_tool || '%' AND measured_at >= :date
),
pairs AS (
    SELECT
        n.*,
        o.measured_at AS old_measured_at, o.latency_us AS old_latency_us, o.latency_high_us AS old_latency_high_us,
        o.tool_sha256 AS old_tool_sha256,
        row_number() OVER (PARTITION BY n.id ORDER BY o.measured_at DESC, o.id DESC) AS back
    FROM newer AS n
    JOIN made AS o
        ON o.artifact = n.artifact AND o.device = n.device AND o.threads = n.threads
       AND o.protocol = n.protocol AND o.cpus = n.cpus AND o.tool = n.tool
       AND (o.measured_at, o.id) < (n.measured_at, n.id)
       AND o.tool_sha256 LIKE :old_tool || '%' AND (:date = '' OR o.measured_at < :date)
    WHERE n.age = 1
)
SELECT
    device, threads, protocol, artifact, latency_us / old_latency_us AS ratio,
    old_latency_us, latency_us, old_measured_at, measured_at, old_tool_sha256, tool_sha256
FROM pairs
WHERE back = 1 AND latency_us > (1 + :over) * old_latency_us AND latency_low_us > old_latency_high_us
ORDER BY ratio DESC
