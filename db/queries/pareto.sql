-- Variants that no other on their device beats in accuracy, latency and size, averaged over seeds.
-- :device text = '' a device's id; empty for all devices
-- :dataset text = '' a data set's name; empty for all data sets
WITH kinds AS MATERIALIZED (
    SELECT
        id AS trial,
        dense_rank() OVER (ORDER BY dataset, model, parameters, recipe, precision) AS kind
    FROM trials
    WHERE :dataset = '' OR dataset = :dataset
),
variants AS MATERIALIZED (
    SELECT
        r.device, r.threads, r.protocol, coalesce(r.inputs, '') AS inputs, k.kind,
        min(r.dataset) AS dataset, min(r.trial) AS trial, count(*) AS seeds,
        avg(r.latency_us) AS latency_us, avg(r.accuracy) AS accuracy,
        max(r.size_bytes) AS size_bytes
    FROM results AS r
    JOIN kinds AS k ON k.trial = r.trial
    WHERE r.accuracy IS NOT NULL AND (:device = '' OR r.device = :device)
    GROUP BY r.device, r.threads, r.protocol, coalesce(r.inputs, ''), k.kind
),
placed AS MATERIALIZED (
    SELECT dense_rank() OVER (ORDER BY dataset, device, threads, protocol, inputs) AS place, v.*
    FROM variants AS v
)
SELECT
    v.dataset, v.device, v.threads, t.model, t.parameters, t.precision, v.seeds,
    v.accuracy, v.latency_us, v.size_bytes
FROM placed AS v
JOIN trials AS t ON t.id = v.trial
WHERE NOT EXISTS (
    SELECT 1
    FROM placed AS o
    WHERE o.place = v.place
      AND o.accuracy >= v.accuracy AND o.latency_us <= v.latency_us AND o.size_bytes <= v.size_bytes
      AND (o.accuracy > v.accuracy OR o.latency_us < v.latency_us OR o.size_bytes < v.size_bytes)
)
ORDER BY v.dataset, v.device, v.threads, v.accuracy DESC
