//! Status, plan and checkout of many refs at once. What fails for one is listed, and the others go on.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use jiff::Timestamp;

use crate::ledger::{RefKind, RefRow};
use crate::migration::Catalogue;
use crate::migration::plan::{Method, Plan};
use crate::progress::{Progress, Silent};
use crate::refname::RefName;

use super::super::checkout::{CheckoutOptions, CheckoutReport};
use super::super::migrate::is_member;
use super::super::plan::{PlanOptions, PlanReport};
use super::super::status::StatusReport;
use super::super::{CatalogueSource, Context, Repo, RepoError};

/// What a command over many refs came to for one of them.
pub type Swept<T> = (RefName, Result<T, RepoError>);

/// Most threads of a checkout of many refs.
const MAX_JOBS: usize = 256;

/// Catalogues by folder, each loaded once; `None` where there is none.
#[derive(Default)]
struct Loaded(HashMap<PathBuf, Option<Arc<Catalogue>>>);

impl Loaded {
    fn of(
        &mut self,
        repo: &Repo,
        row: &RefRow,
        source: CatalogueSource<'_>,
    ) -> Result<(PathBuf, Option<&Arc<Catalogue>>), RepoError> {
        let directory = repo.catalogue_directory(Some(row), source)?;
        if !self.0.contains_key(&directory) {
            let found = if directory.is_dir() { Some(Arc::new(Catalogue::load(&directory)?)) } else { None };
            self.0.insert(directory.clone(), found);
        }
        let found = self.0[&directory].as_ref();
        Ok((directory, found))
    }
}

impl Repo {
    /// The branches of a collection, or all, by name.
    fn branches(&self, collection: Option<&str>) -> Result<Vec<RefRow>, RepoError> {
        match collection {
            Some(name) => self.members(&self.collection_named(name)?),
            None => {
                let mut rows = self.ledger.refs()?;
                rows.retain(|row| row.kind == RefKind::Branch);
                Ok(rows)
            }
        }
    }

    /// Tells where every branch of a collection stands, or every branch, by name.
    ///
    /// # Errors
    ///
    /// If there is no such collection, or a catalogue does not load.
    pub fn sweep_status(
        &self,
        collection: Option<&str>,
        source: CatalogueSource<'_>,
        progress: &dyn Progress,
    ) -> Result<Vec<Swept<StatusReport>>, RepoError> {
        let mut catalogues = Loaded::default();
        let _reading = self.ledger.reading()?;
        let rows = self.branches(collection)?;
        let mut reports = Vec::with_capacity(rows.len());
        for row in rows {
            let (directory, catalogue) = catalogues.of(self, &row, source)?;
            let name = row.name.clone();
            let report = match (catalogue, source.given) {
                (None, Some(_)) => Err(RepoError::NoCatalogue { path: directory }),
                (catalogue, _) => self.status_of(row, catalogue.map(Arc::as_ref), progress),
            };
            reports.push((name, report));
        }
        Ok(reports)
    }

    /// Tells where every branch stands, by name.
    ///
    /// # Errors
    ///
    /// The first failure of [`sweep_status`](Repo::sweep_status).
    pub fn status_all(
        &self,
        source: CatalogueSource<'_>,
        progress: &dyn Progress,
    ) -> Result<Vec<StatusReport>, RepoError> {
        self.sweep_status(None, source, progress)?.into_iter().map(|(_, report)| report).collect()
    }

    /// Finds out what a checkout of every branch of a collection would do, or of every branch. One plan is worked out
    /// for all that are in one state.
    ///
    /// # Errors
    ///
    /// If there is no such collection, or a catalogue does not load.
    pub fn sweep_plan(
        &self,
        collection: Option<&str>,
        options: &PlanOptions<'_>,
    ) -> Result<Vec<Swept<PlanReport>>, RepoError> {
        let mut catalogues = Loaded::default();
        let mut plans: HashMap<String, Plan> = HashMap::new();
        let _reading = self.ledger.reading()?;
        let rows = self.branches(collection)?;
        let mut reports = Vec::with_capacity(rows.len());
        for row in rows {
            let (directory, catalogue) = catalogues.of(self, &row, options.catalogue)?;
            let name = row.name.clone();
            let report = match catalogue {
                None => Err(RepoError::NoCatalogue { path: directory }),
                Some(catalogue) => self.plan_shared(row, catalogue, options, &mut plans),
            };
            reports.push((name, report));
        }
        Ok(reports)
    }

