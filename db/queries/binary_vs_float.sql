-- Each binary artifact beside its float twin: times faster, share of the size, points of accuracy.
SELECT
    b.sweep, b.model, b.parameters, b.seed, b.device, b.threads,
    f.latency_us / b.latency_us AS times_faster,
    CAST(b.size_bytes AS FLOAT) / f.size_bytes AS size_share,
    100 * (b.accuracy - f.accuracy) AS accuracy_points
FROM results AS b
JOIN results AS f
    ON f.twin = b.twin AND f.sweep = b.sweep AND f.device = b.device AND f.threads = b.threads AND f.tool = b.tool AND f.protocol = b.protocol AND f.format = b.format
WHERE b.precision = 'binary' AND f.precision = 'float32'
ORDER BY b.dataset, b.size_bytes
