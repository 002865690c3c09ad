//! The store over HTTP.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{Answer, BEARER, Server, TOKEN, read_answer, token_file};
use crate::support::{Home, copy_folder, data, root};

/// A store with a history: an old checkpoint brought to 0.8.3, another under a name with slashes, and a tag.
fn history() -> Home {
    let home = Home::migrated();
    let new = data("demo/trained-0.12.2.ckpt");
    home.run(["import", new.to_str().unwrap(), "--name", "weather/era5/last"]).ok();
    home
}

/// Bytes without order, of this length.
fn noise(length: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"noise");
    let mut bytes = vec![0; length];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// A store with a file of 5 MiB and a bit, `big`, in more than one frame.
fn big() -> (Home, Vec<u8>) {
    let home = Home::new();
    let bytes = noise((5 << 20) + 123);
    fs::write(home.path("big.bin"), &bytes).unwrap();
    home.run(["import", "big.bin", "--format", "bytes"]).ok();
    (home, bytes)
}

fn without(mut document: Value, field: &str) -> Value {
    document.as_object_mut().unwrap().remove(field);
    document
}

#[test]
fn what_is_answered_is_what_the_command_line_prints() {
    let home = history();
    let server = Server::reading(&home);
    let get = |target: &str| server.get(target).json();
    let era5 = "weather%2Fera5%2Flast";
    let mut status = home.json(["status", "a"]);
    status["working_file"] = Value::Null;
    assert_eq!(get("/refs/a/status"), status);
    assert_eq!(get(&format!("/refs/{era5}/log")), home.json(["log", "weather/era5/last"]));
    assert_eq!(get("/refs/a/log?limit=1"), home.json(["log", "a", "-n", "1"]));
    assert_eq!(without(get("/refs/a/history"), "next"), home.json(["log", "history", "a"]));
    assert_eq!(
        get(&format!("/refs/{era5}/plan?version=0.12.0")),
        home.json(["plan", "weather/era5/last", "--version", "0.12.0"])
    );
    assert_eq!(get("/refs/a/plan?version=base"), home.json(["plan", "a", "--version", "base"]));
    assert_eq!(get("/groups"), home.json(["log", "groups"]));
    assert_eq!(get("/revisions/a~1"), home.json(["show", "a~1"]));
    assert_eq!(get("/revisions/first/ls"), home.json(["ls", "first"]));
    assert_eq!(get("/diff?from=a~1&to=a"), home.json(["diff", "a~1", "a"]));
    let refs = get("/refs?kind=branch");
    assert_eq!(without(refs, "next"), home.json(["branch"]));
    assert_eq!(get("/refs/first"), home.json(["tag"])["refs"][0]);
    assert_eq!(get("/refs/HEAD")["name"], "weather/era5/last");
    assert_eq!(get("/refs/first/log"), home.json(["log", "first"]));
    assert!(server.get("/refs/first/checkout").body == fs::read(data("demo/trained-0.8.1.ckpt")).unwrap());
}

#[test]
fn refs_and_history_come_page_by_page() {
    let home = Home::migrated();
    for name in ["b", "c/1", "c/2", "c/3", "d"] {
        home.run(["branch", name]).ok();
    }
    let server = Server::reading(&home);
    let names = |page: &Value| -> Vec<String> {
        let refs = page["refs"].as_array().unwrap();
        refs.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = server.get("/refs?limit=3").json();
    assert_eq!((names(&first), &first["next"]), (vec!["a".into(), "b".into(), "c/1".into()], &json!("c/1")));
    let second = server.get("/refs?limit=4&after=c/1").json();
    assert_eq!(names(&second), ["c/2", "c/3", "d", "first"]);
    assert_eq!(second["next"], Value::Null);
    assert_eq!(names(&server.get("/refs?prefix=c/").json()), ["c/1", "c/2", "c/3"]);
    assert_eq!(names(&server.get("/refs?prefix=c/&after=c/2&kind=branch").json()), ["c/3"]);
    assert_eq!(names(&server.get("/refs?kind=tag").json()), ["first"]);
    let first = server.get("/refs/a/history?limit=1").json();
    assert_eq!((first["entries"].as_array().unwrap().len(), &first["next"]), (1, &json!(1)));
    let second = server.get("/refs/a/history?limit=1&after=1").json();
    assert_eq!((&second["entries"][0]["seq"], &second["next"]), (&json!(2), &Value::Null));
}

#[test]
fn a_checkout_is_downloaded_byte_for_byte() {
    let (home, bytes) = big();
    let server = Server::reading(&home);
    let whole = server.get("/refs/big/checkout");
    assert_eq!(whole.status, 200);
    assert!(whole.body == bytes);
    assert_eq!(whole.header("content-length"), Some(bytes.len().to_string().as_str()));
    assert_eq!(whole.header("content-type"), Some("application/octet-stream"));
    assert_eq!(whole.header("content-disposition"), Some("attachment; filename=\"big.bin\""));
    let tag = whole.header("etag").unwrap();
    let head = server.send("HEAD", "/refs/big/checkout", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), whole.header("content-length"));
    let same = server.get_with("/revisions/HEAD/checkout", &[("If-None-Match", tag)]);
    assert_eq!((same.status, same.body.len()), (304, 0));
    let other = server.get_with("/revisions/HEAD/checkout", &[("If-None-Match", "\"other\"")]);
    assert!(other.status == 200 && other.body == bytes);
    server.stop();
}

