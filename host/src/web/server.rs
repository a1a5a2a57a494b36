//! Connections: accepted, bounded in time, drained when the process stops.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::slots::{Slot, Slots};
use super::write_timeout::WriteTimeout;
use crate::paths::is_about_health;
use crate::telemetry::RateLimit;

/// Time limits of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From a connection's start until the first request's head is there.
    pub(super) head: Duration,
    /// From an answer until the next request's head is there.
    pub(super) idle: Duration,
    /// How long a peer may not read at all while an answer is sent.
    pub(super) write_timeout: Duration,
    /// After the stop until connections are cut.
    pub(super) drain: Duration,
}

const LIMITS: Limits = Limits {
    head: Duration::from_secs(5),
    idle: Duration::from_secs(30),
    write_timeout: Duration::from_secs(20),
    drain: Duration::from_secs(2),
};
/// Bytes of a request's head: far more than any scraper sends.
const MAX_HEAD: usize = 32 << 10;
/// The pause before the next accept when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves all listeners until `stop` is done, then lets requests in progress end, for two seconds
/// at most.
pub(crate) async fn serve(
    listeners: Vec<std::net::TcpListener>,
    router: Router,
    stop: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_with(listeners, router, stop, LIMITS).await
}

pub(super) async fn serve_with(
    listeners: Vec<std::net::TcpListener>,
    router: Router,
    stop: impl Future<Output = ()> + Send,
    limits: Limits,
) -> io::Result<()> {
    let (stopping, stopped) = watch::channel(());
    let slots = Arc::new(Slots::default());
    let mut accepting = JoinSet::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let acceptor = Acceptor {
            listener: TcpListener::from_std(listener)?,
            router: router.clone(),
            slots: Arc::clone(&slots),
            stopped: stopped.clone(),
            limits,
        };
        accepting.spawn(acceptor.run());
    }
    drop(stopped);
    stop.await;
    // Who holds a receiver sees the sender go.
    drop(stopping);
    let drained = async { while accepting.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::info!("connections that were still open are cut");
    }
    Ok(())
}

/// One listener.
struct Acceptor {
    listener: TcpListener,
    router: Router,
    slots: Arc<Slots>,
    stopped: watch::Receiver<()>,
    limits: Limits,
}

impl Acceptor {
    async fn run(mut self) {
        let mut connections = JoinSet::new();
        let warnings = RateLimit::every(Duration::from_secs(60));
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.listener, &self.slots) => accepted,
                // Collects those that ended.
                Some(_) = connections.join_next() => continue,
                _ = self.stopped.changed() => break,
            };
            match accepted {
                Ok((stream, slot)) => {
                    connections.spawn(connect(
                        stream,
                        Arc::new(slot),
                        self.router.clone(),
                        self.stopped.clone(),
                        self.limits,
                    ));
                }
                // A client that was gone before it was its turn.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if let Some(before) = warnings.allow("accept") {
                        tracing::warn!(%error, before, "cannot accept connections; trying again");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // New clients are refused from here on.
        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }
}

async fn accept(listener: &TcpListener, slots: &Arc<Slots>) -> io::Result<(TcpStream, Slot)> {
    slots.has_room().await;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slots.take()))
}

async fn connect(
    stream: TcpStream,
    slot: Arc<Slot>,
    router: Router,
    mut stopped: watch::Receiver<()>,
    limits: Limits,
) {
    let head = tokio::time::Instant::now() + limits.head;
    // A client that has sent nothing yet has nothing to lose when the process stops; hyper would
    // wait for its request.
    tokio::select! {
        readable = stream.readable() => if readable.is_err() { return },
        () = tokio::time::sleep_until(head) => return,
        () = slot.lost() => return,
        _ = stopped.changed() => return,
    }
    // An answer is written at once; waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    let answering = Arc::clone(&slot);
    let answer = move |request: Request, next: Next| {
        let slot = Arc::clone(&answering);
        async move {
            let answering = slot.answer();
            let response = if slot.reserved && !is_about_health(request.uri().path()) {
                let text = "All connections are in use, try again later.\n";
                (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
            } else {
                next.run(request).await
            };
            response.map(|body| answering.with(body))
        }
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .keep_alive(!slot.reserved)
        .max_buf_size(MAX_HEAD)
        .serve_connection(
            TokioIo::new(WriteTimeout::new(stream, limits.write_timeout)),
            TowerToHyperService::new(router.layer(from_fn(answer))),
        );
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = slot.lost() => return,
        () = first_head(&slot, head) => return,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients hang up or send nonsense; that is theirs to fix.
        tracing::debug!(%error, "connection ended");
    }
}

/// Resolves once it is too late for a first request.
async fn first_head(slot: &Slot, until: tokio::time::Instant) {
    tokio::time::sleep_until(until).await;
    if slot.has_asked() {
        std::future::pending::<()>().await;
    }
}
