mod closing;
mod exchange;
mod hostile;
mod queue;
mod scarce;

use std::env;
use std::fs;
use std::fs::File;
use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::process::Command;

use serde::Deserialize;
use serde::Serialize;

use super::*;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Message {
    Number(u64),
    Text(String),
}

/// A sender and the receiver of its messages.
fn direct() -> (Sender, Receiver) {
    let (left, right) = pair().unwrap();
    (Sender::direct(left), Receiver::new(right))
}

/// A sender with a thread of its own, and the receiver of its messages.
fn queued(name: &str) -> (Sender, Receiver) {
    let (left, right) = pair().unwrap();
    (Sender::queued(left, name).unwrap(), Receiver::new(right))
}

fn receive(receiver: &mut Receiver) -> (Message, Vec<OwnedFd>) {
    let received = receiver.receive().unwrap().unwrap();
    (received.message, received.descriptors)
}

/// Why the next message is refused.
fn refusal(receiver: &mut Receiver) -> String {
    match receiver.receive::<Message>() {
        Err(ReceiveError::Malformed(why)) => why,
        other => panic!("expected a refused message, found {other:?}"),
    }
}

/// The same descriptor again and again.
fn repeated(descriptor: &OwnedFd, times: usize) -> Vec<BorrowedFd<'_>> {
    vec![descriptor.as_fd(); times]
}

/// The writing ends of pipes from whose other ends numbers can be read: to tell descriptors apart.
fn numbered_pipes(count: u32) -> (Vec<OwnedFd>, Vec<File>) {
    (0..count)
        .map(|_| {
            let (reader, writer) = std::io::pipe().unwrap();
            (OwnedFd::from(writer), File::from(OwnedFd::from(reader)))
        })
        .unzip()
}

/// Checks that each descriptor is that of its pipe.
fn check_pipes(descriptors: Vec<OwnedFd>, readers: &mut [File]) {
    assert_eq!(descriptors.len(), readers.len());
    for (number, (descriptor, reader)) in descriptors.into_iter().zip(readers).enumerate() {
        File::from(descriptor)
            .write_all(&number.to_le_bytes())
            .unwrap();
        let mut bytes = [0; size_of::<usize>()];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(usize::from_le_bytes(bytes), number);
    }
}

fn null() -> OwnedFd {
    File::options().read(true).open("/dev/null").unwrap().into()
}

/// How many descriptors this process has open. Only of use in [`in_own_process`].
fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs the test in a process of its own: for what is the whole process', as its open files and
/// limits are. `test` is the test's path.
fn in_own_process(test: &str, work: impl FnOnce()) {
    const VARIABLE: &str = "EXPORTER_HOST_TEST_ALONE";
    if env::var_os(VARIABLE).is_some() {
        work();
        return;
    }
    let (_, name) = test.split_once("::").unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{name} alone: {}\n{text}\n{errors}", output.status);
}
