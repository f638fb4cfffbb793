//! Downloads from a server that does what a script says, once for each connection.

use super::*;
use crate::progress::Amount;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread::JoinHandle;

/// What the server answers, in the order of the requests; it gives the requests back when it was asked for all.
struct Server {
    address: String,
    requests: JoinHandle<Vec<String>>,
}

fn serve(answers: Vec<Vec<u8>>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let requests = std::thread::spawn(move || {
        let answer = |answer: Vec<u8>| {
            let (mut stream, _) = listener.accept().unwrap();
            let request = read_request(&stream);
            stream.write_all(&answer).unwrap();
            request
        };
        answers.into_iter().map(answer).collect()
    });
    Server { address, requests }
}

fn read_request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut request).unwrap(), 0, "the request ended early");
    }
    request
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n").into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn whole(body: &[u8]) -> Vec<u8> {
    answer("200 OK", &format!("Content-Length: {}\r\n", body.len()), body)
}

#[derive(Default)]
struct Counter(Mutex<(u64, Vec<String>)>);

impl Progress for Counter {
    fn began(&self, _: Stage, _: Amount) {}
    fn advanced(&self, _: Stage, bytes: u64) {
        self.0.lock().unwrap().0 += bytes;
    }
    fn finished_item(&self, _: Stage, _: &str) {}
    fn ended(&self, _: Stage) {}
    fn note(&self, message: &str) {
        self.0.lock().unwrap().1.push(message.to_owned());
    }
}

struct Try {
    result: Result<bool, ArchiveError>,
    requests: Vec<String>,
    bytes: Vec<u8>,
    counter: Arc<Counter>,
}

const BODY: &[u8] = b"what is signed is what must come";
const PATH: &str = "pool/x_1:2+b3~y z.deb";

fn transport(address: &str, progress: Arc<dyn Progress>, cancel: Cancel) -> Transport {
    let mut transport = Transport::new(Mirror::at(address).unwrap(), progress, cancel);
    transport.patience = Duration::ZERO;
    transport.agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
    transport
}

fn download(answers: Vec<Vec<u8>>) -> Try {
    let server = serve(answers);
    let counter = Arc::new(Counter::default());
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("file");
    let expected = Expected { size: BODY.len() as u64, sha256: Sha256::of(BODY) };
    let transport = transport(&server.address, counter.clone(), Cancel::new());
    let result = transport.download(Stage::Download, PATH, expected, &to);
    Try { result, requests: server.requests.join().unwrap(), bytes: std::fs::read(to).unwrap(), counter }
}

