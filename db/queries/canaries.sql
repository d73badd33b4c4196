-- How each device is doing: the same small model before and after every batch, the newest first.
SELECT k.measured_at, k.device, k.moment, k.tool, k.latency_us, k.temperature_c, k.frequency_khz, k.disturbed, k.message
FROM canaries AS k
ORDER BY k.id DESC
