//! `GET /jobs` and `GET /jobs/{job}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::json;

use super::Shared;
use super::extract::{Name, Nothing, Params};
use super::pool::Weight;
use super::problem::{Answer, Problem};

/// Jobs on the list.
const LISTED: usize = 100;

/// The last jobs, newest first.
pub async fn list(State(shared): State<Arc<Shared>>, _: Params<Nothing>) -> Answer {
    let world = Arc::clone(&shared);
    let mut jobs = shared.pool.run(Weight::Light, move |_| Ok(world.jobs.all())).await?;
    jobs.truncate(LISTED);
    Ok(Json(json!({ "jobs": jobs })).into_response())
}

/// One job.
pub async fn one(State(shared): State<Arc<Shared>>, Name(id): Name, _: Params<Nothing>) -> Answer {
    let world = Arc::clone(&shared);
    let job = shared.pool.run(Weight::Light, move |_| {
        let missing = || Problem::new("E_NAME", format!("there is no job `{id}`"));
        world.jobs.get(&id).ok_or_else(missing)
    });
    Ok(Json(job.await?).into_response())
}
