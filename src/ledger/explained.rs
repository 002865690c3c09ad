//! That what every command asks is answered through an index, whatever the size of the ledger.

use rusqlite::Connection;

use super::{files, objects, refs, revisions, steps, unlisted};
use crate::ledger::open::tests::ledger;

/// How SQLite answers a statement, one line for each step.
fn plan(connection: &Connection, statement: &str) -> Vec<String> {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
    let parameters = vec![rusqlite::types::Null; explain.parameter_count()];
    let rows = explain.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn what_is_asked_by_name_is_found_by_an_index() {
    let (_dir, ledger) = ledger();
    for (statement, index) in [
        (revisions::BY_NAME.to_owned(), "sqlite_autoindex_revisions_1 (name=?)"),
        (revisions::BY_NAME_RANGE.to_owned(), "sqlite_autoindex_revisions_1 (name>? AND name<?)"),
        (revisions::BY_TREE.to_owned(), "revisions_by_tree (tree=?)"),
        (objects::BY_NAME.to_owned(), "PRIMARY KEY (name=?)"),
        (objects::by_names(8), "PRIMARY KEY (name=?)"),
        (objects::BY_PACK.to_owned(), "objects_by_pack (pack=?)"),
        (revisions::TURN_OF.to_owned(), "sqlite_autoindex_revisions_1 (name=?)"),
        (revisions::TURN_AND_TEXT.to_owned(), "sqlite_autoindex_revisions_1 (name=?)"),
        (steps::RAN.to_owned(), "steps_by_migration (migration=? AND kind=? AND status=?)"),
        (steps::of_ref(), "steps_by_ref (ref=?)"),
        (steps::COUNTED.to_owned(), "PRIMARY KEY (rowid>? AND rowid<?)"),
        (unlisted::BY_TREE_AND_KEY.to_owned(), "PRIMARY KEY (tree=? AND key=?)"),
        (refs::AT_REVISION.to_owned(), "refs_by_revision (revision=?)"),
        (refs::by_name(), "PRIMARY KEY (name=?)"),
        (refs::LOG_OF_REF.to_owned(), "ref_log_by_ref (ref=?)"),
        (files::by_ref(), "PRIMARY KEY (ref=?)"),
        (files::by_path(), "working_files_by_path (path=?)"),
    ] {
        let plan = plan(&ledger.connection, &statement);
        assert!(plan.iter().any(|step| step.contains(index)), "{statement}\n{plan:#?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{statement}\n{plan:#?}");
    }
}
