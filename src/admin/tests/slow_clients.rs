//! Clients that do not read, do not finish what they send, or wait long: others are served all the same.

use super::*;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes that comes to an end, on however busy a machine.
const LONG: Duration = Duration::from_secs(20);

async fn listening(api: &Api) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let admin = Arc::clone(&api.admin);
    let serving = tokio::spawn(async move {
        serve(admin, listener, None, std::future::pending())
            .await
            .unwrap();
    });
    (address, serving)
}

async fn connected(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

/// Sends a request whole, and answers the status of what comes back.
async fn status_of(address: SocketAddr, request: &str) -> u16 {
    let mut stream = connected(address).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    status_on(&mut stream).await
}

async fn status_on(stream: &mut TcpStream) -> u16 {
    let mut line = [0; 12];
    stream.read_exact(&mut line).await.unwrap();
    let line = std::str::from_utf8(&line).unwrap();
    line.strip_prefix("HTTP/1.1 ").unwrap().parse().unwrap()
}

fn get(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token-of-bob\r\nConnection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn client_that_reads_no_answer_is_given_up_and_its_place_is_anothers() {
    let limits = AdminLimits {
        connections_max: 2,
        write_quiet_max: Duration::from_millis(300),
        ..AdminLimits::default()
    };
    let api = api_with(limits, None).await;
    let (address, serving) = listening(&api).await;
    // Answers of far more bytes than the system keeps for a connection.
    let requests = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000);
    let mut silent = Vec::new();
    for _ in 0..2 {
        let mut stream = connected(address).await;
        let sending = timeout(
            Duration::from_millis(500),
            stream.write_all(requests.as_bytes()),
        );
        let _stuck_or_sent = sending.await;
        silent.push(stream);
    }
    let answered = timeout(LONG, status_of(address, &get("/livez"))).await;
    assert_eq!(answered, Ok(200), "the connections were not given up");
    drop(silent);
    serving.abort();
}

#[tokio::test]
async fn bodies_that_do_not_come_take_no_place_from_others() {
    let limits = AdminLimits {
        requests_max: 2,
        effects_max: 2,
        checks_max: 2,
        body_deadline: Duration::from_secs(3),
        ..AdminLimits::default()
    };
    let api = api_with(limits, None).await;
    api.acme().await;
    let (address, serving) = listening(&api).await;
    let mut slow = Vec::new();
    for path in [
        "/v1/objects/inspect",
        "/v1/tenants/acme/suspend",
        "/v1/domains/eu/key-store/backup",
    ] {
        for _ in 0..3 {
            let mut stream = connected(address).await;
            let half = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token-of-bob\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
            );
            stream.write_all(half.as_bytes()).await.unwrap();
            slow.push(stream);
        }
    }
    // They are with the server once a request that was sent after them is answered a few times.
    for _ in 0..5 {
        for path in ["/readyz", "/v1/tenants", "/livez"] {
            let answered = timeout(LONG, status_of(address, &get(path))).await;
            assert_eq!(answered, Ok(200), "{path}");
        }
    }
    let path = "/v1/tenants/acme/suspend";
    let (status, _) = api.call("alice", Method::POST, path, json!({})).await;
    assert_eq!(status, StatusCode::OK);
    for stream in &mut slow {
        assert_eq!(timeout(LONG, status_on(stream)).await, Ok(408));
    }
    serving.abort();
}

#[tokio::test]
async fn body_of_a_stranger_is_not_waited_for() {
    let api = api().await;
    let (address, serving) = listening(&api).await;
    let half = "POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";
    assert_eq!(timeout(LONG, status_of(address, half)).await, Ok(401));
    serving.abort();
}

/// Gateways that never say that a change is effective.
struct Never;

#[async_trait]
impl Effective for Never {
    async fn effective(&self, _: Revision, _: Duration) -> Result<Effect, CatalogError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn changes_that_wait_for_a_dead_gateway_take_no_place_from_others() {
    let limits = AdminLimits {
        requests_max: 2,
        effects_max: 2,
        ..AdminLimits::default()
    };
    let api = Arc::new(api_with(limits, Some(Arc::new(Never))).await);
    api.acme().await;
    let path = "/v1/tenants/acme/suspend";
    let mut waiting: Vec<JoinHandle<()>> = Vec::new();
    for _ in 0..2 {
        let api = Arc::clone(&api);
        waiting.push(tokio::spawn(async move {
            // Until it has a place, which the third below may hold for a moment.
            loop {
                let (status, _) = api.call("alice", Method::POST, path, json!({})).await;
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }));
    }
    let refused = timeout(LONG, async {
        loop {
            // The third is refused at once when the two are there; until then it waits as they do.
            let third = api.call("alice", Method::POST, path, json!({}));
            if let Ok((status, _)) = timeout(Duration::from_millis(50), third).await {
                return status;
            }
            // Its place is free for one of the two.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(refused, Ok(StatusCode::SERVICE_UNAVAILABLE));
    for path in ["/readyz", "/v1/tenants"] {
        let (status, _) = api.call("bob", Method::GET, path, json!(null)).await;
        assert_eq!(status, StatusCode::OK, "{path}");
    }
    for one in waiting {
        one.abort();
    }
}
