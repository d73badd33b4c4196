-- Variants that no other one on their device beats in accuracy, latency and size together; seeds are averaged.
-- :device = '' a device's id; all devices where it is empty
-- :dataset = '' a data set's name; all where it is empty
WITH variants AS MATERIALIZED (
    SELECT
        dataset, device, threads, protocol, model, parameters, recipe, precision, count(*) AS seeds,
        avg(accuracy) AS accuracy, avg(latency_us) AS latency_us, max(size_bytes) AS size_bytes
    FROM results
    WHERE accuracy IS NOT NULL AND (:device = '' OR device = :device) AND (:dataset = '' OR dataset = :dataset)
    GROUP BY device, parameters, precision, model, threads, protocol, dataset, recipe
),
placed AS MATERIALIZED (
    SELECT dense_rank() OVER (ORDER BY dataset, device, threads, protocol) AS place, v.* FROM variants AS v
)
SELECT dataset, device, threads, model, parameters, precision, seeds, accuracy, latency_us, size_bytes
FROM placed AS v
WHERE NOT EXISTS (
    SELECT 1
    FROM placed AS o
    WHERE o.place = v.place
      AND o.accuracy >= v.accuracy AND o.latency_us <= v.latency_us AND o.size_bytes <= v.size_bytes
      AND (o.accuracy > v.accuracy OR o.latency_us < v.latency_us OR o.size_bytes < v.size_bytes)
)
ORDER BY dataset, device, threads, accuracy DESC
