-- Sweeps, their progress, and how many cases of their artifacts failed last.
SELECT
    s.sweep,
    count(*) AS trials,
    sum(CASE WHEN t.status = 'done' THEN 1 ELSE 0 END) AS done,
    sum(CASE WHEN t.status = 'failed' THEN 1 ELSE 0 END) AS failed,
    sum(CASE WHEN t.status = 'planned' THEN 1 ELSE 0 END) AS waiting,
    (SELECT count(DISTINCT m.case_id)
     FROM measurements AS m
     JOIN cases AS c ON c.id = m.case_id
     JOIN trial_artifacts AS ta ON ta.artifact = c.artifact
     JOIN sweep_trials AS st ON st.trial_id = ta.trial_id
     WHERE st.sweep = s.sweep AND m.valid) AS measured,
    (SELECT count(DISTINCT f.case_id)
     FROM failures AS f
     JOIN cases AS c ON c.id = f.case_id
     JOIN trial_artifacts AS ta ON ta.artifact = c.artifact
     JOIN sweep_trials AS st ON st.trial_id = ta.trial_id
     WHERE st.sweep = s.sweep
       AND NOT EXISTS (
           SELECT 1
           FROM measurements AS m
           WHERE m.case_id = f.case_id AND m.valid AND m.measured_at > f.failed_at
       )) AS failed_cases,
    max(s.submitted_at) AS submitted_at
FROM sweep_trials AS s
JOIN trials AS t ON t.id = s.trial_id
GROUP BY s.sweep
ORDER BY submitted_at DESC
