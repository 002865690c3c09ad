//! `GET /revisions/{revision}` and what is below.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;

use super::Shared;
use super::extract::{Name, Nothing, Params};
use super::pool::Weight;
use super::problem::Answer;

/// A revision in full.
pub async fn show(State(shared): State<Arc<Shared>>, Name(name): Name, _: Params<Nothing>) -> Answer {
    let report = shared.pool.run(Weight::Light, move |repo| Ok(repo.show(Some(&name))?)).await?;
    Ok(Json(report).into_response())
}

/// The tensors of a revision.
pub async fn ls(State(shared): State<Arc<Shared>>, Name(name): Name, _: Params<Nothing>) -> Answer {
    let report = shared.pool.run(Weight::Light, move |repo| Ok(repo.ls(Some(&name))?)).await?;
    Ok(Json(report).into_response())
}
