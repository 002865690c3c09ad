//! Downloads: the file of a stored revision, byte for byte, or of a checkpoint as it would be at a version.
//!
//! A file is streamed, a few frames being under way. A whole one is checked against what was imported before its
//! last piece is sent, so that a download that ends well is right. Its entity tag is the name of its tree. A folder is
//! sent as an archive, or one file of it.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use crate::migration::plan::Method as Undo;
use crate::migration::resolver::Target;
use crate::repo::{PlanOptions, StoredFile};

use super::Shared;
use super::access::Grant;
use super::extract::{Name, Params};
use super::pool::Weight;
use super::problem::{Answer, Problem};

/// How long a download waits for others to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pieces between the thread that reads and the connection.
const PIECES: usize = 2;

/// What is no longer than this is read before it is sent.
const SMALL_BYTES: u64 = 256 << 10;

/// Which version, and of a folder which file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckoutParams {
    version: Option<String>,
    path: Option<String>,
}

/// Which file of a folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileParams {
    path: Option<String>,
}

/// The file of a ref's revision; with a version, as a checkout of that version would write it. The ref stays
/// where it is.
pub async fn of_ref(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Grant>,
    Name(name): Name,
    Params(params): Params<CheckoutParams>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let world = Arc::clone(&shared);
    let file = shared.pool.run(Weight::Light, move |repo| {
        let path = params.path.as_deref();
        let Some(version) = params.version else {
            return Ok(repo.file_of(repo.ref_named(&name)?.name.as_str(), path)?);
        };
        let options = PlanOptions {
            name: Some(&name),
            target: Target::of_version(&version),
            catalogue: world.catalogue(),
            ..PlanOptions::default()
        };
        // What is restored is read; any other step runs something and stores what comes out.
        if repo.plan(&options)?.operations.iter().any(|operation| operation.method != Undo::Restore) {
            grant.writing()?;
        }
        Ok(world.with_context(|context| repo.file_at(&options, path, context))?)
    });
    send(&shared, file.await?, &method, &headers).await
}

/// The file of a revision.
pub async fn of_revision(
    State(shared): State<Arc<Shared>>,
    Name(name): Name,
    Params(params): Params<FileParams>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let file = shared.pool.run(Weight::Light, move |repo| Ok(repo.file_of(&name, params.path.as_deref())?));
    let file = file.await?;
    send(&shared, file, &method, &headers).await
}

/// What of a file is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

