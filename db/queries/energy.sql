-- Energy of one inference with its interval, and mean power, where power is known; lowest first.
-- :device text = '' a device's id; empty for all devices
SELECT DISTINCT
    device, threads, dataset, model, parameters, precision, seed,
    energy_uj, energy_low_uj, energy_high_uj,
    latency_us, energy_uj / latency_us AS power_w, accuracy
FROM results
WHERE NOT untrained AND energy_uj IS NOT NULL AND (:device = '' OR device = :device)
ORDER BY device, threads, energy_uj
