//! A versioned store for machine-learning checkpoints that knows what a migration is.
//!
//! This is the library below the `ckstore` command. It prints nothing and reads no clock, user or environment:
//! what an operation must know of the world is in its [`Context`]. The book tells of concepts and formats.
//!
//! A store is opened as a [`Repo`], and every operation is a method of it: `import`, `checkout`, `plan`,
//! `status`, `log_revisions`, `log_history`, `log_groups`, `show`, `ls`, `diff`, `create_ref`, `baseline` and
//! so on. Options go in, a report comes out, which also is what `--json` prints.
//!
//! ```
//! use ckstore::{Context, ImportOptions, Repo, ScriptLimits, Silent, Timestamp, Worker};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("model.json");
//! std::fs::write(&path, r#"{"hidden": 16}"#)?;
//!
//! let context = Context {
//!     actor: "ada",
//!     now: &Timestamp::now,
//!     progress: &Silent,
//!     worker: &Worker::new("ckstore"),
//!     limits: &ScriptLimits::default(),
//! };
//! let mut repo = Repo::init(&folder.path().join(".ckstore"))?;
//! let report = repo.import(&ImportOptions { path: Some(&path), ..Default::default() }, &context)?;
//! assert_eq!(report.ref_name.as_str(), "model");
//!
//! let log = repo.log_revisions(None, None)?;
//! assert_eq!(log[0].revision, report.revision);
//! assert_eq!(log[0].message, "import model.json");
//! assert!(repo.ls(None)?.tensors.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Migration scripts run in a process of their own: [`Worker`] names the program. A program that links this
//! library can be its own worker: it calls [`worker_main`] first thing when its first argument is
//! [`WORKER_ARGUMENT`].
//!
//! What is named below is meant to be used. The modules are open so that each can be tested and read by itself;
//! their other items may change with any release.

pub mod cli;
pub mod durable;
pub mod face;
pub mod format;
pub mod ledger;
pub mod migration;
pub mod object;
pub mod progress;
pub mod refname;
pub mod repo;
pub mod revision;
pub mod snapshot;
pub mod store;
pub mod value;

pub use format::Format;
pub use jiff::Timestamp;
pub use ledger::RefKind;
pub use migration::engine::{Limits as ScriptLimits, WORKER_ARGUMENT, Worker, worker_main};
pub use migration::plan::{Method, Operation, OperationKind, PlanTarget};
pub use migration::resolver::Target;
pub use object::ObjectId;
pub use progress::{Progress, Silent};
pub use refname::RefName;
pub use repo::{
    BaselineOptions, BaselineReport, CatalogueSource, CheckoutOptions, CheckoutReport, Context, DiffReport,
    GroupEntry, HistoryEntry, ImportOptions, ImportReport, LsReport, PlanOptions, PlanReport, Repo,
    RepoError, RevisionEntry, STORE_DIRECTORY, ShowReport, StatusReport, ValueReport,
};
pub use revision::{Applied, Revision, Step, StepKind};
