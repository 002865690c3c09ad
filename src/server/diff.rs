//! `GET /diff`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;

use crate::progress::Silent;

use super::Shared;
use super::extract::Params;
use super::pool::Weight;
use super::problem::Answer;

/// Which revisions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffParams {
    from: String,
    to: String,
}

/// What differs between two revisions.
pub async fn diff(State(shared): State<Arc<Shared>>, Params(params): Params<DiffParams>) -> Answer {
    let report =
        shared.pool.run(Weight::Heavy, move |repo| Ok(repo.diff(&params.from, &params.to, &Silent)?)).await?;
    Ok(Json(report).into_response())
}
