-- The state of each device: one small model's latency before and after every batch, newest first.
-- :device text = '' a device's id; empty for all devices
SELECT
    k.measured_at, k.device, k.moment, k.tool, k.latency_us, k.temperature_c, k.frequency_khz,
    k.disturbed, k.message
FROM canaries AS k
WHERE (:device = '' OR k.device = :device)
ORDER BY k.id DESC