#[test]
fn parts_of_a_checkout_are_downloaded() {
    let (home, bytes) = big();
    let server = Server::reading(&home);
    let part = |range: &str| server.get_with("/refs/big/checkout", &[("Range", range)]);
    let length = bytes.len();
    let mebibyte = 1 << 20;
    for (start, end) in
        [(0, 1), (length - 1, length), (mebibyte - 1, mebibyte + 1), (17, 3 * mebibyte), (0, length)]
    {
        let answer = part(&format!("bytes={start}-{}", end - 1));
        assert_eq!(answer.status, 206);
        assert!(answer.body == bytes[start..end], "{start}..{end}");
        let expected = format!("bytes {start}-{}/{length}", end - 1);
        assert_eq!(answer.header("content-range"), Some(expected.as_str()));
    }
    assert!(part("bytes=-5").body == bytes[length - 5..]);
    assert!(part(&format!("bytes={mebibyte}-")).body == bytes[mebibyte..]);
    let beyond = part(&format!("bytes={length}-"));
    assert_eq!(beyond.problem(), (416, "E_RANGE".into()));
    assert_eq!(beyond.header("content-range"), Some(format!("bytes */{length}").as_str()));
    let tag = part("bytes=0-0").header("etag").unwrap().to_owned();
    let get = |tag: &str| {
        let headers = [("Range", "bytes=0-9"), ("If-Range", tag)];
        server.get_with("/refs/big/checkout", &headers).body.len()
    };
    assert_eq!((get(&tag), get("\"other\"")), (10, length));
}

#[test]
fn parts_of_every_kind_of_file_fit_together() {
    let home = history();
    let server = Server::reading(&home);
    let whole = server.get("/refs/a/checkout").body;
    assert!(whole == fs::read(home.path("a.ckpt")).unwrap());
    let mut joined = Vec::new();
    while joined.len() < whole.len() {
        let range = format!("bytes={}-{}", joined.len(), joined.len() + 4095);
        joined.extend(server.get_with("/refs/a/checkout", &[("Range", &range)]).body);
    }
    assert!(joined == whole);
}

/// The entries of a tar archive: path, kind, link target and content.
fn archived(archive: &[u8]) -> Vec<(String, u8, String, Vec<u8>)> {
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8(bytes[..end].to_vec()).unwrap()
    };
    let (mut at, mut found) = (0, Vec::new());
    while archive[at] != 0 {
        let head = &archive[at..at + 512];
        let sum: u32 = head[..148].iter().chain(&[b' '; 8]).chain(&head[156..]).map(|b| u32::from(*b)).sum();
        assert_eq!(u32::from_str_radix(&text(&head[148..154]), 8).unwrap(), sum);
        let bytes = usize::from_str_radix(&text(&head[124..136]), 8).unwrap();
        let content = archive[at + 512..at + 512 + bytes].to_vec();
        found.push((text(&head[..100]), head[156], text(&head[157..257]), content));
        at += 512 + bytes.next_multiple_of(512);
    }
    assert!(archive.len() == at + 1024 && archive[at..].iter().all(|byte| *byte == 0));
    found
}

/// A store with a folder of a Hugging Face model, `hf`.
fn folder() -> Home {
    let home = Home::new();
    copy_folder(&data("folders/hf"), &home.path("hf"));
    fs::create_dir(home.path("hf/onnx")).unwrap();
    fs::write(home.path("hf/onnx/big.bin"), noise(700_000)).unwrap();
    std::os::unix::fs::symlink("../config.json", home.path("hf/onnx/config.json")).unwrap();
    home.run(["import", "hf"]).ok();
    home
}

#[test]
fn a_folder_is_downloaded_as_an_archive() {
    let home = folder();
    let server = Server::reading(&home);
    let whole = server.get("/refs/hf/checkout");
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("application/x-tar")));
    assert_eq!(whole.header("content-disposition"), Some("attachment; filename=\"hf.tar\""));
    assert_eq!(whole.header("content-length"), Some(whole.body.len().to_string().as_str()));
    for (path, kind, target, content) in archived(&whole.body) {
        let path = home.path(&path);
        match kind {
            b'0' => assert!(fs::read(&path).unwrap() == content, "{}", path.display()),
            b'2' => assert_eq!(fs::read_link(path).unwrap().to_str(), Some(target.as_str())),
            _ => assert!(kind == b'5' && path.is_dir()),
        }
    }
    let listed = server.get("/revisions/HEAD/ls").json();
    assert_eq!(listed["files"].as_array().unwrap().len(), archived(&whole.body).len());
    // The same bytes each time, so that parts fit together.
    let tag = whole.header("etag").unwrap();
    for (start, end) in [(0, 1), (100, 5000), (511, 400_000), (whole.body.len() - 2000, whole.body.len())] {
        let headers = [("Range", &*format!("bytes={start}-{}", end - 1)), ("If-Range", tag)];
        let part = server.get_with("/refs/hf/checkout", &headers);
        assert!(part.status == 206 && part.body == whole.body[start..end], "{start}..{end}");
    }
    server.stop();
}

#[test]
fn a_file_of_a_folder_is_downloaded_by_itself() {
    let home = folder();
    let server = Server::reading(&home);
    let big = server.get("/refs/hf/checkout?path=onnx/big.bin");
    assert_eq!(big.header("content-type"), Some("application/octet-stream"));
    assert_eq!(big.header("content-disposition"), Some("attachment; filename=\"big.bin\""));
    assert!(big.body == noise(700_000));
    let target = "/revisions/HEAD/checkout?path=onnx%2Fbig.bin";
    let part = server.get_with(target, &[("Range", "bytes=-300000")]);
    assert!(part.status == 206 && part.body == noise(700_000)[400_000..]);
    for path in ["onnx", "onnx/config.json", "../hf/config.json", "/etc/passwd", "", "config.json/"] {
        let answer = server.get(&format!("/refs/hf/checkout?path={path}"));
        assert_eq!(answer.problem(), (404, "E_NAME".into()), "{path}");
    }
    drop(server);
    fs::write(home.path("one.json"), "{}").unwrap();
    home.run(["import", "one.json"]).ok();
    let server = Server::reading(&home);
    assert_eq!(server.get("/refs/one/checkout?path=x").problem(), (404, "E_NAME".into()));
}

