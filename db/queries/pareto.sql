-- Variants that no other one on their device beats in accuracy, latency and size together.
SELECT DISTINCT r.device, r.threads, r.dataset, r.model, r.parameters, r.precision, r.seed, r.accuracy, r.latency_us, r.size_bytes
FROM results AS r
WHERE NOT EXISTS (
    SELECT 1
    FROM results AS o
    WHERE o.device = r.device AND o.threads = r.threads AND o.protocol = r.protocol AND o.dataset = r.dataset
      AND o.accuracy >= r.accuracy AND o.latency_us <= r.latency_us AND o.size_bytes <= r.size_bytes
      AND (o.accuracy > r.accuracy OR o.latency_us < r.latency_us OR o.size_bytes < r.size_bytes)
)
ORDER BY r.dataset, r.device, r.threads, r.accuracy DESC
