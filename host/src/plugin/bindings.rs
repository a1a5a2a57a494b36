//! Generated glue for wit/plugin.wit. Nothing outside this room sees these types.
#![allow(
    unreachable_pub,
    missing_debug_implementations,
    reason = "generated code"
)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "any-plugin",
    imports: {
        "exporter:plugin/files": async,
        "exporter:plugin/net": async,
    },
    exports: {
        "exporter:plugin/collecting": async,
    },
    with: {
        "exporter:plugin/net.tcp-stream": super::imports::net::sockets::TcpStream,
        "exporter:plugin/net.udp-socket": super::imports::net::sockets::UdpSocket,
    },
    ownership: Borrowing { duplicate_if_necessary: true },
});
