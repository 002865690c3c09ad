//! `GET /refs` and what is below.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};

use crate::face::document::{Entries, Refs};
use crate::ledger::RefKind;
use crate::migration::resolver::Target;
use crate::repo::{PlanOptions, RefsOptions};

use super::Shared;
use super::extract::{Name, Nothing, Params};
use super::pool::Weight;
use super::problem::{Answer, Problem};

/// Entries on a page when nothing else is asked for.
const PAGE: u32 = 100;

/// Most entries on a page.
const MAX_PAGE: u32 = 1000;

/// A document and where its list goes on.
#[derive(Serialize)]
struct Page<D, N> {
    #[serde(flatten)]
    document: D,
    next: Option<N>,
}

fn page_length(limit: Option<u32>) -> Result<u32, Problem> {
    match limit {
        None => Ok(PAGE),
        Some(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::usage(format!("`limit` is not from 1 to {MAX_PAGE}"))),
    }
}

/// A branch or a tag, as parameters name it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Branch,
    Tag,
}

/// Which refs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    #[serde(default)]
    prefix: String,
    kind: Option<Kind>,
    after: Option<String>,
    limit: Option<u32>,
}

/// Lists refs, by name, page by page.
pub async fn list(State(shared): State<Arc<Shared>>, Params(params): Params<ListParams>) -> Answer {
    let limit = page_length(params.limit)?;
    let page = shared.pool.run(Weight::Light, move |repo| {
        let kind = params.kind.map(|kind| match kind {
            Kind::Branch => RefKind::Branch,
            Kind::Tag => RefKind::Tag,
        });
        let after = params.after.as_deref();
        Ok(repo.refs_page(&RefsOptions { prefix: &params.prefix, kind, after, limit })?)
    });
    let page = page.await?;
    Ok(Json(Page { document: Refs { refs: &page.refs }, next: page.next }).into_response())
}

/// One ref.
pub async fn one(State(shared): State<Arc<Shared>>, Name(name): Name, _: Params<Nothing>) -> Answer {
    let report = shared.pool.run(Weight::Light, move |repo| Ok(repo.ref_named(&name)?)).await?;
    Ok(Json(report).into_response())
}

/// Where a checkpoint stands. Files outside the store are not looked at.
pub async fn status(State(shared): State<Arc<Shared>>, Name(name): Name, _: Params<Nothing>) -> Answer {
    let world = Arc::clone(&shared);
    let report =
        shared.pool.run(Weight::Light, move |repo| Ok(repo.standing(Some(&name), world.catalogue())?));
    Ok(Json(report.await?).into_response())
}

/// How many entries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogParams {
    limit: Option<u32>,
}

/// The revisions that lead to a ref, newest first.
pub async fn log(
    State(shared): State<Arc<Shared>>,
    Name(name): Name,
    Params(params): Params<LogParams>,
) -> Answer {
    let limit = page_length(params.limit)?;
    let entries = shared.pool.run(Weight::Light, move |repo| {
        let name = repo.ref_named(&name)?.name;
        Ok(repo.log_revisions(Some(name.as_str()), Some(limit as usize))?)
    });
    Ok(Json(Entries { entries: &entries.await? }).into_response())
}

/// Which rows of the history.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryParams {
    after: Option<u32>,
    limit: Option<u32>,
    #[serde(default)]
    documents: bool,
}

/// What was done to a ref or a collection, oldest first, page by page.
pub async fn history(
    State(shared): State<Arc<Shared>>,
    Name(name): Name,
    Params(params): Params<HistoryParams>,
) -> Answer {
    let limit = page_length(params.limit)? as usize;
    let after = i64::from(params.after.unwrap_or(0));
    let entries =
        shared.pool.run(Weight::Light, move |repo| Ok(repo.log_history(Some(&name), params.documents)?));
    let mut entries = entries.await?;
    entries.retain(|entry| entry.seq > after);
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|entry| entry.seq);
    Ok(Json(Page { document: Entries { entries: &entries }, next }).into_response())
}

/// Where to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanParams {
    version: Option<String>,
    to: Option<String>,
    #[serde(default)]
    no_code: bool,
    #[serde(default)]
    strict: bool,
    #[serde(default)]
    allow_unknown_lineage: bool,
}

/// What a checkout would do.
pub async fn plan(
    State(shared): State<Arc<Shared>>,
    Name(name): Name,
    Params(params): Params<PlanParams>,
) -> Answer {
    let target = match (params.version, params.to) {
        (Some(_), Some(_)) => return Err(Problem::exclusive("version", "to")),
        (Some(version), None) => Target::of_version(&version),
        (None, Some(migration)) => Target::of_migration(&migration),
        (None, None) => Target::Latest,
    };
    let world = Arc::clone(&shared);
    let report = shared.pool.run(Weight::Light, move |repo| {
        Ok(repo.plan(&PlanOptions {
            name: Some(&name),
            target,
            catalogue: world.catalogue(),
            no_code: params.no_code,
            strict: params.strict,
            allow_unknown_lineage: params.allow_unknown_lineage,
        })?)
    });
    Ok(Json(report.await?).into_response())
}
