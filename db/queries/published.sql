-- Latencies that papers and READMEs give, as they were imported: not measured by this harness.
SELECT model, precision, device, threads, latency_us, accuracy, size_bytes, source, dated
FROM published
ORDER BY model, precision, device, threads
