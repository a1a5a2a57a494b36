//! A network namespace of a test's own. It has no name: it goes away with the last process in it.

use std::process::Command;
use std::thread;

use super::sys::unshare_network;

/// Runs `test` on a thread in a new namespace, in which loopback is up; processes that it starts
/// are in it too.
pub(crate) fn in_own_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(|| {
        unshare_network().expect("a new network namespace (as root)");
        ip("link set lo up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// `ip ARGUMENTS` in this thread's namespace.
pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("ip runs");
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Sends Ethernet frames of this type out of the interface, in this thread's namespace. Python has
/// the packet sockets.
pub(crate) fn send_frames(interface: &str, ethertype: u16, count: usize) {
    let program = format!(
        "import socket\n\
         s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n\
         s.bind(('{interface}', 0))\n\
         for _ in range({count}): s.send(b'\\xff' * 6 + b'\\x02' * 6 + ({ethertype}).to_bytes(2, 'big') + bytes(50))"
    );
    let status = Command::new("python3")
        .args(["-c", &program])
        .status()
        .expect("python3 runs");
    assert!(status.success());
}
