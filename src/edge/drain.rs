//! The end of a connection whose client may still be sending: closing at once would reset it, and the client would lose the answer
//! that says why.

use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

/// Most bytes read and thrown away.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// Longest time spent on it.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Longest time for the last bytes of a connection that gives way.
const CLOSE_MAX: Duration = Duration::from_millis(250);

/// Says that nothing more is coming, then reads until the client is done, within 1 MiB and 2 s.
pub async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let deadline = Instant::now() + DRAIN_MAX;
    if !matches!(timeout(DRAIN_MAX, stream.shutdown()).await, Ok(Ok(()))) {
        return;
    }
    let mut buffer = vec![0; 16 * 1024];
    let mut left = DRAIN_BYTES_MAX;
    while left > 0 {
        match timeout_at(deadline, stream.read(&mut buffer)).await {
            Ok(Ok(read)) if read > 0 => left = left.saturating_sub(read),
            _ => return,
        }
    }
}

/// Says that nothing more is coming, and waits for nothing.
pub async fn close<S: AsyncWrite + Unpin>(mut stream: S) {
    // Whether the client takes it makes no difference any more.
    let _ = timeout(CLOSE_MAX, stream.shutdown()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn linger_ends_after_two_seconds_of_silence() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let began = Instant::now();
        linger(ours).await;
        assert!((DRAIN_MAX..2 * DRAIN_MAX).contains(&began.elapsed()));
    }

    #[tokio::test]
    async fn linger_ends_after_one_mebibyte() {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let sender = tokio::spawn(async move {
            let chunk = vec![7; 64 * 1024];
            let mut sent = 0;
            while theirs.write_all(&chunk).await.is_ok() {
                sent += chunk.len();
            }
            sent
        });
        let began = Instant::now();
        linger(ours).await;
        assert!(began.elapsed() < DRAIN_MAX);
        let sent = sender.await.unwrap();
        assert!((DRAIN_BYTES_MAX..2 * DRAIN_BYTES_MAX).contains(&sent));
    }

    #[tokio::test]
    async fn client_that_stops_ends_it_at_once() {
        let (ours, theirs) = tokio::io::duplex(64);
        drop(theirs);
        let began = Instant::now();
        linger(ours).await;
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}
