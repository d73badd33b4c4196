-- Speedup of one precision over another, twin by twin: median, least and most on each device.
-- :candidate precision = 'binary' the precision that should be faster
-- :baseline precision = 'float32' the precision to compare it with
WITH r AS MATERIALIZED (
    SELECT DISTINCT
        device, threads, tool, protocol, format, twin, precision, latency_us,
        coalesce(inputs, '') AS inputs
    FROM results
    WHERE precision IN (:candidate, :baseline)
),
pairs AS (
    SELECT c.device, c.threads, c.tool, c.protocol, b.latency_us / c.latency_us AS times_faster
    FROM r AS c
    JOIN r AS b
        ON b.twin = c.twin AND b.device = c.device AND b.threads = c.threads
       AND b.tool = c.tool AND b.protocol = c.protocol AND b.format = c.format
       AND b.inputs = c.inputs
    WHERE c.precision = :candidate AND b.precision = :baseline
),
ranked AS (
    SELECT
        p.*,
        row_number() OVER (
            PARTITION BY device, threads, tool, protocol ORDER BY times_faster
        ) AS place,
        count(*) OVER (PARTITION BY device, threads, tool, protocol) AS twins
    FROM pairs AS p
)
SELECT
    device, threads, tool, protocol, max(twins) AS twins,
    avg(
        CASE WHEN 2 * place BETWEEN twins AND twins + 2 THEN times_faster END
    ) AS median_times_faster,
    min(times_faster) AS least, max(times_faster) AS most
FROM ranked
GROUP BY device, threads, tool, protocol
ORDER BY median_times_faster DESC
