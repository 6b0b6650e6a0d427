-- What was done with a dead letter is forgotten once its topic has forgotten the letter. What was remembered before has no
-- topic and is kept.

ALTER TABLE dead_letter_settled ADD COLUMN topic text;

CREATE INDEX dead_letter_settled_by_age ON dead_letter_settled (topic, settled_at);
