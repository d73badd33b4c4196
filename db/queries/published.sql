-- Latencies that papers and READMEs give, as imported; this harness did not measure them.
SELECT model, precision, device, threads, latency_us, accuracy, size_bytes, source, dated
FROM published
ORDER BY model, precision, device, threads
