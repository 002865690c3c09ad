//! What is served: one table, from which the router is made and which the description is compared with.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use super::problem::Problem;
use super::{
    Shared, access, description, diff, download, groups, health, jobs_api, metrics, migrate, observe,
};
use super::{refs, revisions, upload};

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Who may read.
    Read,
    /// Who may write.
    Write,
}

/// One thing that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// `GET` (and with it `HEAD`) or `POST`.
    pub method: &'static str,
    /// The path; names in braces stand for one part each.
    pub path: &'static str,
    /// Who is let in.
    pub access: Access,
}

const fn route(method: &'static str, path: &'static str, access: Access) -> Route {
    Route { method, path, access }
}

/// Everything that is served.
pub const ROUTES: &[Route] = &[
    route("GET", "/healthz", Access::Open),
    route("GET", "/metrics", Access::Read),
    route("GET", "/openapi.json", Access::Read),
    route("GET", "/refs", Access::Read),
    route("GET", "/refs/{name}", Access::Read),
    route("GET", "/refs/{name}/status", Access::Read),
    route("GET", "/refs/{name}/log", Access::Read),
    route("GET", "/refs/{name}/history", Access::Read),
    route("GET", "/refs/{name}/plan", Access::Read),
    route("GET", "/refs/{name}/checkout", Access::Read),
    route("POST", "/refs/{name}/import", Access::Write),
    route("GET", "/revisions/{revision}", Access::Read),
    route("GET", "/revisions/{revision}/ls", Access::Read),
    route("GET", "/revisions/{revision}/checkout", Access::Read),
    route("GET", "/diff", Access::Read),
    route("GET", "/groups", Access::Read),
    route("POST", "/migrate", Access::Write),
    route("GET", "/jobs", Access::Read),
    route("GET", "/jobs/{job}", Access::Read),
];

/// The handler of a route.
fn handler(route: &Route) -> MethodRouter<Arc<Shared>> {
    match route.path {
        "/healthz" => get(health::healthz),
        "/metrics" => get(metrics::metrics),
        "/openapi.json" => get(description::openapi),
        "/refs" => get(refs::list),
        "/refs/{name}" => get(refs::one),
        "/refs/{name}/status" => get(refs::status),
        "/refs/{name}/log" => get(refs::log),
        "/refs/{name}/history" => get(refs::history),
        "/refs/{name}/plan" => get(refs::plan),
        "/refs/{name}/checkout" => get(download::of_ref),
        "/refs/{name}/import" => post(upload::import),
        "/revisions/{revision}" => get(revisions::show),
        "/revisions/{revision}/ls" => get(revisions::ls),
        "/revisions/{revision}/checkout" => get(download::of_revision),
        "/diff" => get(diff::diff),
        "/groups" => get(groups::groups),
        "/migrate" => post(migrate::migrate),
        "/jobs" => get(jobs_api::list),
        "/jobs/{job}" => get(jobs_api::one),
        path => unreachable!("{path} has no handler"),
    }
}

/// Who is let in where a request goes; `None` where that method is not served.
pub fn access_of(method: &Method, path: &str) -> Option<Access> {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let found = ROUTES.iter().find(|route| route.method == method && route.path == path);
    found.map(|route| route.access)
}

/// The router of a server.
pub fn router(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        router = router.route(route.path, handler(route));
    }
    router
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(shared), access::guard))
        .layer(from_fn_with_state(Arc::clone(shared), observe::observe))
        .with_state(Arc::clone(shared))
}

async fn unknown(uri: Uri) -> Problem {
    Problem::new("E_ROUTE", format!("nothing is served at `{}`", uri.path()))
        .hint("`GET /openapi.json` lists what is; a slash in a name is written as %2F")
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::new("E_METHOD", format!("`{}` is not served by {method}", uri.path()))
}
