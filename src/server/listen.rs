//! The connections: accepting them, bounding them, ending them.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::face::failure::Failure;

use super::Shared;
use super::observe::{Peer, say};
use super::routes::router;

/// Connections at the same time; others wait.
const MAX_CONNECTIONS: usize = 512;

/// Longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 32 << 10;

/// How long requests and the running job may take to end after the server was told to stop.
const GRACE: Duration = Duration::from_secs(20);

/// Listens until the process is told to end, then ends what is under way.
///
/// # Errors
///
/// If the address cannot be listened at.
pub async fn listen(
    address: SocketAddr,
    shared: &Arc<Shared>,
    ready: impl FnOnce(SocketAddr) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new("E_IO", format!("cannot listen at {address}: {}", error.to_string().to_lowercase()))
            .hint("choose another address with --addr; port 0 takes a free one")
    };
    let mut stop = pin!(told_to_end().map_err(failed)?);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    ready(listener.local_addr().map_err(failed)?)?;
    let router = router(shared);
    let open = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = async { (place.await, listener.accept().await) } => accepted,
        };
        let (Ok(place), Ok((stream, peer))) = accepted else {
            // Too many open files, for instance: what is open ends some day.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let connection = connection(stream, peer, router.clone(), shared.patience);
        let watched = open.watch(connection);
        let counted = shared.metrics.connect();
        tokio::spawn(async move {
            // A connection that breaks is its client's concern.
            let _ = watched.await;
            drop((place, counted));
        });
    }
    drop(listener);
    say("stopping");
    let again = told_to_end().map_err(failed)?;
    let ended = async {
        open.shutdown().await;
        if let Some(job) = shared.jobs.running() {
            shared.jobs.ended(&job).await;
        }
    };
    tokio::select! {
        _ = timeout(GRACE, ended) => {}
        () = again => {}
    }
    if let Some(job) = shared.jobs.interrupt() {
        say(&format!("job {job} is interrupted"));
    }
    say("stopped");
    Ok(())
}

/// One connection, which ends when its client takes too long for something.
fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: axum::Router,
    patience: Duration,
) -> impl GracefulConnection<Error = hyper::Error> + Send + 'static {
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience));
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer.ip()));
        router.clone().oneshot(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
}

/// Ends when the process is asked to end: SIGTERM, SIGINT, or what the system has instead.
fn told_to_end() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