#[test]
fn a_version_is_downloaded_as_its_checkout_would_write_it() {
    let home = history();
    let before = home.json(["log", "--limit", "99"]);
    let server = Server::writing(&home);
    let target = "/refs/weather%2Fera5%2Flast/checkout?version=0.12.0";
    assert_eq!(server.get(target).problem(), (401, "E_TOKEN".into()));
    let first = server.get_with(target, &[("Authorization", BEARER)]);
    assert_eq!(first.status, 200);
    let second = server.get_with(target, &[("Authorization", BEARER), ("Range", "bytes=100-199")]);
    assert!(second.body == first.body[100..200]);
    // What only restores needs no token.
    let old = server.get("/refs/a/checkout?version=0.8.1");
    assert!(old.body == fs::read(data("demo/trained-0.8.1.ckpt")).unwrap());
    assert_eq!(home.json(["log", "--limit", "99"]), before);
    drop(server);
    home.run(["checkout", "weather/era5/last", "--version", "0.12.0", "-o", "out.ckpt"]).ok();
    assert!(first.body == fs::read(home.path("out.ckpt")).unwrap());
    let server = Server::reading(&home);
    assert_eq!(server.get("/refs/a/checkout?version=0.8.1").status, 200);
    assert_eq!(server.get("/refs/a/checkout?version=0.12.0").problem(), (409, "E_TOO_OLD".into()));
    assert_eq!(server.get("/refs/a/checkout?version=x").problem(), (400, "E_USAGE".into()));
}

#[test]
fn what_needs_a_script_is_not_run_by_a_server_that_only_reads() {
    let home = history();
    let server = Server::start(&home, &["--token-file", &token_file(&home), "--read-only"]);
    let target = "/refs/weather%2Fera5%2Flast/checkout?version=0.12.0";
    let refused = server.get_with(target, &[("Authorization", BEARER)]);
    assert_eq!(refused.problem(), (403, "E_READ_ONLY".into()));
    assert_eq!(server.upload("/refs/x/import", b"x").problem(), (403, "E_READ_ONLY".into()));
}

#[test]
fn an_upload_is_an_import_that_leaves_head_and_working_files_alone() {
    let home = history();
    let server = Server::writing(&home);
    let head = home.json(["status"])["ref"].clone();
    let bytes = fs::read(data("demo/trained-0.8.1.ckpt")).unwrap();
    let made = server.upload("/refs/team%2Fmodel/import?message=from%20far", &bytes);
    assert_eq!(made.status, 201);
    let report = made.json();
    assert_eq!((&report["ref"], &report["version"]), (&json!("team/model"), &json!("0.8.1")));
    assert_eq!(server.get("/refs/team%2Fmodel/checkout").body, bytes);
    let log = home.json(["log", "team/model"]);
    assert_eq!(
        (&log["entries"][0]["message"], &log["entries"][0]["actor"]),
        (&json!("from far"), &json!("ada"))
    );
    let again = server.upload("/refs/team%2Fmodel/import", &bytes);
    assert_eq!((again.status, &again.json()["unchanged"]), (200, &json!(true)));
    assert_eq!(home.json(["status"])["ref"], head);
    assert_eq!(home.json(["status", "team/model"])["working_file"], Value::Null);
    assert_eq!(leftovers(&home), 0);
    home.run(["fsck"]).ok();
}

/// Files that uploads left in the folder of the store.
fn leftovers(home: &Home) -> usize {
    let entries = fs::read_dir(home.path(".ckstore")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("upload")).count()
}

#[test]
fn an_upload_that_cannot_be_taken_changes_nothing() {
    let home = history();
    let server = Server::start(&home, &["--token-file", &token_file(&home), "--max-upload", "1M"]);
    let refs = server.get("/refs").json();
    let upload = |target: &str, body: &[u8]| server.upload(target, body).problem();
    assert_eq!(upload("/refs/x/import", b""), (422, "E_INPUT".into()));
    assert_eq!(upload("/refs/x/import", &noise((1 << 20) + 1)), (413, "E_TOO_LARGE".into()));
    let cut = &fs::read(data("demo/trained-0.8.1.ckpt")).unwrap()[..30_000];
    assert_eq!(upload("/refs/x/import", cut), (422, "E_FORMAT".into()));
    assert_eq!(upload("/refs/x/import?format=safetensors", b"x"), (400, "E_USAGE".into()));
    assert_eq!(upload("/refs/x/import?colour=red", b"x"), (400, "E_USAGE".into()));
    assert_eq!(upload("/refs/x/import?version=1&baseline=b", b"x"), (409, "E_USAGE".into()));
    assert_eq!(upload("/refs/first/import", b"{\"a\": 1}"), (404, "E_NAME".into()));
    for name in
        ["..", "..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "a%00b", "a%2F.git", "HEAD", "a%5Cb", "-x"]
    {
        assert_eq!(upload(&format!("/refs/{name}/import"), b"x"), (404, "E_NAME".into()), "{name}");
    }
    let json = [("Authorization", BEARER), ("Content-Type", "application/json")];
    assert_eq!(server.send("POST", "/refs/x/import", &json, b"{}").problem(), (415, "E_MEDIA".into()));
    // Longer than it says it is, in pieces.
    let mut stream = server.connect();
    let head = format!(
        "POST /refs/x/import HTTP/1.1\r\nHost: a\r\nHost: {}\r\nAuthorization: {BEARER}\r\nConnection: close\r\n\r\n",
        server.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).problem(), (400, "E_USAGE".into()));
    let mut stream = server.connect();
    let head = format!(
        "POST /refs/x/import HTTP/1.1\r\nHost: {}\r\nAuthorization: {BEARER}\r\nConnection: close\r\n\
         Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        server.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = noise(300_000);
    for _ in 0..4 {
        let _ = stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes());
        let _ = stream.write_all(&chunk);
        let _ = stream.write_all(b"\r\n");
    }
    assert_eq!(read_answer(&mut stream).problem(), (413, "E_TOO_LARGE".into()));
    assert_eq!(server.get("/refs").json(), refs);
    assert_eq!(leftovers(&home), 0);
}

