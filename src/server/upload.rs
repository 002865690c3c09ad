//! `POST /refs/{name}/import`: a checkpoint as the body of a request.
//!
//! The body is streamed to a file in the folder of the store, which is imported when it is whole, and goes away in
//! any case.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::durable::{self, DurableFile};
use crate::format::Format;
use crate::refname::RefName;
use crate::repo::{ImportOptions, ImportReport, RepoError};

use super::Shared;
use super::extract::{Name, Params, content_length, is_of_type};
use super::pool::panicked;
use super::problem::{Answer, Problem};

/// Pieces between the connection and the thread that writes.
const PIECES: usize = 8;

/// The name of the file that is written, with random letters behind it.
const FILE: &str = "upload";

/// How to import.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportParams {
    version: Option<String>,
    baseline: Option<String>,
    message: Option<String>,
    format: Option<AsBytes>,
}

/// Any other format is told by the content.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AsBytes {
    /// Without a look inside.
    Bytes,
}

/// What reaches the thread that writes.
enum Piece {
    Bytes(Bytes),
    /// The body ended as it should.
    End,
}

/// Takes the body into the store as a new revision of the ref.
pub async fn import(
    State(shared): State<Arc<Shared>>,
    Name(name): Name,
    Params(params): Params<ImportParams>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let name: RefName = name.parse().map_err(RepoError::from)?;
    if params.version.is_some() && params.baseline.is_some() {
        return Err(Problem::exclusive("version", "baseline"));
    }
    if !is_of_type(&headers, "application/octet-stream") {
        return Err(Problem::new("E_MEDIA", "the body is not of type application/octet-stream"));
    }
    let limit = shared.max_upload_bytes;
    if content_length(&headers).is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    if let Some(running) = shared.jobs.running() {
        return Err(Problem::new("E_LOCKED", format!("job {running} is running")).job(&running));
    }
    let place = Arc::clone(&shared.uploads).try_acquire_owned();
    let place = place.map_err(|_| Problem::busy("too many uploads are under way"))?;
    let (sender, receiver) = mpsc::channel(PIECES);
    let world = Arc::clone(&shared);
    let task = tokio::task::spawn_blocking(move || {
        let _place = place;
        receive(&world, receiver, &name, &params)
    });
    let passed = pass_on(body, &sender, limit, shared.patience).await;
    if passed.is_ok() {
        let _ = sender.send(Piece::End).await;
    }
    drop(sender);
    let stored = task.await.unwrap_or_else(|error| Err(panicked(&error)));
    passed?;
    let report = stored?;
    let status = if report.previous.is_none() { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(report)).into_response())
}

fn too_large(limit: u64) -> Problem {
    Problem::new("E_TOO_LARGE", format!("the body is longer than {limit} bytes"))
        .hint("`ckstore serve --max-upload` sets the limit")
}

/// Passes a body on, piece by piece; the next one may take so long.
async fn pass_on(
    mut body: Body,
    sender: &mpsc::Sender<Piece>,
    limit: u64,
    patience: Duration,
) -> Result<(), Problem> {
    let mut received = 0u64;
    loop {
        let frame = match timeout(patience, body.frame()).await {
            Err(_) => return Err(Problem::new("E_TIMEOUT", "the body did not arrive in time")),
            Ok(None) => return Ok(()),
            Ok(Some(Err(error))) => return Err(Problem::usage(format!("the body broke off: {error}"))),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(bytes) = frame.into_data() else { continue };
        received += bytes.len() as u64;
        if received > limit {
            return Err(too_large(limit));
        }
        if sender.send(Piece::Bytes(bytes)).await.is_err() {
            // The thread that writes has ended, and says why.
            return Ok(());
        }
    }
}

/// Writes what arrives to a file, and imports that when it is whole.
fn receive(
    shared: &Shared,
    mut pieces: mpsc::Receiver<Piece>,
    name: &RefName,
    params: &ImportParams,
) -> Result<ImportReport, Problem> {
    let place = shared.pool.directory().join(FILE);
    let failed = |source| Problem::from(RepoError::io("write", &place)(source)).call(&place, "the upload");
    let mut file = DurableFile::create(&place).map_err(failed)?;
    loop {
        match pieces.blocking_recv() {
            Some(Piece::Bytes(bytes)) => {
                file.file_mut().write_all(&bytes).map_err(failed)?;
                shared.metrics.received(bytes.len() as u64);
            }
            Some(Piece::End) => break,
            None => return Err(Problem::usage("the body broke off")),
        }
    }
    shared.pool.with(|repo| {
        let message = params.message.clone().unwrap_or_else(|| format!("upload of {name}"));
        let options = ImportOptions {
            path: Some(file.path()),
            name: Some(name.clone()),
            version: params.version.as_deref(),
            baseline: params.baseline.as_deref(),
            message: Some(&message),
            format: params.format.map(|AsBytes::Bytes| Format::Bytes),
            catalogue: shared.catalogue(),
            detached: true,
            keep_head: false,
            compression: Default::default(),
            base: None,
            limits: shared.file_limits.clone(),
        };
        let imported = shared.with_context(|context| repo.import(&options, context));
        imported.map_err(|error| Problem::from(error).call(file.path(), "the upload"))
    })
}

/// Removes what an upload left behind when its server was killed.
pub fn remove_leftovers(directory: &Path) {
    // What stays does no harm but for its room.
    let _ = durable::remove_leftovers(&directory.join(FILE));
}
