//! `GET /healthz`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::json;

use super::Shared;
use super::extract::{Nothing, Params};
use super::pool::Weight;
use super::problem::Answer;

/// Tells that the server answers and its store can be read.
pub async fn healthz(State(shared): State<Arc<Shared>>, _: Params<Nothing>) -> Answer {
    shared.pool.run(Weight::Light, |repo| Ok(repo.refs_page(&Default::default())?)).await?;
    Ok(Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })).into_response())
}
