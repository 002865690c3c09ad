//! Numbers for Prometheus.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Shared;
use super::extract::{Nothing, Params};
use super::problem::{Answer, Problem};

/// Upper bounds of the durations that are told apart, in seconds.
const BUCKETS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: String,
    route: String,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// The numbers of one server.
pub struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    duration: Histogram,
    under_way: Gauge,
    connections: Gauge,
    sent: Counter,
    received: Counter,
    jobs: Family<Ended, Counter>,
}

/// Counts something as under way until it is dropped.
pub struct UnderWay(Gauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Numbers that all are zero.
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("ckstore");
        let build = Family::<Build, Gauge<u64, AtomicU64>>::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build", "The version that runs", build);
        let metrics = Metrics {
            requests: Family::default(),
            duration: Histogram::new(BUCKETS),
            under_way: Gauge::default(),
            connections: Gauge::default(),
            sent: Counter::default(),
            received: Counter::default(),
            jobs: Family::default(),
            registry: Registry::default(),
        };
        registry.register("http_requests", "Requests by method, route and status", metrics.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time until the head of the answer",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register("http_requests_under_way", "Requests under way", metrics.under_way.clone());
        registry.register("http_connections", "Open connections", metrics.connections.clone());
        registry.register("download_bytes", "Bytes of checkpoints that were sent", metrics.sent.clone());
        registry.register("upload_bytes", "Bytes of checkpoints that arrived", metrics.received.clone());
        registry.register("jobs", "Jobs that ended, by how", metrics.jobs.clone());
        Metrics { registry, ..metrics }
    }

    /// A request is under way.
    pub fn begin(&self) -> UnderWay {
        self.under_way.inc();
        UnderWay(self.under_way.clone())
    }

    /// A connection is open.
    pub fn connect(&self) -> UnderWay {
        self.connections.inc();
        UnderWay(self.connections.clone())
    }

    /// A request was answered.
    pub fn count(&self, method: &Method, route: &str, status: u16, took: Duration) {
        // Senders can make methods up, and every label is kept for ever.
        let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS];
        let method = if known.contains(method) { method.as_str() } else { "other" };
        let labels = Labels { method: method.to_owned(), route: route.to_owned(), status: status.into() };
        self.requests.get_or_create(&labels).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// So many bytes of a checkpoint were sent.
    pub fn sent(&self, bytes: u64) {
        self.sent.inc_by(bytes);
    }

    /// So many bytes of a checkpoint arrived.
    pub fn received(&self, bytes: u64) {
        self.received.inc_by(bytes);
    }

    /// A job ended.
    pub fn job_ended(&self, state: &'static str) {
        self.jobs.get_or_create(&Ended { state }).inc();
    }
}

/// `GET /metrics`.
pub async fn metrics(State(shared): State<Arc<Shared>>, _: Params<Nothing>) -> Answer {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &shared.metrics.registry)
        .map_err(|error| Problem::new("E_INTERNAL", format!("the numbers cannot be written: {error}")))?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    let response: Response = ([(header::CONTENT_TYPE, kind)], text).into_response();
    Ok(response)
}
