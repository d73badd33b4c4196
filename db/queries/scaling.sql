-- How latency grows with multiply-accumulates, and how many times faster more threads make it.
-- :device = '' a device's id; all devices where it is empty
-- :model = '' an architecture's name; all where it is empty
WITH r AS MATERIALIZED (
    SELECT DISTINCT
        device, tool, protocol, artifact, model, parameters, precision, seed, threads,
        binary_macs, float_macs, latency_us
    FROM results
    WHERE (:device = '' OR device = :device) AND (:model = '' OR model = :model)
),
one AS MATERIALIZED (SELECT device, tool, protocol, artifact, latency_us FROM r WHERE threads = 1)
SELECT
    r.device, r.protocol, r.model, r.parameters, r.precision, r.seed, r.threads, r.binary_macs, r.float_macs, r.latency_us,
    1000.0 * r.latency_us / (r.binary_macs + r.float_macs) AS ns_per_mac,
    one.latency_us / r.latency_us AS times_one_thread
FROM r
LEFT JOIN one
    ON one.device = r.device AND one.tool = r.tool AND one.protocol = r.protocol AND one.artifact = r.artifact
WHERE r.binary_macs + r.float_macs > 0
ORDER BY r.device, r.model, r.precision, r.threads, r.binary_macs + r.float_macs
