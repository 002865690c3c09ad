//! What a request says: its name in the path, its parameters, its body.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Largest JSON body, in bytes.
const MAX_JSON_BYTES: usize = 64 << 10;

/// The name in the path, `%2F` and the like being turned into what they stand for.
pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Name, Problem> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        name.map(|Path(name)| Name(name)).map_err(|error| Problem::usage(error.body_text().to_lowercase()))
    }
}

/// The parameters behind the `?`. Unknown ones are refused.
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Params<T>, Problem> {
        let params = Query::try_from_uri(&parts.uri);
        params.map(|Query(params)| Params(params)).map_err(|error| Problem::usage(inner(&error.body_text())))
    }
}

/// No parameters at all.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What a library complains of, without its own preface.
fn inner(text: &str) -> String {
    match text.split_once(": ") {
        Some((_, inner)) => format!("the parameters cannot be meant: {inner}"),
        None => text.to_lowercase(),
    }
}

/// The length that a body is said to have.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the body is said to be of a type.
pub fn is_of_type(headers: &HeaderMap, wanted: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.map(|value| value.split(';').next().unwrap_or_default().trim());
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case(wanted))
}

/// Reads a body of JSON: at most 64 KiB, within so long.
///
/// # Errors
///
/// If it is of another type, too long, too slow, or not what is expected.
pub async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    patience: Duration,
) -> Result<T, Problem> {
    if !is_of_type(headers, "application/json") {
        return Err(Problem::new("E_MEDIA", "the body is not of type application/json"));
    }
    let too_large = || Problem::new("E_TOO_LARGE", format!("the body is longer than {MAX_JSON_BYTES} bytes"));
    if content_length(headers).is_some_and(|length| length > MAX_JSON_BYTES as u64) {
        return Err(too_large());
    }
    let body = tokio::time::timeout(patience, Limited::new(body, MAX_JSON_BYTES).collect()).await;
    let body: Bytes = match body {
        Err(_) => return Err(Problem::new("E_TIMEOUT", "the body did not arrive in time")),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(error)) => return Err(Problem::usage(format!("the body cannot be read: {error}"))),
        Ok(Ok(body)) => body.to_bytes(),
    };
    serde_json::from_slice(&body)
        .map_err(|error| Problem::usage(format!("the body is not what is expected: {error}")))
}
