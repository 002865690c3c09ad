-- Version 2: the revision that holds a file is found by the file's BLAKE3, not by reading all revisions.
CREATE INDEX revisions_by_file ON revisions (CASE WHEN json_valid(body) THEN body ->> '$.file' END);
