//! The sender that never blocks.

use std::thread;

use super::*;

#[test]
fn descriptors_may_be_closed_once_they_are_queued() {
    let (sender, mut receiver) = queued("closed-early");
    let (writers, mut readers) = numbered_pipes(256);
    let descriptors: Vec<_> = writers.iter().map(OwnedFd::as_fd).collect();
    sender
        .send(&Message::Text("x".repeat(1 << 20)), &descriptors)
        .unwrap();
    drop(writers);
    let (message, descriptors) = receive(&mut receiver);
    assert_eq!(message, Message::Text("x".repeat(1 << 20)));
    check_pipes(descriptors, &mut readers);
}

#[test]
fn a_peer_that_does_not_read_fills_the_queue() {
    let (sender, mut receiver) = queued("full");
    let sent = (0..)
        .find(|number| match sender.send(&Message::Number(*number), &[]) {
            Ok(()) => false,
            Err(SendError::Full { messages, .. }) => {
                assert_eq!(messages, 16_384);
                true
            }
            Err(error) => panic!("{error}"),
        })
        .unwrap();
    assert!((16_384..20_000).contains(&sent), "{sent}");
    let error = sender.send(&Message::Number(0), &[]).unwrap_err();
    let text = "the other process does not read: 16384 messages wait for it, of ";
    assert!(error.to_string().starts_with(text), "{error}");
    // Once it reads, nothing is missing, and there is room again.
    for number in 0..sent {
        assert_eq!(receive(&mut receiver).0, Message::Number(number));
    }
    sender.send(&Message::Number(sent), &[]).unwrap();
    assert_eq!(receive(&mut receiver).0, Message::Number(sent));
}

#[test]
fn bytes_that_wait_are_bounded() {
    let (sender, _receiver) = queued("bytes");
    let message = Message::Text("x".repeat(60_000));
    let error = (0..2000)
        .find_map(|_| sender.send(&message, &[]).err())
        .unwrap();
    let SendError::Full { bytes, .. } = error else {
        panic!("{error}");
    };
    assert!(((64 << 20) - 60_011..=64 << 20).contains(&bytes), "{bytes}");
    sender.send(&Message::Number(1), &[]).unwrap();
}

#[test]
fn descriptors_that_wait_are_bounded() {
    in_own_process(
        concat!(module_path!(), "::descriptors_that_wait_are_bounded"),
        || {
            let before = open_descriptors();
            let (sender, receiver) = queued("descriptors");
            let null = null();
            let duplicates = repeated(&null, 200);
            let error = (0..10_000)
                .find_map(|_| sender.send(&Message::Number(1), &duplicates).err())
                .unwrap();
            let SendError::Full { descriptors, .. } = error else {
                panic!("{error}");
            };
            assert!((7992..=8192).contains(&descriptors), "{descriptors}");
            assert!(open_descriptors() < before + 8200);
            // Without a peer what waits is of no use to anybody.
            drop(receiver);
            until_closed(&sender);
            until_ended("descriptors");
            assert_eq!(open_descriptors(), before + 1, "only that of /dev/null");
            drop(sender);
        },
    );
}

fn until_closed(sender: &Sender) {
    loop {
        match sender.send(&Message::Number(0), &[]) {
            Err(SendError::Closed) => break,
            Ok(()) | Err(SendError::Full { .. }) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

fn until_ended(thread: &str) {
    while has_thread(thread) {
        thread::yield_now();
    }
}

fn has_thread(name: &str) -> bool {
    fs::read_dir("/proc/self/task").unwrap().any(|task| {
        let name_of_task = fs::read_to_string(task.unwrap().path().join("comm"));
        name_of_task.is_ok_and(|found| found.trim_end() == name)
    })
}

#[test]
fn without_a_peer_the_thread_ends() {
    let (sender, mut receiver) = queued("peer-gone");
    sender.send(&Message::Number(0), &[]).unwrap();
    receive(&mut receiver);
    assert!(has_thread("peer-gone"));
    drop(receiver);
    until_closed(&sender);
    until_ended("peer-gone");
    assert!(matches!(
        sender.send(&Message::Number(0), &[]),
        Err(SendError::Closed)
    ));
}

#[test]
fn the_last_clone_lets_the_queue_drain_and_ends_the_connection() {
    let (left, right) = pair().unwrap();
    let sender = Sender::queued(left.try_clone().unwrap(), "last-clone\0").unwrap();
    // The same process goes on to receive.
    let mut ours = Receiver::new(left);
    let mut receiver = Receiver::new(right.try_clone().unwrap());
    let clone = sender.clone();
    for number in 0..5000 {
        sender.send(&Message::Number(number), &[]).unwrap();
    }
    drop(sender);
    clone.send(&Message::Number(5000), &[]).unwrap();
    drop(clone);
    for number in 0..=5000 {
        assert_eq!(receive(&mut receiver).0, Message::Number(number));
    }
    assert!(receiver.receive::<Message>().unwrap().is_none());
    until_ended("last-clone");
    Sender::direct(right)
        .send(&Message::Number(1), &[])
        .unwrap();
    assert_eq!(receive(&mut ours).0, Message::Number(1));
}
