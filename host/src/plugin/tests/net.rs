//! Connections as collectors make them, on the loopback interface.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::component::Guest;
use super::grants::granting;
use super::{endpoints, run};
use crate::config::sidecar::Grants;
use crate::plugin::bindings::exporter::plugin::net::{HostTcpStream, HostUdpSocket, NetError};
use crate::plugin::imports::HostState;
use crate::plugin::stats::PluginStats;

const SECOND: u32 = 1000;

/// In a call that may take ten seconds.
fn state(grants: Grants) -> (HostState, Arc<PluginStats>) {
    let plugin = Guest::new().load().unwrap().with_policy(granting(grants));
    let mut state = plugin.host_state(None);
    state.enter_until(Instant::now() + Duration::from_secs(10));
    (state, Arc::clone(&plugin.stats))
}

fn tcp(patterns: &[&str]) -> Grants {
    Grants {
        tcp: endpoints(patterns),
        ..Grants::default()
    }
}

fn udp(patterns: &[&str]) -> Grants {
    Grants {
        udp: endpoints(patterns),
        ..Grants::default()
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Gives everything back, until the other side has no more.
async fn echo(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut bytes = [0; 1024];
            while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                stream.write_all(&bytes[..count]).await.unwrap();
                if bytes[..count].ends_with(b"!") {
                    return;
                }
            }
        });
    }
}

#[test]
fn a_granted_target_is_spoken_to_and_no_other() {
    run(async {
        let (listener, address) = listener().await;
        tokio::spawn(echo(listener));
        let port = address.port();
        let (mut state, stats) = state(tcp(&[&format!("127.0.0.0/8:{port}")]));
        for endpoint in [
            format!("127.0.0.1:{port}"),
            format!("[::ffff:127.0.0.1]:{port}"),
        ] {
            let stream = state.connect(endpoint, SECOND).await.unwrap();
            let same = || wasmtime::component::Resource::new_borrow(stream.rep());
            state
                .write_all(same(), b"hello!".to_vec(), SECOND)
                .await
                .unwrap();
            let mut heard = Vec::new();
            loop {
                let bytes = state.read(same(), 3, SECOND).await.unwrap();
                assert!(bytes.len() <= 3);
                if bytes.is_empty() {
                    break;
                }
                heard.extend(bytes);
            }
            assert_eq!(heard, b"hello!");
            HostTcpStream::drop(&mut state, stream).await.unwrap();
        }
        assert_eq!(stats.snapshot().denied, []);
        for endpoint in [
            format!("127.0.0.1:{}", port ^ 1),
            format!("localhost:{port}"),
            format!("[::1]:{port}"),
            "8.8.8.8:53".to_owned(),
        ] {
            let answer = state.connect(endpoint.clone(), SECOND).await;
            assert!(matches!(answer, Err(NetError::Denied(_))), "{endpoint}");
        }
        assert_eq!(stats.snapshot().denied, [("net", 4)]);
    });
}

#[test]
fn a_name_is_resolved_by_the_host() {
    run(async {
        let (listener, address) = listener().await;
        tokio::spawn(echo(listener));
        let endpoint = format!("localhost:{}", address.port());
        let (mut state, _) = state(tcp(&[&endpoint]));
        state.connect(endpoint, SECOND).await.unwrap();
    });
}

#[test]
fn every_wait_ends_before_the_call_does() {
    run(async {
        let (listener, address) = listener().await;
        let (mut state, _) = state(tcp(&[&address.to_string()]));
        let stream = state.connect(address.to_string(), SECOND).await.unwrap();
        let same = || wasmtime::component::Resource::new_borrow(stream.rep());
        let started = Instant::now();
        let answer = state.read(same(), 1, 50).await;
        assert!(matches!(answer, Err(NetError::Timeout)), "{answer:?}");
        assert!(started.elapsed() >= Duration::from_millis(50));

        let deadline = Instant::now() + Duration::from_millis(300);
        state.enter_until(deadline);
        let answer = state.read(same(), 1, u32::MAX).await;
        assert!(matches!(answer, Err(NetError::Timeout)), "{answer:?}");
        assert!(
            Instant::now() < deadline,
            "the plugin has no time left to answer"
        );
        drop(listener);
    });
}

