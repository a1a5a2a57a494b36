//! What a server, a compiler and a loader are there to do, and what a filter or a rule too many
//! would keep them from.

use std::fs::{self, File};
use std::net::TcpListener as StdListener;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket, lookup_host};

/// What a server holds that was opened before it: a listener and a map.
pub(super) struct Inherited {
    pub(super) listener: StdListener,
    pub(super) map: MapHandle,
}

pub(super) fn inherited() -> Inherited {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as _,
        ..Default::default()
    };
    let map = MapHandle::create(MapType::Hash, Some("m"), 4, 8, 16, &options).unwrap();
    for key in 0..8_u32 {
        map.update(&key.to_ne_bytes(), &7_u64.to_ne_bytes(), MapFlags::ANY)
            .unwrap();
    }
    Inherited { listener, map }
}

/// Programs and maps of later reloads.
pub(super) fn goes_on_loading() {
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as _,
        ..Default::default()
    };
    assert!(MapHandle::create(MapType::Array, Some("m"), 4, 8, 16, &options).is_ok());
}

pub(super) fn reads_what_it_needs() {
    for path in [
        "/proc/self/status",
        "/proc/self/stat",
        "/proc/self/limits",
        "/proc/self/mountinfo",
        "/proc/thread-self/net/dev",
        "/proc/net/dev",
        "/proc/stat",
        "/proc/partitions",
        "/sys/devices/system/cpu/possible",
        "/sys/class/net/lo/mtu",
        "/etc/hosts",
    ] {
        fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    assert!(fs::read_dir("/proc/self/fd").unwrap().count() > 2);
    for closed in [
        "/proc/1/stat",
        "/proc/version",
        "/sys/kernel/mm",
        "/etc/fstab",
        "/tmp",
    ] {
        assert!(File::open(closed).is_err(), "{closed}");
    }
    // Compiled code comes in one.
    let memfd = memfd_create("m", MemfdFlags::CLOEXEC).unwrap();
    let path = format!("/proc/self/fd/{}", memfd.as_raw_fd());
    assert_eq!(fs::read(path).unwrap(), b"");
}

pub(super) fn reads_maps(map: &MapHandle) {
    assert_eq!(map.keys().count(), 8);
    let key = 3_u32.to_ne_bytes();
    assert!(map.lookup(&key, MapFlags::ANY).unwrap().is_some());
    let batch = map.lookup_batch(100, MapFlags::ANY, MapFlags::ANY).unwrap();
    assert_eq!(batch.count(), 8);
    assert_eq!(
        libbpf_rs::MapInfo::new(map.as_fd())
            .unwrap()
            .info
            .max_entries,
        16
    );
    let zero = 0_u64.to_ne_bytes();
    assert!(map.update(&key, &zero, MapFlags::ANY).is_err());
    assert!(map.delete(&key).is_err());
    assert!(map.lookup_and_delete(&key).is_err());
}

pub(super) async fn uses_the_network(listener: StdListener) {
    let listener = TcpListener::from_std(listener).unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut client = TcpStream::connect(address).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("hello"), "{answer}");

    let [one, other] = [
        UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        UdpSocket::bind("127.0.0.1:0").await.unwrap(),
    ];
    one.send_to(b"x", other.local_addr().unwrap())
        .await
        .unwrap();
    assert_eq!(other.recv(&mut [0; 8]).await.unwrap(), 1);

    assert!(lookup_host("localhost:80").await.unwrap().count() > 0);
    let error = lookup_host("no-such-host.invalid:80").await.err().unwrap();
    assert_ne!(
        error.kind(),
        std::io::ErrorKind::PermissionDenied,
        "{error}"
    );
    let _signals = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn engine() -> wasmtime::Engine {
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    wasmtime::Engine::new(&config).unwrap()
}

/// Compiled by Cranelift, with threads of its own.
pub(super) fn compile() -> Vec<u8> {
    let text = r#"(module (memory 1) (func (export "f") (result i32) i32.const 7))"#;
    let bytes = wat::parse_str(text).unwrap();
    engine().precompile_module(&bytes).unwrap()
}

pub(super) fn runs_code(compiled: &[u8]) {
    let engine = engine();
    #[expect(unsafe_code, reason = "wasmtime trusts compiled code")]
    // SAFETY: it was compiled a moment ago by the same engine.
    let module = unsafe { wasmtime::Module::deserialize(&engine, compiled) }.unwrap();
    let mut store = wasmtime::Store::new(&engine, ());
    store.set_epoch_deadline(1);
    let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
    let function = instance.get_typed_func::<(), i32>(&mut store, "f").unwrap();
    assert_eq!(function.call(&mut store, ()).unwrap(), 7);
}

/// What it may do to itself.
pub(super) fn itself() {
    let own = rustix::process::getpid();
    rustix::process::test_kill_process(own).unwrap();
    rustix::process::setpriority_process(None, 5).unwrap();
    crate::privileges::raise_descriptor_limit().unwrap();
    assert!(crate::kernel::interface_name(1).is_some());
}
