-- How latency grows with multiply-accumulates, and how many times faster more threads make it.
-- :device text = '' a device's id; all devices where it is empty
-- :model text = '' an architecture's name; all where it is empty
SELECT
    r.sweep, r.device, r.protocol, r.model, r.parameters, r.precision, r.seed, r.threads,
    r.binary_macs, r.float_macs, r.latency_us,
    1000.0 * r.latency_us / (r.binary_macs + r.float_macs) AS ns_per_mac,
    CASE
        WHEN r.threads = 1 THEN 1.0
        ELSE (
            SELECT max(one.latency_us)
            FROM results AS one
            WHERE one.artifact = r.artifact AND one.device = r.device AND one.threads = 1
              AND one.tool = r.tool AND one.protocol = r.protocol
        ) / r.latency_us
    END AS times_one_thread
FROM results AS r
WHERE r.binary_macs + r.float_macs > 0 AND (:device = '' OR r.device = :device) AND (:model = '' OR r.model = :model)
ORDER BY r.device, r.model, r.precision, r.threads, r.binary_macs + r.float_macs, r.seed, r.sweep
