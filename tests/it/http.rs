//! A server under test, and a client that can be rude.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::support::Home;

/// The token of the servers that write.
pub const TOKEN: &str = "correct-horse-battery-staple";

/// A server on a free port of this machine.
pub struct Server {
    child: Child,
    pub address: String,
    log: Option<JoinHandle<String>>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The document, which was answered with success.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code and the words of the problem that was answered.
    #[track_caller]
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(document["status"], self.status);
        assert!(document["detail"].is_string() && document["title"].is_string(), "{document}");
        (self.status, document["code"].as_str().unwrap().to_owned())
    }
}

impl Server {
    /// A server that reads.
    pub fn reading(home: &Home) -> Server {
        Server::start(home, &[])
    }

    /// A server that writes with [`TOKEN`].
    pub fn writing(home: &Home) -> Server {
        Server::start(home, &["--token-file", &token_file(home)])
    }

    /// A server with these options.
    pub fn start(home: &Home, options: &[&str]) -> Server {
        let mut command = home.command(["serve", "--addr", "127.0.0.1:0", "--json"]);
        command.args(options).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let Ok(document) = serde_json::from_str::<Value>(&line) else {
            panic!("no server: {line}{}", log.join().unwrap())
        };
        let url = document["url"].as_str().unwrap_or_else(|| panic!("{document}"));
        Server { child, address: url.strip_prefix("http://").unwrap().to_owned(), log: Some(log) }
    }

    /// An open connection.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends a request as it is written and returns what is answered.
    pub fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A server that has answered already may have closed the connection.
        let _ = stream.write_all(request);
        read_answer(&mut stream)
    }

    /// Sends a request.
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        self.raw(&request)
    }

    /// Reads what is served at a path.
    pub fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], b"")
    }

    /// Reads with some headers.
    pub fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", target, headers, b"")
    }

    /// Sends JSON with the token.
    pub fn post(&self, target: &str, body: &str) -> Answer {
        let headers = [("Authorization", BEARER), ("Content-Type", "application/json")];
        self.send("POST", target, &headers, body.as_bytes())
    }

    /// Uploads a checkpoint with the token.
    pub fn upload(&self, target: &str, body: &[u8]) -> Answer {
        let headers = [("Authorization", BEARER), ("Content-Type", "application/octet-stream")];
        self.send("POST", target, &headers, body)
    }

    /// Tells the server to end.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits for the end that was asked for, and returns how it ended and what it logged.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, self.log.take().unwrap().join().unwrap())
    }

    /// Ends the server and returns what it logged.
    pub fn stop(self) -> String {
        self.terminate();
        let (status, log) = self.ended();
        assert!(status.success(), "{status}: {log}");
        log
    }

    /// Ends the server at once, as a power loss would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The header that brings [`TOKEN`].
pub const BEARER: &str = "Bearer correct-horse-battery-staple";

/// A file with [`TOKEN`] that its owner alone may read.
pub fn token_file(home: &Home) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = home.path("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Reads an answer to the end of the connection.
pub fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut all = Vec::new();
    // What came before a connection broke is the answer.
    let _ = stream.read_to_end(&mut all);
    let end = all.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(&all)));
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap_or((line, "")));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Answer { status, headers, body: all[end + 4..].to_vec() }
}
