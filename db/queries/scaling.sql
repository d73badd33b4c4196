-- How latency grows with multiply-accumulates, and how many times faster more threads make it.
-- :device = '' a device's id; all devices where it is empty
-- :model = '' an architecture's name; all where it is empty
SELECT
    sweep, device, protocol, model, parameters, precision, seed, threads, binary_macs, float_macs, latency_us,
    1000.0 * latency_us / (binary_macs + float_macs) AS ns_per_mac,
    max(CASE WHEN threads = 1 THEN latency_us END)
        OVER (PARTITION BY device, tool, protocol, artifact) / latency_us AS times_one_thread
FROM results
WHERE binary_macs + float_macs > 0 AND (:device = '' OR device = :device) AND (:model = '' OR model = :model)
ORDER BY device, model, precision, threads, binary_macs + float_macs
