-- How far the latency of untrained networks was off, once trained: median and worst on each device.
-- :device text = '' a device's id; empty for all devices
-- :model text = '' an architecture's name; empty for all
WITH looks AS (
    SELECT
        device, threads, model, same_operators, abs(trained_us / untrained_us - 1) AS off,
        row_number() OVER (
            PARTITION BY device, threads, model ORDER BY abs(trained_us / untrained_us - 1)
        ) AS place,
        count(*) OVER (PARTITION BY device, threads, model) AS networks
    FROM second_looks
    WHERE untrained_us > 0
      AND (:device = '' OR device = :device) AND (:model = '' OR model = :model)
)
SELECT
    device, threads, model, max(networks) AS networks,
    avg(CASE WHEN 2 * place BETWEEN networks AND networks + 2 THEN off END) AS median_off,
    max(off) AS worst_off,
    sum(CASE WHEN same_operators THEN 0 ELSE 1 END) AS other_operators
FROM looks
GROUP BY device, threads, model
ORDER BY worst_off DESC, device, threads, model
