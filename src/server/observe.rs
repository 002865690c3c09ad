//! One line on standard error for each request, and its numbers for `/metrics`.

use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;

use super::Shared;

/// Longest target of a request in the log, in bytes.
const MAX_LOGGED_BYTES: usize = 300;

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Answers a request and tells of it. Nothing of its headers is told.
pub async fn observe(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let target = target.get(..MAX_LOGGED_BYTES).unwrap_or(target).to_owned();
    let peer = request.extensions().get::<Peer>().copied();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let _under_way = shared.metrics.begin();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    shared.metrics.count(&method, route, status, began.elapsed());
    if !shared.quiet {
        let peer = peer.map_or_else(|| "-".to_owned(), |Peer(address)| address.to_string());
        let millis = began.elapsed().as_secs_f64() * 1e3;
        say(&format!("{peer} {method} {target} {status} {millis:.1} ms"));
    }
    response
}

/// Writes a line of the log.
pub fn say(text: &str) {
    let at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    // A log that cannot be written is no reason to stop.
    let _ = writeln!(std::io::stderr().lock(), "{at} {text}");
}
