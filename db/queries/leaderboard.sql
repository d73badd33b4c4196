-- Every measured variant: the most accurate first.
SELECT sweep, trial, model, parameters, precision, seed, accuracy, size_bytes, latency_us, device, threads, protocol, quality
FROM results
ORDER BY dataset, accuracy DESC, size_bytes