#[test]
fn an_upload_that_breaks_off_changes_nothing() {
    let home = history();
    let server = Server::writing(&home);
    let refs = server.get("/refs").json();
    let mut stream = server.connect();
    let head = format!(
        "POST /refs/x/import HTTP/1.1\r\nHost: {}\r\nAuthorization: {BEARER}\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n",
        server.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&noise(500_000)).unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    let deadline = Instant::now() + Duration::from_secs(20);
    while leftovers(&home) > 0 {
        assert!(Instant::now() < deadline, "the file stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(server.get("/refs").json(), refs);
    // What a killed server leaves is tidied up by the next.
    let mut stream = server.connect();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&noise(500_000)).unwrap();
    while leftovers(&home) == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    server.kill();
    let server = Server::writing(&home);
    assert_eq!(leftovers(&home), 0);
    assert_eq!(server.get("/refs").json(), refs);
}

#[test]
fn more_uploads_than_there_are_places_for_are_told_so_at_once() {
    let home = history();
    let server = Server::writing(&home);
    let head = format!(
        "POST /refs/x/import HTTP/1.1\r\nHost: {}\r\nAuthorization: {BEARER}\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n",
        server.address
    );
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&noise(1000)).unwrap();
            stream
        })
        .collect();
    while leftovers(&home) < 4 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.upload("/refs/y/import", b"{}").problem(), (503, "E_BUSY".into()));
    drop(waiting);
    while leftovers(&home) > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.upload("/refs/y/import", b"{}").status, 201);
}

#[test]
fn a_catalogue_that_changes_is_read_again() {
    let home = history();
    let server = Server::reading(&home);
    let pending = || server.get("/refs/a/status").json()["missing"].as_array().unwrap().len();
    let before = pending();
    let text = "metadata = MigrationMetadata(versions={'anemoi-models': '0.8.4'})\ndef migrate(ckpt):\n    return ckpt\n";
    // Right after the last that 0.8.x has.
    let names = fs::read_dir(home.path("migrations")).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let second = names.iter().filter(|name| name.ends_with(".py") || name.ends_with(".toml")).nth(1).unwrap();
    let number: u64 = second.split('_').next().unwrap().parse().unwrap();
    let added = home.path("migrations").join(format!("{}_added.py", number + 1));
    fs::write(&added, text).unwrap();
    assert_eq!(pending(), before + 1);
    fs::remove_file(&added).unwrap();
    assert_eq!(pending(), before);
}

#[test]
fn writing_takes_the_token() {
    let home = history();
    let server = Server::writing(&home);
    let kind = ("Content-Type", "application/octet-stream");
    let missing = server.send("POST", "/refs/x/import", &[kind], b"x");
    assert_eq!(missing.problem(), (401, "E_TOKEN".into()));
    assert!(missing.header("www-authenticate").unwrap().starts_with("Bearer"));
    for wrong in ["Bearer wrong-horse-battery-staple", "Basic Y29ycmVjdDp4", "Bearer ", TOKEN] {
        let headers = [("Authorization", wrong), kind];
        assert_eq!(server.send("POST", "/refs/x/import", &headers, b"x").problem().0, 401, "{wrong}");
        // A wrong token is told of where none is needed, too.
        assert_eq!(server.get_with("/refs", &[("Authorization", wrong)]).problem().0, 401, "{wrong}");
    }
    let twice = [("Authorization", BEARER), ("Authorization", BEARER), kind];
    assert_eq!(server.send("POST", "/refs/x/import", &twice, b"x").problem().0, 401);
    assert_eq!(server.get("/refs").status, 200);
    assert_eq!(server.upload("/refs/x/import", b"x").status, 201);
    let log = server.stop();
    assert!(log.contains("POST /refs/x/import 401") && log.contains("POST /refs/x/import 201"), "{log}");
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
fn a_private_server_tells_nothing_without_the_token() {
    let home = history();
    let server = Server::start(&home, &["--token-file", &token_file(&home), "--private"]);
    for target in ["/refs", "/metrics", "/openapi.json", "/refs/a/checkout", "/nowhere"] {
        assert_eq!(server.get(target).problem(), (401, "E_TOKEN".into()), "{target}");
    }
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get_with("/refs", &[("Authorization", BEARER)]).status, 200);
}

#[test]
fn settings_that_would_let_strangers_in_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = history();
    let refused = |arguments: &[&str], words: &str| {
        let ran = home.run(["serve", "--json"].iter().chain(arguments));
        let (code, error) = (ran.code, ran.json()["error"].clone());
        assert_eq!((code, &error["code"]), (Some(2), &json!("E_USAGE")), "{arguments:?}: {error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    };
    refused(&["--addr", "0.0.0.0:0"], "no token");
    refused(&["--addr", "[::]:0"], "no token");
    refused(&["--addr", "example.org:80"], "invalid value");
    refused(&["--private"], "required arguments");
    let token = token_file(&home);
    fs::set_permissions(&token, fs::Permissions::from_mode(0o640)).unwrap();
    refused(&["--token-file", &token], "others than its owner");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&token, "short\n").unwrap();
    refused(&["--token-file", &token], "holds no token");
    fs::write(&token, "").unwrap();
    refused(&["--token-file", &token], "holds no token");
    let missing = home.run(["serve", "--json", "--token-file", "missing"]);
    assert_eq!(missing.json()["error"]["code"], "E_INPUT");
}

