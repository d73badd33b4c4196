-- Every trial with its artifacts, measured or not: state, accuracy and size, most accurate first.
-- :sweep text = '' a sweep's name; empty for all sweeps
SELECT
    s.sweep, t.id AS trial, t.model, t.parameters, t.precision, t.dataset, t.seed, t.status,
    t.accuracy AS trained_accuracy, a.sha256 AS artifact, a.format, ta.accuracy, a.size_bytes,
    a.binary_macs, a.float_macs
FROM sweep_trials AS s
JOIN trials AS t ON t.id = s.trial_id
LEFT JOIN trial_artifacts AS ta ON ta.trial_id = t.id
LEFT JOIN artifacts AS a ON a.sha256 = ta.artifact
WHERE :sweep = '' OR s.sweep = :sweep
ORDER BY s.sweep, ta.accuracy IS NULL, ta.accuracy DESC, a.size_bytes, t.id, a.format
