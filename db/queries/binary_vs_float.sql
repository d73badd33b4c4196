-- Each binary artifact beside its float twin: speedup, share of the size, points of accuracy.
-- :device text = '' a device's id; empty for all devices
-- :sweep text = '' a sweep's name; empty for all sweeps
WITH r AS MATERIALIZED (
    SELECT *
    FROM results
    WHERE precision IN ('binary', 'float32')
      AND (:device = '' OR device = :device)
      AND (:sweep = '' OR sweep = :sweep)
)
SELECT
    b.sweep, b.model, b.parameters, b.seed, b.device, b.threads,
    f.latency_us / b.latency_us AS times_faster,
    CAST(b.size_bytes AS FLOAT) / f.size_bytes AS size_share,
    100 * (b.accuracy - f.accuracy) AS accuracy_points
FROM r AS b
JOIN r AS f
    ON f.twin = b.twin AND f.sweep = b.sweep AND f.device = b.device AND f.threads = b.threads
   AND f.tool = b.tool AND f.protocol = b.protocol AND f.format = b.format
   AND coalesce(f.inputs, '') = coalesce(b.inputs, '')
WHERE b.precision = 'binary' AND f.precision = 'float32'
ORDER BY b.dataset, b.size_bytes, b.device, b.threads, b.twin, b.sweep
