-- Each point of a search in the order tried: its state, accuracy, devices' values, and the front.
-- :sweep text = '' a sweep's name; empty for all sweeps with a search
WITH tried AS MATERIALIZED (
    SELECT
        s.sweep, s.submitted_at,
        coalesce(
            s.point, '{"model": ' || t.parameters || ', "train": ' || t.recipe || '}'
        ) AS point,
        t.id AS trial, t.status, t.message, t.finished_at,
        t.import_s + t.data_s + t.fit_s + t.convert_s + t.evaluate_s AS train_s,
        (SELECT f.artifact FROM forms AS f WHERE f.id = t.form) AS untrained,
        (SELECT ta.artifact
         FROM trial_artifacts AS ta
         WHERE ta.trial_id = t.id AND t.status = 'done'
         ORDER BY ta.created_at DESC, ta.artifact
         LIMIT 1) AS trained
    FROM sweep_trials AS s
    JOIN searches AS h ON h.sweep = s.sweep
    JOIN trials AS t ON t.id = s.trial_id
    WHERE :sweep = '' OR s.sweep = :sweep
),
points AS MATERIALIZED (
    SELECT
        r.sweep, r.point,
        row_number() OVER (
            PARTITION BY r.sweep ORDER BY min(r.submitted_at), min(r.trial)
        ) AS number,
        count(*) AS trials,
        count(r.trained) AS trained,
        min(CASE r.status
            WHEN 'infeasible' THEN 1 WHEN 'failed' THEN 2 WHEN 'stopped' THEN 3
            WHEN 'done' THEN 5 ELSE 4
        END) AS stage,
        min(r.message) AS message,
        min(r.submitted_at) AS tried_at,
        avg(ta.accuracy) AS accuracy,
        avg(CAST(a.size_bytes AS FLOAT)) AS size_bytes,
        sum(r.train_s) AS train_s,
        max(r.finished_at) AS finished_at
    FROM tried AS r
    LEFT JOIN trial_artifacts AS ta ON ta.trial_id = r.trial AND ta.artifact = r.trained
    LEFT JOIN artifacts AS a ON a.sha256 = r.trained
    GROUP BY r.sweep, r.point
),
looks AS (
    SELECT sweep, point, trial, trained AS artifact, 0 AS first_look FROM tried
    UNION ALL
    SELECT sweep, point, trial, untrained, 1 FROM tried
),
measured AS MATERIALIZED (
    SELECT
        l.sweep, l.point, l.trial, l.first_look, k.number, k.device,
        CASE k.metric
            WHEN 'latency' THEN m.latency_us WHEN 'energy' THEN m.energy_uj
            ELSE m.peak_memory_bytes
        END AS value,
        CASE k.metric
            WHEN 'latency' THEN m.latency_low_us WHEN 'energy' THEN m.energy_low_uj
            ELSE m.peak_memory_bytes
        END AS low,
        CASE k.metric
            WHEN 'latency' THEN m.latency_high_us WHEN 'energy' THEN m.energy_high_uj
            ELSE m.peak_memory_bytes
        END AS high,
        -- A trained network counts before its untrained form, and a newer measurement first.
        row_number() OVER (
            PARTITION BY l.sweep, l.point, l.trial, k.number, k.device
            ORDER BY l.first_look, m.measured_at DESC, m.id DESC
        ) AS place
    FROM looks AS l
    JOIN search_metrics AS k ON k.sweep = l.sweep AND k.device <> ''
    JOIN cases AS c
        ON c.artifact = l.artifact AND c.device = k.device AND c.threads = k.threads
    JOIN measurements AS m ON m.case_id = c.id AND m.valid
    WHERE k.metric = 'latency'
       OR (k.metric = 'energy' AND m.energy_uj IS NOT NULL)
       OR (k.metric = 'memory' AND m.peak_memory_bytes IS NOT NULL)
),
known AS (
    SELECT sweep, point, number, device, value, low, high, first_look
    FROM measured
    WHERE place = 1
    UNION ALL
    SELECT r.sweep, r.point, k.number, k.device, w.value, w.value, w.value, 0
    FROM tried AS r
    JOIN search_metrics AS k ON k.sweep = r.sweep AND k.metric IN ('accuracy', 'size')
    JOIN (
        SELECT trial_id, artifact, 'accuracy' AS metric, accuracy AS value FROM trial_artifacts
        UNION ALL
        SELECT ta.trial_id, ta.artifact, 'size', CAST(a.size_bytes AS FLOAT)
        FROM trial_artifacts AS ta
        JOIN artifacts AS a ON a.sha256 = ta.artifact
    ) AS w ON w.trial_id = r.trial AND w.artifact = r.trained AND w.metric = k.metric
),
by_device AS MATERIALIZED (
    SELECT
        p.sweep, p.point, k.number, k.device, k.at_most,
        -- An objective is the mean of the point's trials, a limit is one for each of them.
        CASE WHEN k.at_most IS NULL THEN avg(v.value) ELSE max(v.value) END AS value,
        max(v.first_look) AS first_look,
        CASE WHEN count(v.value) = p.trials THEN 1 ELSE 0 END AS complete,
        -- 0: the limit is kept; 1: undecided; 2: exceeded. As in harness/core/feasibility.py.
        max(CASE WHEN v.low > k.at_most THEN 2 WHEN v.high <= k.at_most THEN 0 ELSE 1 END)
            AS verdict
    FROM points AS p
    JOIN search_metrics AS k ON k.sweep = p.sweep
    LEFT JOIN known AS v
        ON v.sweep = p.sweep AND v.point = p.point AND v.number = k.number AND v.device = k.device
    GROUP BY p.sweep, p.point, p.trials, k.number, k.device, k.at_most
),
worst AS MATERIALIZED (
    SELECT
        sweep, point, number, device, at_most, value, first_look,
        min(complete) OVER metric AS complete,
        max(verdict) OVER metric AS verdict,
        row_number() OVER (
            PARTITION BY sweep, point, number ORDER BY value IS NULL, value DESC, device
        ) AS place
    FROM by_device
    WINDOW metric AS (PARTITION BY sweep, point, number)
),
states AS MATERIALIZED (
    SELECT
        p.sweep, p.point,
        CASE
            WHEN p.stage = 1 OR max(CASE WHEN w.at_most IS NOT NULL THEN w.verdict END) = 2
            THEN 'infeasible'
            WHEN p.stage = 2 THEN 'failed'
            WHEN p.stage = 3 THEN 'stopped'
            WHEN p.stage = 4 THEN 'planned'
            WHEN min(w.complete) = 0 THEN 'open'
            ELSE 'done'
        END AS state
    FROM points AS p
    JOIN worst AS w ON w.sweep = p.sweep AND w.point = p.point AND w.place = 1
    GROUP BY p.sweep, p.point, p.stage
),
gains AS MATERIALIZED (
    SELECT
        w.sweep, w.point, w.number,
        CASE WHEN k.metric = 'accuracy' THEN w.value ELSE -w.value END AS gain
    FROM worst AS w
    JOIN states AS s ON s.sweep = w.sweep AND s.point = w.point AND s.state = 'done'
    JOIN search_metrics AS k
        ON k.sweep = w.sweep AND k.number = w.number AND k.device = w.device
    WHERE w.place = 1 AND w.at_most IS NULL
),
beaten AS MATERIALIZED (
    SELECT DISTINCT sweep, point
    FROM (
        SELECT g.sweep, g.point
        FROM gains AS g
        JOIN gains AS o ON o.sweep = g.sweep AND o.number = g.number
        GROUP BY g.sweep, g.point, o.point
        HAVING min(o.gain - g.gain) >= 0 AND max(o.gain - g.gain) > 0
    ) AS pairs
)
SELECT
    p.sweep, p.number, p.point, s.state, p.accuracy, p.size_bytes,
    CASE WHEN s.state <> 'done' THEN 0 WHEN b.point IS NULL THEN 1 ELSE 0 END AS on_front,
    k.name AS metric, k.device, w.value,
    CASE
        WHEN k.metric = 'latency' THEN 'us' WHEN k.metric = 'energy' THEN 'uj'
        WHEN k.metric IS NOT NULL THEN 'bytes'
    END AS unit,
    CASE
        WHEN k.at_most IS NULL OR w.value IS NULL THEN NULL
        WHEN w.verdict = 2 THEN 'exceeded'
        WHEN w.verdict = 1 OR w.complete = 0 THEN 'undecided'
        ELSE 'kept'
    END AS verdict,
    w.first_look, p.train_s, p.tried_at, p.finished_at, p.message
FROM points AS p
JOIN states AS s ON s.sweep = p.sweep AND s.point = p.point
LEFT JOIN beaten AS b ON b.sweep = p.sweep AND b.point = p.point
LEFT JOIN worst AS w
    ON w.sweep = p.sweep AND w.point = p.point AND w.place = 1
   AND (w.device <> '' OR w.at_most IS NOT NULL)
LEFT JOIN search_metrics AS k
    ON k.sweep = w.sweep AND k.number = w.number AND k.device = w.device
ORDER BY p.sweep, p.number, w.number