#[test]
fn other_machines_are_answered_only_with_the_token() {
    let home = history();
    let mut command =
        home.command(["serve", "--addr", "0.0.0.0:0", "--json", "--token-file", &token_file(&home)]);
    // The helper listens on this machine alone; here the address is told in full.
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut line = [0; 300];
    let length = child.stdout.as_mut().unwrap().read(&mut line).unwrap();
    let document: Value = serde_json::from_slice(&line[..length]).unwrap();
    let port = document["url"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let ask = |token: &str| {
        let mut stream = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        let request = format!("GET /refs HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{token}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream).status
    };
    let answers = (ask(""), ask(&format!("Authorization: {BEARER}\r\n")));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(answers, (401, 200));
}

#[test]
fn a_page_that_rebinds_its_name_is_not_answered() {
    let home = history();
    let server = Server::start(&home, &["--host", "store.example"]);
    let ask =
        |host: &str| server.raw(format!("GET /refs HTTP/1.1\r\n{host}Connection: close\r\n\r\n").as_bytes());
    for good in
        ["Host: localhost:1\r\n", "Host: 127.0.0.1\r\n", "Host: [::1]:80\r\n", "Host: store.example\r\n"]
    {
        assert_eq!(ask(good).status, 200, "{good}");
    }
    assert_eq!(ask("Host: evil.example\r\n").problem(), (421, "E_HOST".into()));
    assert_eq!(ask("Host: 127.0.0.1.evil.example\r\n").problem(), (421, "E_HOST".into()));
    assert_eq!(ask("").problem(), (400, "E_USAGE".into()));
    let absolute = b"GET http://evil.example/refs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(server.raw(absolute).problem(), (421, "E_HOST".into()));
}

#[test]
fn what_cannot_be_meant_is_a_problem_with_a_code() {
    let home = history();
    let server = Server::reading(&home);
    for (target, status, code) in [
        ("/", 404, "E_ROUTE"),
        ("/nowhere", 404, "E_ROUTE"),
        ("/refs/weather/era5/last/status", 404, "E_ROUTE"),
        ("/refs/../../etc/passwd", 404, "E_ROUTE"),
        ("/refs/", 404, "E_ROUTE"),
        ("/refs//status", 404, "E_NAME"),
        ("/refs/missing", 404, "E_NAME"),
        ("/refs/missing/status", 404, "E_NAME"),
        ("/refs/..%2F..%2Fetc%2Fpasswd/checkout", 404, "E_NAME"),
        ("/refs/%2Fetc%2Fpasswd/checkout", 404, "E_NAME"),
        ("/refs/a%00b/log", 404, "E_NAME"),
        ("/refs/%ff/log", 400, "E_USAGE"),
        ("/refs/first/status", 404, "E_NAME"),
        ("/refs?colour=red", 400, "E_USAGE"),
        ("/refs?limit=0", 400, "E_USAGE"),
        ("/refs?limit=-1", 400, "E_USAGE"),
        ("/refs?limit=1001", 400, "E_USAGE"),
        ("/refs?limit=99999999999999999999", 400, "E_USAGE"),
        ("/refs?limit=1&limit=2", 400, "E_USAGE"),
        ("/refs?kind=dog", 400, "E_USAGE"),
        ("/refs/a/log?limit=", 400, "E_USAGE"),
        ("/refs/a/history?after=x", 400, "E_USAGE"),
        ("/refs/a/plan?version=0.8.3&to=x", 409, "E_USAGE"),
        ("/refs/a/plan?to=x", 404, "E_USAGE"),
        ("/refs/a/plan?version=nonsense", 400, "E_USAGE"),
        ("/refs/a/plan?version=0.12.0", 409, "E_TOO_OLD"),
        ("/refs/a/plan?strict=maybe", 400, "E_USAGE"),
        ("/revisions/0000000000000000", 404, "E_NAME"),
        ("/revisions/a~99", 404, "E_NAME"),
        ("/revisions/a~x/checkout", 404, "E_NAME"),
        ("/diff", 400, "E_USAGE"),
        ("/diff?from=a", 400, "E_USAGE"),
        ("/diff?from=a&to=missing", 404, "E_NAME"),
        ("/healthz?x=1", 400, "E_USAGE"),
    ] {
        assert_eq!(server.get(target).problem(), (status, code.to_owned()), "{target}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let answer = server.send(method, "/refs", &[], b"");
        assert_eq!(answer.problem(), (405, "E_METHOD".into()), "{method}");
        assert!(answer.header("allow").unwrap().contains("GET"), "{answer:?}");
    }
    let log = server.stop();
    assert!(log.lines().any(|line| line.contains(" GET /refs?limit=0 400 ")), "{log}");
}

#[test]
fn what_is_no_http_ends_its_connection_and_nothing_else() {
    let home = history();
    let server = Server::reading(&home);
    let long = format!("GET /refs?prefix={} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET /refs HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(5000));
    let rubbish = noise(100_000);
    let requests: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"\0\0\0\0",
        &rubbish,
        long.as_bytes(),
        many.as_bytes(),
        b"POST /migrate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ];
    for request in requests {
        let mut stream = server.connect();
        let _ = stream.write_all(request);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{:?}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(server.get("/refs").status, 200);
}

#[test]
fn clients_that_dawdle_keep_nobody_waiting() {
    let (home, bytes) = big();
    let server = Server::reading(&home);
    // Half a request each, and downloads that nobody reads.
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut stream = server.connect();
        stream.write_all(b"GET /refs HTTP/1.1\r\nHost: loc").unwrap();
        open.push(stream);
    }
    for _ in 0..4 {
        let mut stream = server.connect();
        stream.write_all(b"GET /refs/big/checkout HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        open.push(stream);
    }
    let began = Instant::now();
    assert_eq!(server.get("/refs").status, 200);
    assert!(server.get("/refs/big/checkout").body == bytes);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(open);
    assert_eq!(server.get("/healthz").status, 200);
    server.stop();
}

#[test]
fn a_request_that_does_not_arrive_in_time_is_given_up() {
    let home = models();
    let server = Server::start(&home, &["--token-file", &token_file(&home), "--patience", "1"]);
    let head = |target: &str, kind: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {BEARER}\r\nContent-Type: {kind}\r\n\
             Content-Length: 1000\r\n\r\n{{\"collection\": "
        )
    };
    let requests = [
        head("/migrate", "application/json"),
        head("/refs/x/import", "application/octet-stream"),
        "GET /refs HTTP/1.1\r\nHost: loc".to_owned(),
    ];
    let mut open: Vec<_> = requests.iter().map(|_| server.connect()).collect();
    for (stream, request) in open.iter_mut().zip(&requests) {
        stream.write_all(request.as_bytes()).unwrap();
    }
    // Others are answered meanwhile.
    assert_eq!(server.get("/refs").status, 200);
    for stream in &mut open[..2] {
        assert_eq!(read_answer(stream).problem(), (408, "E_TIMEOUT".into()));
    }
    let mut rest = Vec::new();
    let _ = open[2].read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 2"), "{:?}", String::from_utf8_lossy(&rest));
    assert_eq!(server.get("/refs/x").problem(), (404, "E_NAME".into()));
    assert_eq!((server.get("/jobs").json(), leftovers(&home)), (json!({"jobs": []}), 0));
    server.stop();
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let home = Home::new();
    // More than lies in the buffers of a connection.
    let bytes = 48 << 20;
    fs::File::create(home.path("zeros.bin")).unwrap().set_len(bytes).unwrap();
    home.run(["import", "zeros.bin", "--format", "bytes"]).ok();
    let server = Server::start(&home, &["--patience", "1"]);
    let mut stream = server.connect();
    stream.write_all(b"GET /refs/zeros/checkout HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let open = |server: &Server| {
        let text = String::from_utf8(server.get("/metrics").body).unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix("ckstore_http_connections ")?.parse::<u32>().ok())
            .unwrap()
    };
    while open(&server) > 1 {
        assert!(Instant::now() < deadline, "the connection is still open");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut taken = Vec::new();
    let _ = stream.read_to_end(&mut taken);
    assert!((taken.len() as u64) < bytes, "all of it was taken");
    server.stop();
}

#[test]
fn clients_that_hang_up_leave_no_thread_behind() {
    let (home, bytes) = big();
    let server = Server::reading(&home);
    for _ in 0..30 {
        let mut stream = server.connect();
        stream.write_all(b"GET /refs/big/checkout HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut some = [0; 1000];
        stream.read_exact(&mut some).unwrap();
    }
    // More than could be under way at once: all of them have ended.
    assert!(server.get("/refs/big/checkout").body == bytes);
    let log = server.stop();
    assert!(!log.contains("broken off"), "{log}");
}

#[test]
fn a_damaged_store_breaks_a_download_off() {
    let (home, bytes) = big();
    let pack = home.packs().remove(0);
    let mut stored = fs::read(&pack).unwrap();
    let place = stored.len() / 2;
    stored[place] ^= 1;
    fs::write(&pack, stored).unwrap();
    let server = Server::reading(&home);
    let answer = server.get("/refs/big/checkout");
    assert!(answer.body.len() < bytes.len(), "what is damaged was sent as if it were whole");
    assert!(server.stop().contains("broken off"));
}

#[test]
fn a_server_that_is_told_to_end_finishes_what_is_under_way() {
    let (home, bytes) = big();
    let server = Server::reading(&home);
    let mut idle = server.connect();
    let mut stream = server.connect();
    stream
        .write_all(b"GET /refs/big/checkout HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    server.terminate();
    std::thread::sleep(Duration::from_millis(200));
    assert!(std::net::TcpStream::connect(&server.address).is_err(), "it still listens");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(&bytes[bytes.len() - 100_000..]));
    let began = Instant::now();
    let (status, log) = server.ended();
    assert!(status.success() && log.contains("stopped"), "{status}: {log}");
    assert!(began.elapsed() < Duration::from_secs(10), "an idle connection was waited for");
    let _ = idle.read(&mut first);
}

#[test]
fn many_read_at_once() {
    let home = history();
    let server = Server::reading(&home);
    let expected = server.get("/refs/a/status").json();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(server.get("/refs/a/status").json(), expected);
                }
            });
        }
    });
}

