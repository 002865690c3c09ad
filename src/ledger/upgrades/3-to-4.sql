-- Version 4: a file is known by its tree, which names all of its bytes, and no more by a hash of the whole.
DROP INDEX revisions_by_file;
ALTER TABLE working_files DROP COLUMN content;
