-- What is due is asked for every few seconds, among all terminations that there ever were.
CREATE INDEX terminations_due ON terminations (grace_end, id) WHERE state = 'approved';
CREATE INDEX terminations_not_over ON terminations (grace_end, id) WHERE state NOT IN ('cancelled', 'purged');
