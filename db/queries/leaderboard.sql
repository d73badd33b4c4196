-- Every measured variant, most accurate first; untrained networks are left out.
-- :device text = '' a device's id; empty for all devices
-- :sweep text = '' a sweep's name; empty for all sweeps
SELECT
    sweep, trial, model, parameters, precision, seed, accuracy, size_bytes,
    latency_us, device, threads, protocol, quality, file, inputs
FROM results
WHERE NOT untrained AND (:device = '' OR device = :device) AND (:sweep = '' OR sweep = :sweep)
ORDER BY dataset, accuracy DESC, size_bytes, device, threads, trial, sweep
