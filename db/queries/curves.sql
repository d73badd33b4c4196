-- Loss and accuracy of every trial, epoch by epoch.
-- :sweep text = '' a sweep's name; empty for all sweeps
SELECT
    t.sweep, e.trial_id AS trial, t.model, t.precision, t.seed, e.number AS epoch,
    e.loss, e.accuracy, e.validation_loss, e.validation_accuracy, e.seconds
FROM epochs AS e
JOIN trials AS t ON t.id = e.trial_id
WHERE (:sweep = '' OR t.sweep = :sweep)
ORDER BY t.sweep, e.trial_id, e.number
