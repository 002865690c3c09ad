//! Asks a server for documents at a steady rate and tells how long the answers took.
//!
//! usage: load ADDRESS RATE SECONDS TARGET...
//!
//! Requests are due at fixed times, whether or not earlier ones are answered, and an answer's time counts from when
//! its request was due: a server that stalls is not spared. Prints one JSON document; exits with 1 if an answer was
//! none, or not of status 200.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Connections, each kept open and used by one thread.
const CONNECTIONS: u64 = 32;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, rate, seconds, targets @ ..] = arguments.as_slice() else { return usage() };
    let (Ok(rate), Ok(seconds)) = (rate.parse::<u64>(), seconds.parse::<u64>()) else { return usage() };
    if rate == 0 || seconds == 0 || targets.is_empty() {
        return usage();
    }
    let total = rate * seconds;
    let next = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    let began = Instant::now();
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let work = || {
            let mut connection = None;
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= total {
                    return times;
                }
                let due = began + Duration::from_nanos(number * 1_000_000_000 / rate);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let target = &targets[number as usize % targets.len()];
                match ask(&mut connection, address, target) {
                    Ok(200) => times.push(due.elapsed()),
                    _ => {
                        connection = None;
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        };
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it does not panic")).collect()
    });
    let took = began.elapsed().as_secs_f64();
    times.sort_unstable();
    let failed = failed.into_inner();
    let millis = |part: f64| {
        let place = (times.len() as f64 * part) as usize;
        times.get(place.min(times.len().saturating_sub(1))).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    println!(
        "{{\"requests\": {total}, \"failed\": {failed}, \"per_second\": {:.0}, \"p50_ms\": {:.2}, \"p90_ms\": {:.2}, \
         \"p99_ms\": {:.2}, \"max_ms\": {:.2}}}",
        times.len() as f64 / took,
        millis(0.5),
        millis(0.9),
        millis(0.99),
        millis(1.0),
    );
    ExitCode::from(u8::from(failed > 0))
}

fn usage() -> ExitCode {
    eprintln!("usage: load ADDRESS RATE SECONDS TARGET...");
    ExitCode::from(2)
}

/// Sends one request and reads its answer to the end. Returns the status.
fn ask(connection: &mut Option<BufReader<TcpStream>>, address: &str, target: &str) -> io::Result<u16> {
    if connection.is_none() {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        *connection = Some(BufReader::new(stream));
    }
    let reader = connection.as_mut().expect("it was just made");
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    reader.get_mut().write_all(request.as_bytes())?;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut length = 0;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            }
            Some(_) => {}
            None => break,
        }
    }
    let read = io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
    if read < length {
        Err(io::ErrorKind::UnexpectedEof.into())
    } else {
        status.ok_or(io::ErrorKind::InvalidData.into())
    }
}
