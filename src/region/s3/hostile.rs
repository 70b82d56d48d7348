//! A store that answers exactly what a test tells it to, on a socket, without an HTTP library to keep it honest.

use super::testbed::{config, full_profile, write_credentials};
use super::{Deadlines, S3Store, UpstreamConfig};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What to do with one request.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Read the request, answer these bytes, keep the connection.
    Answer(Vec<u8>),
    /// Read the request, and answer these bytes so much later.
    AnswerAfter(Duration, Vec<u8>),
    /// Answer these bytes without reading the request's body.
    AnswerAtOnce(Vec<u8>),
    /// Read the request, answer these bytes, then say nothing more.
    AnswerThenHang(Vec<u8>),
    /// Read the request, answer these bytes, then close.
    AnswerThenClose(Vec<u8>),
    /// Read the head, then read and say nothing.
    Stall,
}

/// What arrived of one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) head: String,
    pub(super) body_bytes: u64,
    /// Whether the body came in full.
    pub(super) complete: bool,
}

pub(super) struct Hostile {
    pub(super) dir: TempDir,
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) const FIRST_BYTE_MS: u64 = 400;
pub(super) const IDLE_MS: u64 = 300;

impl Hostile {
    /// Plays `acts` in the order of requests; the last one again and again.
    pub(super) async fn play(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let dir = tempfile::tempdir().unwrap();
        write_credentials(dir.path());
        let acts = Arc::new(Mutex::new((acts, 0_usize)));
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&acts), Arc::clone(&log)));
            }
        });
        Self {
            dir,
            port,
            seen,
            task,
        }
    }

    pub(super) fn config(&self) -> UpstreamConfig {
        UpstreamConfig {
            deadlines: Deadlines {
                connect_ms: 300,
                first_byte_ms: FIRST_BYTE_MS,
                idle_ms: IDLE_MS,
                small_call_ms: 1_000,
                long_call_ms: 1_000,
                pool_idle_ms: 1_000,
            },
            ..config(self.dir.path(), format!("http://127.0.0.1:{}", self.port))
        }
    }

    pub(super) async fn store(&self) -> S3Store {
        S3Store::connect(self.config(), full_profile())
            .await
            .unwrap()
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    acts: Arc<Mutex<(Vec<Act>, usize)>>,
    log: Arc<Mutex<Vec<Seen>>>,
) {
    loop {
        let mut buffer = Vec::new();
        let Some(head_bytes) = read_head(&mut stream, &mut buffer).await else {
            return;
        };
        let act = {
            let mut acts = acts.lock().unwrap();
            let index = acts.1.min(acts.0.len() - 1);
            acts.1 += 1;
            acts.0[index].clone()
        };
        let head = String::from_utf8_lossy(&buffer[..head_bytes]).into_owned();
        let expected = content_length(&head);
        let slot = {
            let mut log = log.lock().unwrap();
            log.push(Seen {
                head,
                body_bytes: (buffer.len() - head_bytes) as u64,
                complete: false,
            });
            log.len() - 1
        };
        match act {
            Act::AnswerAtOnce(answer) => {
                let _ = stream.write_all(&answer).await;
                // The rest of the body is read so that closing does not reset the answer away.
                read_body(&mut stream, expected, &log, slot).await;
                return;
            }
            Act::Stall => std::future::pending::<()>().await,
            Act::Answer(answer) => {
                if !read_body(&mut stream, expected, &log, slot).await
                    || stream.write_all(&answer).await.is_err()
                {
                    return;
                }
            }
            Act::AnswerAfter(wait, answer) => {
                read_body(&mut stream, expected, &log, slot).await;
                tokio::time::sleep(wait).await;
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
            Act::AnswerThenHang(answer) => {
                read_body(&mut stream, expected, &log, slot).await;
                let _ = stream.write_all(&answer).await;
                std::future::pending::<()>().await;
            }
            Act::AnswerThenClose(answer) => {
                read_body(&mut stream, expected, &log, slot).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
                return;
            }
        }
    }
}

async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            return Some(end + 4);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn content_length(head: &str) -> u64 {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().unwrap())
}

async fn read_body(
    stream: &mut TcpStream,
    expected: u64,
    log: &Mutex<Vec<Seen>>,
    slot: usize,
) -> bool {
    let mut chunk = vec![0; 64 << 10];
    loop {
        let so_far = log.lock().unwrap()[slot].body_bytes;
        if so_far >= expected {
            log.lock().unwrap()[slot].complete = true;
            return true;
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return false,
            Ok(bytes) => log.lock().unwrap()[slot].body_bytes += bytes as u64,
        }
    }
}

/// An HTTP answer with a right Content-Length.
pub(super) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// An S3 error answer.
pub(super) fn refusal(status: &str, code: &str) -> Vec<u8> {
    answer(status, "", &format!("<Error><Code>{code}</Code></Error>"))
}

/// The headers of an object's answer.
pub(super) const OBJECT: &str = "etag: \"e1\"\r\nlast-modified: Fri, 02 Jan 2026 03:04:05 GMT\r\n";

/// Waits for what happens on the other side of the socket.
pub(super) async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}
