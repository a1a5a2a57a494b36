//! What programs are attached to that is added and removed while the process runs: CPUs and
//! interfaces.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::time::Duration;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, bind, socket_with};

use super::cpus;
use crate::kernel::{interface_index, interface_list};

/// The CPUs that are online and the interfaces of this network namespace, to be compared with an
/// earlier look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostTopology {
    cpus: Vec<u32>,
    /// One that is made again under its name has another index.
    interfaces: Vec<(OsString, Option<u32>)>,
}

impl HostTopology {
    /// What cannot be read is as good as not there. Needs no privileges.
    pub(crate) fn look() -> Self {
        let names = interface_list().unwrap_or_default();
        let mut interfaces: Vec<_> = names
            .into_iter()
            .map(|name| {
                let index = interface_index(&name).ok();
                (name, index)
            })
            .collect();
        interfaces.sort();
        Self {
            cpus: cpus::online().unwrap_or_default(),
            interfaces,
        }
    }
}

/// The kernel's word that CPUs or interfaces of this network namespace may have been added or
/// removed. Needs no privileges.
#[derive(Debug)]
pub(crate) struct MachineEvents {
    interfaces: File,
    /// Its events about devices. In a user namespace of its own, as rootless containers have it,
    /// there are none.
    devices: File,
}

/// Messages are told apart by their beginning.
const MESSAGE: usize = 1024;
/// The one group of the kernel's own events about devices.
const KERNEL_EVENTS: u32 = 1;

impl MachineEvents {
    pub(crate) fn listen() -> io::Result<Self> {
        let interfaces = listener(None, libc::RTMGRP_LINK.cast_unsigned())?;
        let devices = listener(Some(netlink::KOBJECT_UEVENT), KERNEL_EVENTS)?;
        Ok(Self {
            interfaces,
            devices,
        })
    }

    /// Blocks until there is a reason to look, or for `max`.
    pub(crate) fn wait(&mut self, max: Duration) -> io::Result<()> {
        let end = Instant::now() + max;
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            // None, for ever, if it is longer than the kernel's clock goes.
            let rest = Timespec::try_from(rest).ok();
            let mut sockets = [
                PollFd::new(&self.interfaces, PollFlags::IN),
                PollFd::new(&self.devices, PollFlags::IN),
            ];
            match poll(&mut sockets, rest.as_ref()) {
                Ok(0) => return Ok(()),
                Ok(_) if self.take()? => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes all messages that have come. False: none of them is a reason to look.
    pub(crate) fn take(&mut self) -> io::Result<bool> {
        let interfaces = any(&mut self.interfaces, |_| true)?;
        let cpus = any(&mut self.devices, is_about_a_cpu)?;
        Ok(interfaces || cpus)
    }
}

/// A socket that hears what the kernel tells these multicast groups of a netlink protocol, one bit
/// each. None: of rtnetlink(7), whose number is 0.
fn listener(protocol: Option<Protocol>, groups: u32) -> io::Result<File> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket.into())
}

/// Takes all messages of a socket. Whether one of them is `wanted`.
fn any(socket: &mut File, wanted: impl Fn(&[u8]) -> bool) -> io::Result<bool> {
    let mut message = [0; MESSAGE];
    let mut found = false;
    loop {
        match socket.read(&mut message) {
            Ok(length) => found |= wanted(message.get(..length).unwrap_or_default()),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => return Ok(found),
                Some(libc::EINTR) => {}
                // More has happened than there was room to tell.
                Some(libc::ENOBUFS) => found = true,
                _ => return Err(error),
            },
        }
    }
}

/// `online@/devices/system/cpu/cpu1`, and variables behind it.
fn is_about_a_cpu(message: &[u8]) -> bool {
    let mut parts = message.splitn(2, |byte| *byte == b'@');
    let action = parts.next();
    matches!(action, Some(b"online" | b"offline" | b"add" | b"remove"))
        && parts
            .next()
            .is_some_and(|path| path.starts_with(b"/devices/system/cpu/cpu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_about_cpus_are_told_apart() {
        let of = |message: &str| is_about_a_cpu(message.as_bytes());
        assert!(of("online@/devices/system/cpu/cpu1\0ACTION=online\0"));
        assert!(of("offline@/devices/system/cpu/cpu1\0"));
        assert!(!of("change@/devices/system/cpu/cpu1\0"));
        assert!(!of("online@/devices/system/memory/memory1\0"));
        assert!(!of("add@/devices/virtual/net/veth0\0"));
        assert!(!of(""));
    }

    /// In a network namespace of its own: others come and go as they like.
    #[test]
    fn an_interface_that_comes_is_heard_of_root() {
        let name = format!("heard{}", std::process::id());
        std::thread::spawn(move || {
            #[expect(unsafe_code, reason = "std has no namespaces")]
            // SAFETY: no pointers are passed; only this thread changes over.
            let unshared = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            assert_eq!(unshared, 0);
            let mut events = MachineEvents::listen().unwrap();
            events.wait(Duration::ZERO).unwrap();
            let before = HostTopology::look();
            let ip = |words: &[&str]| {
                let status = std::process::Command::new("ip").args(words).status();
                assert!(status.unwrap().success());
            };
            ip(&["link", "add", &name, "type", "veth"]);
            let began = Instant::now();
            events.wait(Duration::from_secs(60)).unwrap();
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "it was not heard"
            );
            assert_ne!(HostTopology::look(), before);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn there_is_a_cpu_and_the_loopback() {
        let machine = HostTopology::look();
        assert!(!machine.cpus.is_empty());
        assert!(
            machine
                .interfaces
                .iter()
                .any(|(name, index)| name == "lo" && index.is_some())
        );
        assert_eq!(machine, HostTopology::look());
    }
}
