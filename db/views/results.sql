-- The newest valid measurement of each case, with its trial, artifact and device.
-- A trial that several sweeps share is trained and measured once, and has a row for each of them.
SELECT
    s.sweep, t.id AS trial, t.model, t.parameters, t.recipe, t.precision, t.dataset, t.seed,
    t.params, ta.accuracy,
    a.sha256 AS artifact, a.format, a.size_bytes,
    -- The work is that of one image in the file's own shapes.
    CASE WHEN NOT c.resized THEN a.binary_macs END AS binary_macs,
    CASE WHEN NOT c.resized THEN a.float_macs END AS float_macs,
    c.device, c.device_kind, c.tool, c.threads, c.protocol,
    m.latency_us, m.latency_low_us, m.latency_high_us, m.runs,
    m.peak_memory_bytes, m.energy_uj,
    CASE
        WHEN t.quality IS NULL OR t.quality = 'ok' THEN m.quality
        WHEN m.quality = 'ok' THEN t.quality
        ELSE m.quality || '; ' || t.quality
    END AS quality,
    m.measured_at,
    m.disturbed_runs, m.temperature_c, m.frequency_khz, m.energy_low_uj, m.energy_high_uj,
    w.classes_agree, w.largest_difference,
    c.cpus, c.tool_sha256, c.interpreter, c.protocol_settings, c.inputs, a.signature,
    m.id AS measurement_id, c.id AS case_id, t.twin, a.name AS file,
    coalesce(t.form, (SELECT min(f.id) FROM forms AS f WHERE f.artifact = a.sha256)) AS form,
    t.id IS NULL AND EXISTS (SELECT 1 FROM forms AS f WHERE f.artifact = a.sha256) AS untrained
FROM measurements AS m
JOIN cases AS c ON c.id = m.case_id
JOIN artifacts AS a ON a.sha256 = c.artifact
LEFT JOIN answers AS w
    ON w.artifact = c.artifact AND w.device = c.device
   AND w.tool_sha256 = c.tool_sha256 AND w.interpreter = c.interpreter
LEFT JOIN trial_artifacts AS ta ON ta.artifact = a.sha256
LEFT JOIN trials AS t ON t.id = ta.trial_id
LEFT JOIN sweep_trials AS s ON s.trial_id = t.id
WHERE m.valid AND NOT EXISTS (
    SELECT 1
    FROM measurements AS newer
    WHERE newer.case_id = m.case_id AND newer.valid
      AND (newer.measured_at, newer.id) > (m.measured_at, m.id)
)
