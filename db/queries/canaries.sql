-- How each device is doing: the same small model before and after every batch, the newest first.
-- :device text = '' a device's id; all devices where it is empty
SELECT k.measured_at, k.device, k.moment, k.tool, k.latency_us, k.temperature_c, k.frequency_khz, k.disturbed, k.message
FROM canaries AS k
WHERE (:device = '' OR k.device = :device)
ORDER BY k.id DESC
