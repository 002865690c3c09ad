//! Failures as HTTP tells them: problem documents (RFC 9457) with the codes of the command line.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::face::failure::{CODES, Failure, Steps, exit};
use crate::migration::ResolveError;
use crate::repo::RepoError;

/// Codes of the command line with a status of their own; that of the others follows from their exit code.
const STATUSES: &[(&str, u16)] = &[
    ("E_DISK_FULL", 507),
    ("E_NO_STORE", 503),
    ("E_STORE_EXISTS", 409),
    ("E_NAME", 404),
    ("E_EXISTS", 409),
    ("E_INPUT", 422),
    ("E_DOCUMENT", 422),
    ("E_DIRTY", 409),
    ("E_BASELINED", 409),
    ("E_NO_CATALOGUE", 409),
    ("E_LEDGER", 409),
    ("E_FORMAT", 422),
    ("E_SCRIPT", 422),
];

/// The status of a code of the command line, by its exit code.
pub fn status_of(code: &str, exit: u8) -> u16 {
    let own = STATUSES.iter().find(|(known, _)| *known == code);
    own.map_or_else(
        || match exit {
            exit::USAGE => 400,
            exit::INCOMPATIBLE | exit::IRREVERSIBLE | exit::DRIFT | exit::LOCKED => 409,
            _ => 500,
        },
        |(_, status)| *status,
    )
}

/// The codes that only the server has, with their status and what they mean.
pub const OWN: &[(&str, u16, &str)] = &[
    ("E_TOKEN", 401, "the token is missing or wrong"),
    ("E_READ_ONLY", 403, "the server only reads"),
    ("E_ROUTE", 404, "nothing is served at this path"),
    ("E_METHOD", 405, "the path is served by other methods"),
    ("E_TIMEOUT", 408, "the request did not arrive in time"),
    ("E_TOO_LARGE", 413, "the body is larger than the server takes"),
    ("E_MEDIA", 415, "the body is not of the type that is expected"),
    ("E_RANGE", 416, "the range begins after the end"),
    ("E_HOST", 421, "the server does not answer to this name"),
    ("E_BUSY", 503, "the server has too much to do; try again later"),
];

/// A failure as an answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    hint: Option<String>,
    job: Option<String>,
    steps: Option<Box<Steps>>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

/// An answer, or a problem.
pub type Answer = Result<Response, Problem>;

impl Problem {
    /// A problem with a code of either table.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Problem {
        let own = OWN.iter().find(|(own, ..)| *own == code).map(|(_, status, _)| *status);
        let shared =
            CODES.iter().find(|(known, ..)| *known == code).map(|(_, exit, _)| status_of(code, *exit));
        let status = own.or(shared).and_then(|status| StatusCode::from_u16(status).ok());
        Problem {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code,
            detail: detail.into(),
            hint: None,
            job: None,
            steps: None,
            header: None,
        }
    }

    /// A request that cannot be meant.
    pub fn usage(detail: impl Into<String>) -> Problem {
        Problem::new("E_USAGE", detail)
    }

    /// Two parameters of which only one can be meant.
    pub fn exclusive(one: &str, other: &str) -> Problem {
        let mut problem = Problem::usage(format!("`{one}` and `{other}` exclude each other"));
        problem.status = StatusCode::CONFLICT;
        problem
    }

    /// Too much is under way.
    pub fn busy(detail: impl Into<String>) -> Problem {
        Problem::new("E_BUSY", detail).header(header::RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// The same with what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// The same with the job that it is about.
    pub fn job(mut self, id: &str) -> Problem {
        self.job = Some(id.to_owned());
        self
    }

    /// The same with a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// The same, `path` in its words being called `name`: where the server keeps its files is nobody's concern.
    pub fn call(mut self, path: &std::path::Path, name: &str) -> Problem {
        self.detail = self.detail.replace(&format!("`{}`", path.display()), name);
        self
    }

    /// The document.
    pub fn document(&self) -> serde_json::Value {
        let mut document = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "hint": self.hint,
        });
        if let Some(job) = &self.job {
            document["job"] = json!(job);
        }
        if let Some(steps) = &self.steps {
            document["steps"] = json!(steps);
        }
        document
    }
}

/// The answer that a problem's document is.
pub fn answer_with(document: &serde_json::Value) -> Response {
    let status =
        document["status"].as_u64().and_then(|status| StatusCode::from_u16(status.try_into().ok()?).ok());
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        let mut problem = Problem::new(failure.code, failure.message);
        (problem.hint, problem.steps) = (failure.hint, failure.steps);
        problem
    }
}

impl From<RepoError> for Problem {
    fn from(error: RepoError) -> Problem {
        let is_name = matches!(error, RepoError::Resolve(ResolveError::UnknownMigration { .. }));
        let mut problem = Problem::from(Failure::from(error));
        if is_name {
            problem.status = StatusCode::NOT_FOUND;
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = answer_with(&self.document());
        if let Some((name, value)) = self.header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_once() {
        for (code, ..) in OWN {
            assert!(CODES.iter().all(|(known, ..)| known != code), "{code} is told twice");
        }
        assert_eq!(status_of("E_TOO_OLD", exit::INCOMPATIBLE), 409);
        assert_eq!(status_of("E_USAGE", exit::USAGE), 400);
        assert_eq!(status_of("E_CORRUPT", exit::CORRUPT), 500);
    }
}