    /// The plan of a ref, taken from one in the same state where there is one.
    fn plan_shared(
        &self,
        row: RefRow,
        catalogue: &Arc<Catalogue>,
        options: &PlanOptions<'_>,
        plans: &mut HashMap<String, Plan>,
    ) -> Result<PlanReport, RepoError> {
        let mut revision = self.revision(&row.revision)?;
        revision.applied = self.applied_of(&revision, catalogue)?;
        let lineage = self.lineage(&revision)?;
        let applied = self.applied_for_resolver(&revision, &lineage)?;
        let is_document = is_member(&row, &revision, catalogue);
        let state = format!("{} {is_document} {applied:?}", catalogue.directory.display());
        if let Some(plan) = plans.get(&state) {
            return Ok(PlanReport {
                ref_name: row.name,
                revision: row.revision,
                applied: revision.applied().iter().map(|entry| entry.name.clone()).collect(),
                target: plan.target.clone(),
                operations: plan.operations.clone(),
                warnings: plan.warnings.clone(),
                in_sync: plan.in_sync(),
            });
        }
        if is_document {
            let report = self.plan_of_document(row, &revision, catalogue, options)?;
            let PlanReport { target, operations, warnings, .. } = report.clone();
            plans.insert(state, Plan { target, operations, warnings });
            return Ok(report);
        }
        let rules = options.rules(catalogue);
        let planned = self.planned_for(row, catalogue.clone(), &options.target, &rules)?;
        // Whether it can be merged is a matter of the content, not of the state.
        if planned.plan.operations.iter().all(|operation| operation.method != Method::Merge) {
            plans.insert(state, planned.plan.clone());
        }
        Ok(planned.report())
    }

    /// Brings every branch of a collection to a target, or every branch: each by itself, on so many threads. HEAD stays
    /// where it is. What is there already is passed over, so that a run that was stopped can be begun again.
    ///
    /// `see` is told of each as it is done, in no certain order.
    ///
    /// # Errors
    ///
    /// If there is no such collection, a catalogue does not load, or the store is locked.
    pub fn sweep_checkout(
        &mut self,
        collection: Option<&str>,
        options: &CheckoutOptions<'_>,
        jobs: usize,
        now: &(dyn Fn() -> Timestamp + Sync),
        context: &Context<'_>,
        see: &mut dyn FnMut(RefName, Result<CheckoutReport, RepoError>),
    ) -> Result<(), RepoError> {
        let _lock = self.lock()?;
        let mut catalogues = Loaded::default();
        let mut work = Vec::new();
        for row in self.branches(collection)? {
            let (directory, _) = catalogues.of(self, &row, options.plan.catalogue)?;
            work.push((row.name, directory));
        }
        let directory = self.directory().to_owned();
        let next = AtomicUsize::new(0);
        let (sender, done) = mpsc::channel();
        let (work, catalogues) = (&work, &catalogues.0);
        context.progress.begin("checking out", work.len() as u64);
        thread::scope(|scope| {
            for _ in 0..jobs.clamp(1, MAX_JOBS).min(work.len()) {
                let (sender, next, directory) = (sender.clone(), &next, &directory);
                let (actor, worker, limits) = (context.actor, context.worker, context.limits);
                scope.spawn(move || {
                    let context = Context { actor, now: &|| now(), progress: &Silent, worker, limits };
                    // Every thread has a connection of its own; the lock is held for all of them.
                    let mut repo = Repo::open(directory);
                    while let Some((name, folder)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = match &mut repo {
                            Ok(repo) => repo.checkout_one(name, folder, catalogues, options, &context),
                            Err(_) => Repo::open(directory).and_then(|mut repo| {
                                repo.checkout_one(name, folder, catalogues, options, &context)
                            }),
                        };
                        if sender.send((name.clone(), result)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            for (name, result) in done {
                context.progress.advance(1);
                see(name, result);
            }
        });
        context.progress.end();
        Ok(())
    }

    fn checkout_one(
        &mut self,
        name: &RefName,
        folder: &PathBuf,
        catalogues: &HashMap<PathBuf, Option<Arc<Catalogue>>>,
        options: &CheckoutOptions<'_>,
        context: &Context<'_>,
    ) -> Result<CheckoutReport, RepoError> {
        let options = CheckoutOptions {
            plan: PlanOptions { name: Some(name.as_str()), ..options.plan.clone() },
            keep_head: true,
            ..options.clone()
        };
        let row = self.branch_named(options.plan.name)?;
        let catalogue = catalogues.get(folder).and_then(Option::as_ref);
        let catalogue = catalogue.ok_or_else(|| RepoError::NoCatalogue { path: folder.clone() })?;
        let rules = options.plan.rules(catalogue);
        let planned = self.planned_for(row, catalogue.clone(), &options.plan.target, &rules)?;
        self.checkout_planned(&planned, &options, context)
    }
}