#[test]
fn what_goes_wrong_has_a_name() {
    run(async {
        let (closed, address) = listener().await;
        drop(closed);
        let (mut state, _) = state(tcp(&[&address.to_string()]));
        let answer = state.connect(address.to_string(), SECOND).await;
        assert!(matches!(answer, Err(NetError::Refused)), "{answer:?}");
        let answer = state.connect("nonsense".to_owned(), SECOND).await;
        assert!(
            matches!(&answer, Err(NetError::Other(why)) if why.contains("expected host:port")),
            "{answer:?}"
        );
        let answer = HostUdpSocket::open(&mut state).await;
        assert!(matches!(answer, Err(NetError::Denied(_))));
    });
}

#[test]
fn connections_are_bounded() {
    run(async {
        let (listener, address) = listener().await;
        tokio::spawn(echo(listener));
        let (mut state, _) = state(tcp(&[&address.to_string()]));
        let mut open = Vec::new();
        for _ in 0..16 {
            open.push(state.connect(address.to_string(), SECOND).await.unwrap());
        }
        let answer = state.connect(address.to_string(), SECOND).await;
        assert!(
            matches!(&answer, Err(NetError::Other(why)) if why.contains("16 connections")),
            "{answer:?}"
        );
        HostTcpStream::drop(&mut state, open.pop().unwrap())
            .await
            .unwrap();
        state.connect(address.to_string(), SECOND).await.unwrap();
    });
}

#[test]
fn only_granted_senders_are_heard() {
    run(async {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let target = server.local_addr().unwrap().to_string();
        let (mut state, stats) = state(udp(&[&target]));
        let socket = HostUdpSocket::open(&mut state).await.unwrap();
        let same = || wasmtime::component::Resource::new_borrow(socket.rep());
        let early = state.receive(same(), SECOND).await;
        assert!(matches!(early, Err(NetError::Other(_))), "{early:?}");
        state
            .send_to(same(), target.clone(), b"who".to_vec())
            .await
            .unwrap();
        let mut bytes = [0; 16];
        let (length, client) = server.recv_from(&mut bytes).await.unwrap();
        assert_eq!(&bytes[..length], b"who");
        stranger.send_to(b"forged", client).await.unwrap();
        server.send_to(b"me", client).await.unwrap();
        let datagram = state.receive(same(), SECOND).await.unwrap();
        assert_eq!((datagram.source, datagram.bytes), (target, b"me".to_vec()));
        assert_eq!(stats.snapshot().denied, [("net", 1)]);
        let nothing = state.receive(same(), 20).await;
        assert!(matches!(nothing, Err(NetError::Timeout)), "{nothing:?}");
        let other = state
            .send_to(same(), stranger.local_addr().unwrap().to_string(), vec![1])
            .await;
        assert!(matches!(other, Err(NetError::Denied(_))), "{other:?}");
    });
}

#[test]
fn a_broadcast_needs_a_grant_of_its_own() {
    run(async {
        let server = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let broadcast = format!("127.255.255.255:{port}");
        let (mut wide, _) = state(udp(&[&format!("127.0.0.0/8:{port}")]));
        let socket = HostUdpSocket::open(&mut wide).await.unwrap();
        let answer = wide
            .send_to(socket, broadcast.clone(), b"all".to_vec())
            .await;
        assert!(
            matches!(&answer, Err(NetError::Denied(why)) if why.contains("broadcast")),
            "{answer:?}"
        );

        let (mut own, _) = state(udp(&[&broadcast]));
        let socket = HostUdpSocket::open(&mut own).await.unwrap();
        let same = || wasmtime::component::Resource::new_borrow(socket.rep());
        own.send_to(same(), broadcast, b"all".to_vec())
            .await
            .unwrap();
        let mut bytes = [0; 16];
        let (length, client) = server.recv_from(&mut bytes).await.unwrap();
        assert_eq!(&bytes[..length], b"all");
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        stranger.send_to(b"forged", client).await.unwrap();
        server.send_to(b"here", client).await.unwrap();
        let datagram = own.receive(same(), SECOND).await.unwrap();
        assert_eq!(datagram.bytes, b"here");
        assert_eq!(datagram.source, format!("127.0.0.1:{port}"));
    });
}
