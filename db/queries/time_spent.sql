-- Where each finished trial's time went, in seconds.
SELECT
    id AS trial, sweep, model, precision, node,
    waiting_s, import_s, data_s, fit_s, convert_s, evaluate_s
FROM trials
WHERE status = 'done'
ORDER BY finished_at