fn network_error(result: Result<bool, ArchiveError>) -> NetworkError {
    match result {
        Err(ArchiveError::Network { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_arrives_whole_and_its_path_is_escaped() {
    let Try { result, requests, bytes, counter } = download(vec![whole(BODY)]);
    assert!(result.unwrap());
    assert_eq!(bytes, BODY);
    assert!(requests[0].starts_with("GET /pool/x_1:2+b3~y%20z.deb HTTP/1.1\r\n"), "{}", requests[0]);
    assert_eq!(counter.0.lock().unwrap().0, BODY.len() as u64);
}

#[test]
fn a_download_cut_short_goes_on_where_it_ended() {
    let (first, rest) = BODY.split_at(10);
    let cut = answer("200 OK", &format!("Content-Length: {}\r\n", BODY.len()), first);
    let range = format!(
        "Content-Range: bytes 10-{}/{}\r\nContent-Length: {}\r\n",
        BODY.len() - 1,
        BODY.len(),
        rest.len()
    );
    let Try { result, requests, bytes, counter } =
        download(vec![cut, answer("206 Partial Content", &range, rest)]);
    assert!(result.unwrap());
    assert_eq!(bytes, BODY);
    assert!(requests[1].to_lowercase().contains("range: bytes=10-"), "{}", requests[1]);
    let (counted, notes) = &*counter.0.lock().unwrap();
    assert_eq!((*counted, notes.len()), (BODY.len() as u64, 1));
}

#[test]
fn a_server_that_cannot_go_on_begins_again_and_bytes_count_once() {
    let cut = answer("200 OK", &format!("Content-Length: {}\r\n", BODY.len()), &BODY[..20]);
    let Try { result, bytes, counter, .. } = download(vec![cut, whole(BODY)]);
    assert!(result.unwrap());
    assert_eq!(bytes, BODY);
    assert_eq!(counter.0.lock().unwrap().0, BODY.len() as u64);
}

#[test]
fn a_download_that_is_always_cut_short_is_an_error_with_the_numbers() {
    let cut = || answer("200 OK", &format!("Content-Length: {}\r\n", BODY.len()), &BODY[..20]);
    let Try { result, requests, .. } = download((0..ATTEMPTS).map(|_| cut()).collect());
    assert_eq!(requests.len(), ATTEMPTS as usize);
    let error = network_error(result);
    // The server may say that it ends too early, or just end.
    let told = error.to_string();
    assert!(told.contains("20 of 32 bytes") || matches!(error, NetworkError::Unreachable(_)), "{error:?}");
}

#[test]
fn other_bytes_than_the_signed_ones_are_an_error_with_both_digests() {
    let mut other = BODY.to_vec();
    other[3] ^= 1;
    let error = download(vec![whole(&other)]).result.unwrap_err();
    assert!(
        matches!(&error, ArchiveError::Mismatch { expected, found, .. }
            if *expected == Sha256::of(BODY) && *found == Sha256::of(&other)),
        "{error}"
    );
}

#[test]
fn more_bytes_than_the_signed_size_are_an_error_and_not_kept() {
    let Try { result, bytes, .. } = download(vec![whole(&BODY.repeat(2))]);
    assert!(matches!(network_error(result), NetworkError::TooLong { expected: 32 }));
    assert!(bytes.len() <= BODY.len());
}

#[test]
fn a_file_that_the_server_does_not_have_is_told_apart_from_an_error() {
    assert!(!download(vec![answer("404 Not Found", "Content-Length: 0\r\n", b"")]).result.unwrap());
    let refused = download(vec![answer("403 Forbidden", "Content-Length: 0\r\n", b"")]).result;
    assert!(matches!(network_error(refused), NetworkError::Status(403)));
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let trouble = || answer("503 Service Unavailable", "Content-Length: 0\r\n", b"");
    let Try { result, requests, .. } = download(vec![trouble(), trouble(), whole(BODY)]);
    assert!(result.unwrap());
    assert_eq!(requests.len(), 3);
    let always = download((0..ATTEMPTS).map(|_| trouble()).collect()).result;
    assert!(matches!(network_error(always), NetworkError::Status(503)));
}

#[test]
fn nobody_listening_is_an_error_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let counter = Arc::new(Counter::default());
    let error =
        transport(&address, counter.clone(), Cancel::new()).read("dists/x/InRelease", 100).unwrap_err();
    assert!(matches!(error, ArchiveError::Network { source: NetworkError::Unreachable(_), .. }), "{error:?}");
    assert!(error.help().unwrap().contains("network"));
    assert!(counter.0.lock().unwrap().1.is_empty(), "it was not tried again");
}

#[test]
fn a_wish_to_end_ends_a_download_half_way() {
    /// Wishes for the end as soon as the first bytes are there.
    struct Ending(Cancel);
    impl Progress for Ending {
        fn began(&self, _: Stage, _: Amount) {}
        fn advanced(&self, _: Stage, _: u64) {
            self.0.request();
        }
        fn finished_item(&self, _: Stage, _: &str) {}
        fn ended(&self, _: Stage) {}
        fn note(&self, _: &str) {}
    }
    let server = serve(vec![whole(BODY)]);
    let folder = tempfile::tempdir().unwrap();
    let cancel = Cancel::new();
    let transport = transport(&server.address, Arc::new(Ending(cancel.clone())), cancel);
    let expected = Expected { size: BODY.len() as u64, sha256: Sha256::of(BODY) };
    let result = transport.download(Stage::Download, PATH, expected, &folder.path().join("file"));
    assert!(matches!(result, Err(ArchiveError::Cancelled)), "{result:?}");
}

#[test]
fn a_folder_is_a_mirror_too_and_an_absent_one_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), BODY).unwrap();
    let read = |root: &Path, path| {
        transport(root.to_str().unwrap(), Arc::new(Counter::default()), Cancel::new()).read(path, 1000)
    };
    assert_eq!(read(folder.path(), "file").unwrap().as_deref(), Some(BODY));
    assert!(read(folder.path(), "nothing").unwrap().is_none());
    let error = read(&folder.path().join("absent"), "file").unwrap_err();
    assert!(error.to_string().contains("there is no such folder"), "{error}");
}

#[test]
fn a_wish_to_end_is_heard_while_the_server_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let cancel = Cancel::new();
    let transport = transport(&address, Arc::new(Counter::default()), cancel.clone());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| transport.read("dists/x/InRelease", 100));
        // The request is there, and no answer will ever come.
        let (stream, _) = listener.accept().unwrap();
        read_request(&stream);
        cancel.request();
        assert!(matches!(waiting.join().unwrap(), Err(ArchiveError::Cancelled)));
    });
}
