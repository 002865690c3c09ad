//! `ckstore serve`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::server::{self, Token};

use super::args::LimitArgs;
use super::failure::Failure;
use super::output::{Output, Tone};
use super::session::Session;

/// Serve the store over HTTP
///
/// Listens on this machine alone and only reads, until there is a token: with --token-file, requests that bring
/// it may upload checkpoints and migrate collections. What the commands print with --json is what is answered.
/// `GET /openapi.json` describes everything that is served.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ckstore serve\n  ckstore serve --addr 127.0.0.1:8080 --token-file ~/.config/ckstore/token\n  \
                  curl http://127.0.0.1:7417/refs"
)]
pub struct ServeArgs {
    /// Listen at this address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7417", value_parser = parse_address)]
    addr: SocketAddr,
    /// Allow writing to who sends the token in this file (at least 16 signs, readable by its owner alone)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Write nothing, whatever the token
    #[arg(long)]
    read_only: bool,
    /// Ask for the token for reading too, as is always done where other machines reach the address
    #[arg(long, requires = "token_file")]
    private: bool,
    /// Answer to this name too, for instance behind a proxy; may be given more than once
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Take uploads up to this size, for instance 500M or 1T
    #[arg(long, value_name = "SIZE", default_value = "64G", value_parser = parse_size)]
    max_upload: u64,
    /// Give a client so long to send a request, to go on with an upload or to take some of an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3600))]
    patience: u16,
    /// Log no requests
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    match port {
        Some(port) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => text.parse().map_err(|_| "an address and a port are expected: 127.0.0.1:7417".to_owned()),
    }
}

/// A length in bytes, `K`, `M`, `G` and `T` being powers of 1024.
fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let shift = match unit {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        _ => return Err("a number is expected, and K, M, G or T".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a number is expected, and K, M, G or T".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is too much".to_owned())
}

/// Runs the command.
pub fn run(args: &ServeArgs, session: &Session, output: &Output) -> Result<ExitCode, Failure> {
    let token = args.token_file.as_deref().map(Token::read).transpose()?;
    let store = session.open()?.directory().to_owned();
    let read_only = args.read_only || token.is_none();
    let settings = server::Settings {
        address: args.addr,
        store: store.clone(),
        token,
        read_only,
        private: args.private,
        hosts: args.host.clone(),
        max_upload_bytes: args.max_upload,
        file_limits: args.limits.limits(),
        patience: Duration::from_secs(args.patience.into()),
        quiet: args.quiet,
        world: session.world(),
    };
    server::serve(settings, |address| {
        let url = format!("http://{address}");
        let document = json!({ "url": url, "store": store, "read_only": read_only });
        output.report(&document, |out| {
            let store = store.display();
            let how = if read_only { "reading only" } else { "writing with the token" };
            writeln!(out, "serving {store} at {}, {how}", output.paint(Tone::Name, &url))
        })
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("10"), Ok(10));
        assert_eq!(parse_size("500M"), Ok(500 << 20));
        assert_eq!(parse_size("1T"), Ok(1 << 40));
        for bad in ["", "M", "1X", "-1", "99999999999T", "1.5G"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