#[test]
fn what_is_written_beside_the_server_is_seen() {
    let home = history();
    let server = Server::reading(&home);
    assert_eq!(server.get("/refs/new").status, 404);
    home.run(["branch", "new"]).ok();
    assert_eq!(server.get("/refs/new").status, 200);
    home.run(["gc", "--force"]);
    assert_eq!(server.get("/refs/a/checkout").status, 200);
}

#[test]
fn requests_are_counted() {
    let home = history();
    let server = Server::start(&home, &["--quiet"]);
    server.get("/refs/a/status");
    server.get("/refs/a/status");
    server.get("/nowhere");
    let answer = server.get("/metrics");
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = String::from_utf8(answer.body).unwrap();
    let line = "ckstore_http_requests_total{method=\"GET\",route=\"/refs/{name}/status\",status=\"200\"} 2";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("route=\"none\",status=\"404\"} 1") && text.ends_with("# EOF\n"), "{text}");
    let log = server.stop();
    assert!(!log.contains("GET"), "{log}");
}

const FIRST: &str = "Migration_1000000000001_owner";
const SECOND: &str = "Migration_1000000000002_rename";

/// A collection `models` of three documents, and two migrations.
fn models() -> Home {
    let home = Home::new();
    let lines = "{\"_id\": \"a\", \"kind\": \"x\"}\n{\"_id\": \"b\", \"kind\": \"y\"}\n{\"_id\": \"c\"}\n";
    fs::write(home.path("models.jsonl"), lines).unwrap();
    fs::create_dir(home.path("scripts")).unwrap();
    script(&home, FIRST, "collection.update_many({'kind': 'x'}, {'$set': {'owner': 'ada'}})", "pass");
    script(
        &home,
        SECOND,
        "collection.update_many({}, {'$rename': {'kind': 'type'}})",
        "collection.update_many({}, {'$rename': {'type': 'kind'}})",
    );
    home.run(["import", "models.jsonl", "--collection", "models", "--catalogue", "scripts"]).ok();
    home
}

/// Writes a script; both bodies are one line.
fn script(home: &Home, name: &str, up: &str, down: &str) {
    let text = format!(
        "from exodusutils.migration.base_migration import BaseMigration\n\n\nclass Migration(BaseMigration):\n    \
         def up(self, collection):\n        {up}\n\n    def down(self, collection):\n        {down}\n"
    );
    fs::write(home.path("scripts").join(format!("{name}.py")), text).unwrap();
}

/// A script that takes its time.
fn slow(home: &Home) {
    script(home, "Migration_1000000000003_slow", "[i for i in range(2000000) if i < 0]", "pass");
}

/// Every document's revision.
fn revisions(server: &Server) -> Value {
    server.get("/refs?prefix=models/").json()["refs"].clone()
}

