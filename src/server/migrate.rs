//! `POST /migrate`: a collection up or down, as a job.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::repo::{Direction, MigrateOptions};

use super::Shared;
use super::extract::{Params, json};
use super::jobs::{Job, JobState};
use super::pool::Weight;
use super::problem::{Answer, Problem, answer_with};

/// How long `wait` waits.
const PATIENCE: Duration = Duration::from_secs(600);

/// What to migrate, and how far.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrateRequest {
    collection: String,
    action: Action,
    #[serde(default, deserialize_with = "count")]
    steps: Option<NonZeroU32>,
    to: Option<String>,
    #[serde(default)]
    restore: bool,
    #[serde(default)]
    dry_run: bool,
    message: Option<String>,
}

/// A count from 1 on. JSON does not tell `2` and `2.0` apart.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroU32>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    let whole =
        number.as_f64().filter(|value| value.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(value));
    let count = whole.and_then(|value| NonZeroU32::new(value as u32));
    count.map(Some).ok_or_else(|| D::Error::custom("`steps` is no count from 1 on"))
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Up,
    Down,
}

/// Whether to wait for the end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitParams {
    #[serde(default)]
    wait: bool,
}

/// Begins to migrate a collection.
pub async fn migrate(
    State(shared): State<Arc<Shared>>,
    Params(params): Params<WaitParams>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let request: MigrateRequest = json(&headers, body, shared.patience).await?;
    if request.steps.is_some() && request.to.is_some() {
        return Err(Problem::exclusive("steps", "to"));
    }
    if request.restore && request.action == Action::Up {
        return Err(Problem::exclusive("restore", "up"));
    }
    let world = Arc::clone(&shared);
    let asked = request.clone();
    let begun = shared.pool.run(Weight::Light, move |repo| {
        repo.collection_named(&asked.collection)?;
        world.jobs.begin(json!(asked))
    });
    let job = begun.await?;
    let world = Arc::clone(&shared);
    let id = job.id.clone();
    tokio::task::spawn_blocking(move || work(&world, &id, &request));
    if !params.wait || timeout(PATIENCE, shared.jobs.ended(&job.id)).await.is_err() {
        return Ok(accepted(&job));
    }
    match shared.jobs.get(&job.id) {
        Some(Job { state: JobState::Failed, problem: Some(problem), .. }) => Ok(answer_with(&problem)),
        Some(job @ Job { state: JobState::Done, .. }) => Ok(Json(job).into_response()),
        other => Ok(accepted(&other.unwrap_or(job))),
    }
}

fn accepted(job: &Job) -> Response {
    let place = [(header::LOCATION, format!("/jobs/{}", job.id))];
    (StatusCode::ACCEPTED, place, Json(job)).into_response()
}

/// Does the work, on a thread that may block, and enters how it ended.
fn work(shared: &Shared, id: &str, request: &MigrateRequest) {
    let direction = match request.action {
        Action::Up => Direction::Up,
        Action::Down => Direction::Down,
    };
    let options = MigrateOptions {
        collection: &request.collection,
        direction,
        steps: request.steps.and_then(|steps| usize::try_from(steps.get()).ok()),
        to: request.to.as_deref(),
        restore: request.restore,
        dry_run: request.dry_run,
        message: request.message.as_deref(),
        catalogue: shared.catalogue(),
    };
    let migrate =
        || shared.pool.with(|repo| Ok(shared.with_context(|context| repo.migrate(&options, context))?));
    // A job that nobody ends would keep all others out for ever.
    let result = catch_unwind(AssertUnwindSafe(migrate))
        .unwrap_or_else(|_| Err(Problem::new("E_INTERNAL", "the work ended early")));
    let report = result.map(|report| serde_json::to_value(report).unwrap_or(Value::Null));
    shared.jobs.end(id, report, |job| {
        shared.metrics.job_ended(job.state.as_str());
        if !shared.quiet {
            super::observe::say(&format!("job {id} {}", job.state.as_str()));
        }
    });
}
