-- How latency grows with multiply-accumulates, and the speedup from more threads.
-- :device text = '' a device's id; empty for all devices
-- :model text = '' an architecture's name; empty for all
SELECT
    r.sweep, r.device, r.protocol, r.model, r.parameters, r.precision, r.seed, r.threads,
    r.binary_macs, r.float_macs, r.latency_us,
    1000.0 * r.latency_us / (r.binary_macs + r.float_macs) AS ns_per_mac,
    CASE
        WHEN r.threads = 1 THEN 1.0
        ELSE (
            SELECT max(single.latency_us)
            FROM results AS single
            WHERE single.artifact = r.artifact AND single.device = r.device AND single.threads = 1
              AND single.tool = r.tool AND single.protocol = r.protocol
              AND coalesce(single.inputs, '') = coalesce(r.inputs, '')
        ) / r.latency_us
    END AS times_one_thread
FROM results AS r
WHERE NOT r.untrained AND r.binary_macs + r.float_macs > 0
  AND (:device = '' OR r.device = :device)
  AND (:model = '' OR r.model = :model)
ORDER BY r.device, r.model, r.precision, r.threads, r.binary_macs + r.float_macs, r.seed, r.sweep
