-- Each measured untrained network beside each trained one of its form, on one device.
SELECT DISTINCT
    f.id AS form, f.model, f.parameters, f.precision, u.device, u.threads,
    u.latency_us AS untrained_us, u.latency_low_us AS untrained_low_us,
    u.latency_high_us AS untrained_high_us,
    t.latency_us AS trained_us, t.latency_low_us AS trained_low_us,
    t.latency_high_us AS trained_high_us,
    ua.operators = ta.operators AS same_operators,
    u.measurement_id AS untrained_id, t.measurement_id AS trained_id
FROM forms AS f
JOIN artifacts AS ua ON ua.sha256 = f.artifact
JOIN results AS u ON u.artifact = f.artifact AND u.untrained
JOIN results AS t
    ON t.form = f.id AND NOT t.untrained AND t.device = u.device AND t.threads = u.threads
   AND t.tool_sha256 = u.tool_sha256 AND t.interpreter = u.interpreter AND t.cpus = u.cpus
   AND coalesce(t.inputs, '') = coalesce(u.inputs, '')
JOIN artifacts AS ta ON ta.sha256 = t.artifact