#[test]
fn a_collection_is_migrated_up_and_down() {
    let home = models();
    let server = Server::writing(&home);
    let before = revisions(&server);
    let up = server.post("/migrate?wait=true", r#"{"collection": "models", "action": "up"}"#);
    assert_eq!(up.status, 200);
    let job = up.json();
    assert_eq!((&job["state"], &job["problem"]), (&json!("done"), &Value::Null));
    assert_eq!(job["report"]["executed"], json!([FIRST, SECOND]));
    assert_eq!(server.get(&format!("/jobs/{}", job["job"].as_str().unwrap())).json(), job);
    let document = server.get("/refs/models%2Fa/checkout").body;
    assert_eq!(
        serde_json::from_slice::<Value>(&document).unwrap(),
        json!({"_id": "a", "owner": "ada", "type": "x"})
    );
    let down = r#"{"collection": "models", "action": "down", "steps": 2.0, "message": "back"}"#;
    let job = server.post("/migrate?wait=true", down).json();
    assert_eq!((&job["report"]["executed"], &job["request"]["steps"]), (&json!([]), &json!(2)));
    let document = server.get("/refs/models%2Fa/checkout").body;
    assert_eq!(serde_json::from_slice::<Value>(&document).unwrap(), json!({"_id": "a", "kind": "x"}));
    assert_ne!(revisions(&server), before, "the history is kept");
    let dry = r#"{"collection": "models", "action": "up", "to": "owner", "dry_run": true}"#;
    let expected = home.json(["migrate", "models", "up", "--to", "owner", "--dry-run"]);
    assert_eq!(server.post("/migrate?wait=true", dry).json()["report"], expected);
    assert_eq!(server.get("/jobs").json()["jobs"].as_array().unwrap().len(), 3);
    let text = String::from_utf8(server.get("/metrics").body).unwrap();
    assert!(text.contains("ckstore_jobs_total{state=\"done\"} 3"), "{text}");
    server.stop();
    home.run(["fsck"]).ok();
}

#[test]
fn what_migrate_cannot_mean_begins_no_job() {
    let home = models();
    let server = Server::writing(&home);
    let before = revisions(&server);
    let huge = format!(r#"{{"collection": "models", "action": "up", "message": "{}"}}"#, "x".repeat(70_000));
    let deep = "[".repeat(10_000);
    for (body, status, code) in [
        (r#"{"collection": "models", "action": "sideways"}"#, 400, "E_USAGE"),
        (r#"{"collection": "models", "action": "UP"}"#, 400, "E_USAGE"),
        (r#"{"collection": "models", "action": ["up"]}"#, 400, "E_USAGE"),
        (r#"{"collection": "models", "action": "up", "colour": "red"}"#, 400, "E_USAGE"),
        (r#"{"collection": "models", "action": "up", "action": "down"}"#, 400, "E_USAGE"),
        (r#"{"collection": "models"}"#, 400, "E_USAGE"),
        (r#"{"action": "up"}"#, 400, "E_USAGE"),
        (r#"{"collection": "models", "action": "up", "steps": 0}"#, 400, "E_USAGE"),
        (r#"{"collection": "models", "action": "up", "steps": -1}"#, 400, "E_USAGE"),
        (r#"{"collection": "models", "action": "up", "steps": 1e99}"#, 400, "E_USAGE"),
        (r#"{"collection": "models", "action": "up", "steps": 1.5}"#, 400, "E_USAGE"),
        (r#"{"collection": "models", "action": "up", "steps": "1"}"#, 400, "E_USAGE"),
        (r#"{"collection": "models", "action": "up", "steps": 1, "to": "owner"}"#, 409, "E_USAGE"),
        (r#"{"collection": "models", "action": "up", "restore": true}"#, 409, "E_USAGE"),
        (r#"{"collection": "missing", "action": "up"}"#, 404, "E_NAME"),
        (r#"{"collection": "../../etc", "action": "up"}"#, 404, "E_NAME"),
        (r#"{"collection": "", "action": "up"}"#, 404, "E_NAME"),
        (r#"{"collection": "models", "action": "up""#, 400, "E_USAGE"),
        ("", 400, "E_USAGE"),
        ("[]", 400, "E_USAGE"),
        ("null", 400, "E_USAGE"),
        ("\u{feff}{}", 400, "E_USAGE"),
        (&deep, 400, "E_USAGE"),
        (&huge, 413, "E_TOO_LARGE"),
    ] {
        let body = &body[..body.len().min(100_000)];
        assert_eq!(server.post("/migrate", body).problem(), (status, code.to_owned()), "{body:.80}");
    }
    let raw = [("Authorization", BEARER), ("Content-Type", "application/json")];
    assert_eq!(server.send("POST", "/migrate", &raw, b"{\"action\": \"\xff\"}").problem().0, 400);
    let text = [("Authorization", BEARER), ("Content-Type", "text/plain")];
    assert_eq!(server.send("POST", "/migrate", &text, b"{}").problem(), (415, "E_MEDIA".into()));
    assert_eq!(server.post("/migrate?wait=perhaps", "{}").problem().0, 400);
    assert_eq!(server.send("POST", "/migrate", &text[1..], b"{}").problem(), (401, "E_TOKEN".into()));
    assert_eq!(server.get("/jobs").json(), json!({"jobs": []}));
    assert_eq!(server.get("/jobs/0123456789abcdef").problem(), (404, "E_NAME".into()));
    assert_eq!(server.get("/jobs/..%2Flock").problem(), (404, "E_NAME".into()));
    assert_eq!(revisions(&server), before);
}

#[test]
fn a_script_that_fails_fails_its_job_and_tells_what_was_done_before() {
    let home = models();
    script(&home, SECOND, "raise ValueError('no')", "pass");
    let server = Server::writing(&home);
    let failed = server.post("/migrate?wait=true", r#"{"collection": "models", "action": "up"}"#);
    assert_eq!(failed.problem(), (422, "E_SCRIPT".into()));
    let problem: Value = serde_json::from_slice(&failed.body).unwrap();
    assert!(problem["detail"].as_str().unwrap().contains(SECOND), "{problem}");
    assert_eq!(problem["steps"], json!({"done": [FIRST], "failed": SECOND, "not_run": []}));
    let job = server.get(&format!("/jobs/{}", problem["job"].as_str().unwrap())).json();
    assert_eq!((&job["state"], &job["problem"]), (&json!("failed"), &problem));
    // The migration before it is a step of its own, and done.
    let again = server.post("/migrate?wait=true", r#"{"collection": "models", "action": "down"}"#).json();
    assert_eq!(again["report"]["executed"], json!([]));
}

#[test]
fn one_job_runs_and_others_are_told_its_name() {
    let home = models();
    slow(&home);
    let server = Server::writing(&home);
    let up = r#"{"collection": "models", "action": "up"}"#;
    let first = server.post("/migrate", up);
    assert_eq!(first.status, 202);
    let job = first.json();
    let id = job["job"].as_str().unwrap();
    assert_eq!((&job["state"], first.header("location")), (&json!("running"), Some(&*format!("/jobs/{id}"))));
    for refused in [server.post("/migrate", up), server.upload("/refs/x/import", b"x")] {
        assert_eq!(refused.problem(), (409, "E_LOCKED".into()));
        let problem: Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(problem["job"], id);
    }
    assert_eq!(server.get("/refs").status, 200);
    assert_eq!(ended(&server, id)["state"], "done");
    assert_eq!(server.post("/migrate?wait=true", up).json()["report"]["steps"], json!([]));
}

/// A job when it has ended.
fn ended(server: &Server, id: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let job = server.get(&format!("/jobs/{id}")).json();
        if job["state"] != "running" {
            return job;
        }
        assert!(Instant::now() < deadline, "{job}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_job_ends_before_its_server_or_is_interrupted() {
    let home = models();
    slow(&home);
    let up = r#"{"collection": "models", "action": "up", "steps": 3}"#;
    let server = Server::writing(&home);
    let before = revisions(&server);
    let id = server.post("/migrate", up).json()["job"].as_str().unwrap().to_owned();
    server.kill();
    let server = Server::writing(&home);
    assert_eq!(server.get(&format!("/jobs/{id}")).json()["state"], "interrupted");
    let undone =
        server.post("/migrate?wait=true", r#"{"collection": "models", "action": "down", "steps": 9}"#);
    assert_eq!(undone.json()["report"]["executed"], json!([]));
    let id = server.post("/migrate", up).json()["job"].as_str().unwrap().to_owned();
    let log = server.stop();
    assert!(log.contains(&format!("job {id} done")) && !log.contains("interrupted"), "{log}");
    let server = Server::reading(&home);
    let job = server.get(&format!("/jobs/{id}")).json();
    assert_eq!((&job["state"], job["report"]["steps"].as_array().map(Vec::len)), (&json!("done"), Some(3)));
    assert_ne!(revisions(&server), before);
    home.run(["fsck"]).ok();
}

#[test]
fn two_servers_do_not_write_to_one_store() {
    let home = models();
    let server = Server::writing(&home);
    let second = home.run(["serve", "--addr", "127.0.0.1:0", "--json", "--token-file", &token_file(&home)]);
    assert_eq!((second.code, &second.json()["error"]["code"]), (Some(8), &json!("E_LOCKED")));
    Server::reading(&home).stop();
    assert_eq!(server.get("/healthz").status, 200);
}

/// A target for each operation of the description, with values that this store has.
fn filled(path: &str) -> String {
    let query = match path {
        "/diff" => "?from=a~1&to=a",
        "/refs/{name}/plan" => "?version=0.8.3",
        _ => "",
    };
    path.replace("{name}", "a").replace("{revision}", "HEAD") + query
}

#[test]
fn everything_that_is_described_is_served() {
    let home = history();
    let server = Server::writing(&home);
    let description = server.get("/openapi.json").json();
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() > 10);
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            let answer = match method.as_str() {
                "get" => server.get(&filled(path)),
                method => server.send(&method.to_uppercase(), &filled(path), &[], b""),
            };
            let expected: &[u16] = if method == "post" { &[401] } else { &[200, 404] };
            assert!(expected.contains(&answer.status), "{method} {path}: {answer:?}");
            assert_ne!(code(&answer), Some("E_ROUTE".to_owned()), "{path}");
            let described = &operation["responses"][answer.status.to_string()];
            assert!(answer.status != 200 || described.is_object(), "{path}");
        }
    }
}

#[test]
fn a_server_that_only_reads_describes_no_writing() {
    let home = history();
    let server = Server::reading(&home);
    let description = server.get("/openapi.json").json();
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() > 10 && !paths.contains_key("/migrate"));
    assert!(
        paths.values().all(|operations| operations.as_object().unwrap().keys().all(|method| method == "get"))
    );
}

fn code(answer: &Answer) -> Option<String> {
    let document: Value = serde_json::from_slice(&answer.body).ok()?;
    document["code"].as_str().map(str::to_owned)
}

#[test]
fn the_book_lists_the_status_of_every_code() {
    use ckstore::face::failure::CODES;
    use ckstore::server::{OWN, status_of};
    let shared = CODES
        .iter()
        .map(|(code, exit, meaning)| format!("| `{code}` | {} | {meaning} |", status_of(code, *exit)));
    let own = OWN.iter().map(|(code, status, meaning)| format!("| `{code}` | {status} | {meaning} |"));
    let rows: Vec<String> = shared.chain(own).collect();
    let table = format!("| code | status | meaning |\n|---|---|---|\n{}\n", rows.join("\n"));
    let path = root().join("book/src/http.md");
    let page = fs::read_to_string(&path).unwrap();
    let begin = "<!-- codes: written by `CKSTORE_BOOK=write cargo test` -->\n";
    let (before, rest) = page.split_once(begin).expect("a place for the codes");
    let (_, after) = rest.split_once("<!-- /codes -->").expect("the end of the codes");
    let right = format!("{before}{begin}{table}<!-- /codes -->{after}");
    if std::env::var("CKSTORE_BOOK").is_ok_and(|value| value == "write") {
        fs::write(path, right).unwrap();
    } else {
        assert!(page == right, "http.md is out of date: CKSTORE_BOOK=write cargo test");
    }
}