async fn send(shared: &Arc<Shared>, file: StoredFile, method: &Method, headers: &HeaderMap) -> Answer {
    let tag = format!("\"{}\"", file.tag());
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let mut response = Response::new(Body::empty());
    let head = response.headers_mut();
    head.insert(header::ETAG, value(&tag));
    head.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if text(header::IF_NONE_MATCH).is_some_and(|tags| names_tag(tags, &tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let kind = if file.is_archive() { "application/x-tar" } else { "application/octet-stream" };
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    head.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let name = format!("attachment; filename=\"{}\"", file.file_name());
    head.insert(header::CONTENT_DISPOSITION, value(&name));
    let bytes = file.bytes();
    let asked = text(header::RANGE).filter(|_| text(header::IF_RANGE).is_none_or(|known| known == tag));
    let range = match asked.map_or(Wanted::All, |asked| wanted(asked, bytes)) {
        Wanted::All => 0..bytes,
        Wanted::Part(range) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let part = format!("bytes {}-{}/{bytes}", range.start, range.end - 1);
            response.headers_mut().insert(header::CONTENT_RANGE, value(&part));
            range
        }
        Wanted::Nothing => {
            return Err(Problem::new("E_RANGE", format!("the file has {bytes} bytes"))
                .header(header::CONTENT_RANGE, value(&format!("bytes */{bytes}"))));
        }
    };
    let length = range.end - range.start;
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    if method != Method::HEAD && length <= SMALL_BYTES {
        let counting = Arc::clone(shared);
        let read = shared.pool.run(Weight::Light, move |repo| {
            let mut bytes = Vec::with_capacity(length as usize);
            let mut sink = |part: &[u8]| {
                bytes.extend_from_slice(part);
                Ok(())
            };
            repo.write_file(&file, range, &mut sink)?;
            Ok(bytes)
        });
        let bytes = read.await?;
        counting.metrics.sent(bytes.len() as u64);
        *response.body_mut() = Body::from(bytes);
    } else if method != Method::HEAD {
        let places = Arc::clone(&shared.downloads);
        let place = timeout(PATIENCE, places.acquire_owned()).await.ok().and_then(Result::ok);
        let place = place.ok_or_else(|| Problem::busy("too many downloads are under way"))?;
        *response.body_mut() = Body::new(start(Arc::clone(shared), file, range, place));
    }
    Ok(response)
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Whether a list of entity tags has this one. Weak ones are as good for this.
fn names_tag(tags: &str, tag: &str) -> bool {
    tags.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// Reads a `Range`. Several ranges at once, other units and what is malformed are passed over, as RFC 9110 has it.
fn wanted(asked: &str, bytes: u64) -> Wanted {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let Some(range) = asked.strip_prefix("bytes=") else { return Wanted::All };
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::All };
    let (start, end) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(bytes)),
        (Some(first), None) if last.is_empty() => (first, bytes),
        (None, Some(count)) if first.is_empty() && count > 0 => (bytes.saturating_sub(count), bytes),
        (None, Some(_)) if first.is_empty() => return Wanted::Nothing,
        _ => return Wanted::All,
    };
    if start < end { Wanted::Part(start..end) } else { Wanted::Nothing }
}

/// Starts to read a file on a thread of its own.
fn start(shared: Arc<Shared>, file: StoredFile, range: Range<u64>, place: OwnedSemaphorePermit) -> Pieces {
    let (sender, receiver) = mpsc::channel(PIECES);
    let rest = range.end - range.start;
    let counting = Arc::clone(&shared);
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let mut held: Option<Bytes> = None;
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let sent = shared.pool.with(|repo| {
            let mut sink = |bytes: &[u8]| match held.replace(Bytes::copy_from_slice(bytes)) {
                Some(piece) => sender.blocking_send(Ok(piece)).map_err(|_| gone()),
                None => Ok(()),
            };
            Ok(repo.write_file(&file, range, &mut sink)?)
        });
        match sent {
            Ok(()) => {
                if let Some(last) = held {
                    let _ = sender.blocking_send(Ok(last));
                }
            }
            // Nobody listens any more, which is no failure of the store.
            Err(_) if sender.is_closed() => {}
            Err(problem) => {
                let words = problem.document()["detail"].to_string();
                super::observe::say(&format!("a download was broken off: {words}"));
                let _ = sender.blocking_send(Err(io::Error::other(words)));
            }
        }
    });
    Pieces { receiver, rest, shared: counting }
}

/// A body of known length, piece by piece.
struct Pieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    rest: u64,
    shared: Arc<Shared>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.receiver.poll_recv(context).map(|piece| match piece {
            Some(Ok(piece)) => {
                self.shared.metrics.sent(piece.len() as u64);
                self.rest = self.rest.saturating_sub(piece.len() as u64);
                Some(Ok(Frame::data(piece)))
            }
            Some(Err(error)) => Some(Err(error)),
            None if self.rest > 0 => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_has_them() {
        for (asked, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=5-99999999999999999999999", Wanted::Part(5..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=3-2", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=-", Wanted::All),
            ("items=0-1", Wanted::All),
            ("bytes=+1-2", Wanted::All),
        ] {
            assert_eq!(wanted(asked, 10), expected, "{asked}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
    }

    #[test]
    fn tags_are_found_in_lists() {
        assert!(names_tag("\"x\", W/\"a\"", "\"a\"") && names_tag("*", "\"a\""));
        assert!(!names_tag("\"ab\", a", "\"a\""));
    }
}
