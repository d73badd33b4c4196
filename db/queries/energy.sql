-- Energy of one inference where the device's power is known, with its interval, and the mean power: the least first.
-- :device text = '' a device's id; all devices where it is empty
SELECT DISTINCT
    device, threads, dataset, model, parameters, precision, seed,
    energy_uj, energy_low_uj, energy_high_uj, latency_us, energy_uj / latency_us AS power_w, accuracy
FROM results
WHERE energy_uj IS NOT NULL AND (:device = '' OR device = :device)
ORDER BY device, threads, energy_uj
