-- The fastest variant on each device for each data set, among those that are accurate enough.
-- :min_accuracy share = 0.0 the lowest accuracy to include; your own models have none and need 0
-- :precision precision = '' a precision; empty for all
WITH ranked AS (
    SELECT
        device, threads, dataset, model, parameters, precision, seed,
        latency_us, latency_low_us, latency_high_us, accuracy, size_bytes, quality,
        row_number() OVER (
            PARTITION BY device, threads, dataset ORDER BY latency_us, artifact, sweep
        ) AS place
    FROM results
    WHERE NOT untrained AND (:min_accuracy = 0 OR accuracy >= :min_accuracy)
      AND (:precision = '' OR precision = :precision)
)
SELECT
    device, threads, dataset, model, parameters, precision, seed,
    latency_us, latency_low_us, latency_high_us, accuracy, size_bytes, quality
FROM ranked
WHERE place = 1
ORDER BY device, threads, dataset
