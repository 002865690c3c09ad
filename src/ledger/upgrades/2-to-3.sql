-- Version 3: what `status` and `plan` ask of a long line of revisions is found without reading all of them.
ALTER TABLE revisions ADD COLUMN turn BLOB CHECK (length(turn) = 32);

CREATE TEMP TABLE turns AS
WITH RECURSIVE line (name, list, turn) AS (
    SELECT name, CASE WHEN json_valid(body) THEN body -> '$.applied' END, name
    FROM revisions
    WHERE NOT EXISTS (SELECT 1 FROM revision_parents WHERE revision = name AND position = 0)
    UNION ALL
    SELECT child.name, child.list,
           CASE WHEN child.stepless AND child.list = line.list THEN line.turn ELSE child.name END
    FROM line
    JOIN revision_parents ON parent = line.name AND position = 0
    JOIN (
        SELECT name, CASE WHEN json_valid(body) THEN body -> '$.applied' END AS list,
               CASE WHEN json_valid(body) THEN body -> '$.steps' = '[]' END AS stepless
        FROM revisions
    ) AS child ON child.name = revision
)
SELECT name, turn FROM line;

CREATE UNIQUE INDEX turns_by_name ON turns (name);
UPDATE revisions SET turn = (SELECT turns.turn FROM turns WHERE turns.name = revisions.name);
DROP TABLE turns;

DROP INDEX steps_by_migration;
CREATE INDEX steps_by_migration ON steps (migration, kind, status);

CREATE TABLE unlisted (
    tree BLOB NOT NULL CHECK (length(tree) = 32),
    key  TEXT NOT NULL,
    PRIMARY KEY (tree, key)
) STRICT, WITHOUT ROWID;
