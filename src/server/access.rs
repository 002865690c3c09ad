//! Who may do what: the name that the server is called by, and the token.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;

use crate::face::failure::Failure;

use super::Shared;
use super::problem::{Answer, Problem};
use super::routes::{Access, access_of};

/// Fewest bytes of a token.
const MIN_TOKEN_BYTES: usize = 16;

/// Most bytes of a file that holds one.
const MAX_TOKEN_BYTES: u64 = 4096;

/// The secret that allows writing. Only its hash is kept.
#[derive(Clone)]
pub struct Token(blake3::Hash);

impl Token {
    /// Reads the token from a file: its content without white space around it.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, others than its owner may read it, or the token is shorter than 16 bytes.
    pub fn read(path: &Path) -> Result<Token, Failure> {
        let file = File::open(path).map_err(|error| Failure::unreadable(path, &error))?;
        check_mode(path, &file)?;
        let mut text = String::new();
        let read = file.take(MAX_TOKEN_BYTES).read_to_string(&mut text);
        read.map_err(|error| Failure::unreadable(path, &error))?;
        let token = text.trim();
        if token.len() < MIN_TOKEN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::usage(
                &format!("`{}` holds no token: at least 16 letters, digits or signs", path.display()),
                "make one with `openssl rand -hex 32`",
            ));
        }
        Ok(Token(blake3::hash(token.as_bytes())))
    }

    /// Whether a request brings the token; hashes are compared in constant time.
    fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let value = value.as_bytes();
        let is_bearer = value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
        is_bearer && blake3::hash(value[7..].trim_ascii()) == self.0
    }
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|error| Failure::unreadable(path, &error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Failure::usage(
        &format!("others than its owner may use `{}`: its mode is {mode:03o}", path.display()),
        &format!("`chmod 600 {}`", path.display()),
    ))
}

#[cfg(not(unix))]
fn check_mode(_path: &Path, _file: &File) -> Result<(), Failure> {
    Ok(())
}

/// The rules of one server.
pub struct Rules {
    /// The token, if there is one.
    pub token: Option<Token>,
    /// Whether nothing may be written, whatever the token.
    pub read_only: bool,
    /// Whether reading takes the token too.
    pub private: bool,
    /// Names that the server answers to, besides addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// What the sender of a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Whether it may write.
    pub write: bool,
    /// Whether it would, had it the token.
    pub write_with_token: bool,
}

impl Grant {
    /// Makes sure that the sender may write.
    ///
    /// # Errors
    ///
    /// E_TOKEN or E_READ_ONLY.
    pub fn writing(self) -> Result<(), Problem> {
        match self {
            Grant { write: true, .. } => Ok(()),
            Grant { write_with_token: true, .. } => Err(no_token()),
            _ => Err(Problem::new("E_READ_ONLY", "this server only reads")
                .hint("`ckstore serve --token-file FILE` starts one that writes")),
        }
    }
}

fn no_token() -> Problem {
    Problem::new("E_TOKEN", "the token is missing or wrong")
        .hint("send `Authorization: Bearer` with the token of the server's --token-file")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ckstore\""))
}

impl Rules {
    fn grant(&self, method: &Method, route: Option<&str>, headers: &HeaderMap) -> Result<Grant, Problem> {
        let access = route.map(|route| access_of(method, route));
        let has_token = self.token.as_ref().is_some_and(|token| token.is_in(headers));
        let may_write = !self.read_only && self.token.is_some();
        let grant = Grant { write: may_write && has_token, write_with_token: may_write };
        match access {
            Some(Some(Access::Open)) => {}
            Some(Some(Access::Write)) => grant.writing()?,
            _ if self.private && !has_token => return Err(no_token()),
            // A wrong token is told of also where none is needed.
            _ if self.token.is_some() && !has_token && headers.contains_key(header::AUTHORIZATION) => {
                return Err(no_token());
            }
            _ => {}
        }
        Ok(grant)
    }

    /// Makes sure that the request names this server, so that no web page can reach it under a name of its own
    /// (DNS rebinding). An address cannot be rebound.
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let mut values = headers.get_all(header::HOST).iter();
        let header = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            (None, _) => None,
            _ => return Err(Problem::usage("the request names more than one host")),
        };
        let named = uri.authority().map(|authority| authority.as_str()).or(header);
        let named = named.ok_or_else(|| Problem::usage("the request names no host"))?;
        let host = without_port(named);
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let known = bare.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host));
        if known {
            return Ok(());
        }
        Err(Problem::new("E_HOST", format!("this server does not answer to `{host}`"))
            .hint("if it shall, start it with `--host` and that name"))
    }
}

/// A host without its port.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Lets a request in, or not.
pub async fn guard(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Answer {
    let rules = &shared.rules;
    rules.check_host(request.uri(), request.headers())?;
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let grant = rules.grant(request.method(), route, request.headers())?;
    request.extensions_mut().insert(grant);
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str) -> bool {
        let rules = Rules { token: None, read_only: true, private: false, hosts: vec!["db.example".into()] };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        rules.check_host(&Uri::from_static("/refs"), &headers).is_ok()
    }

    #[test]
    fn only_addresses_and_known_names_are_answered() {
        for good in
            ["127.0.0.1:80", "127.0.0.1", "[::1]:7", "[::1]", "LocalHost:1", "db.example:443", "10.0.0.1"]
        {
            assert!(host(good), "{good}");
        }
        for bad in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[::1", "a:b"]
        {
            assert!(!host(bad), "{bad}");
        }
    }

    #[test]
    fn a_token_is_taken_whole_or_not_at_all() {
        let token = Token(blake3::hash(b"0123456789abcdef"));
        let has = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            token.is_in(&headers)
        };
        assert!(has("Bearer 0123456789abcdef") && has("bearer 0123456789abcdef"));
        for bad in
            ["0123456789abcdef", "Bearer 0123456789abcde", "Bearer 0123456789abcdeff", "Basic x", "Bearer "]
        {
            assert!(!has(bad), "{bad}");
        }
    }
}
