//! `GET /groups`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;

use crate::face::document::Groups;

use super::Shared;
use super::extract::{Nothing, Params};
use super::pool::Weight;
use super::problem::Answer;

/// The compatibility groups, and which checkpoints are in them.
pub async fn groups(State(shared): State<Arc<Shared>>, _: Params<Nothing>) -> Answer {
    let world = Arc::clone(&shared);
    let groups = shared.pool.run(Weight::Heavy, move |repo| Ok(repo.log_groups(world.catalogue())?)).await?;
    Ok(Json(Groups { groups: &groups }).into_response())
}
