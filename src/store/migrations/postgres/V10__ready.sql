-- What is ready, found by an index that no order of ids alone can replace: a server that believes much to be ready walks
-- through all that is processed.

DROP INDEX parsed_series_ready;
CREATE INDEX parsed_series_ready ON parsed_series (shape, id) WHERE state = 'init' AND waits_for IS NULL;
DROP INDEX parsed_release_ready;
CREATE INDEX parsed_release_ready ON parsed_release (shape, id) WHERE state = 'init' AND waits_for IS NULL;
DROP INDEX parsed_character_ready;
CREATE INDEX parsed_character_ready ON parsed_character (shape, id) WHERE state = 'init' AND waits_for IS NULL;
DROP INDEX parsed_pet_ready;
CREATE INDEX parsed_pet_ready ON parsed_pet (shape, id) WHERE state = 'init' AND waits_for IS NULL;
