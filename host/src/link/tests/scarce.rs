//! Processes that may have few descriptors.

use std::process::id;

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

use super::*;

/// The limit is the number from which on there are none. Gives how many are free below it.
fn limit_descriptors(max: u64) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = Some(max);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    let duplicates: Vec<_> =
        std::iter::from_fn(|| std::io::stderr().as_fd().try_clone_to_owned().ok()).collect();
    duplicates.len()
}

#[test]
fn a_receiver_without_room_says_so_and_goes_on() {
    in_own_process(
        concat!(
            module_path!(),
            "::a_receiver_without_room_says_so_and_goes_on"
        ),
        || {
            let (sender, mut receiver) = direct();
            let null = null();
            let before = open_descriptors();
            let room = limit_descriptors(64);
            for count in [room + 1, 150, 256, 1000] {
                sender
                    .send(&Message::Number(5), &repeated(&null, count))
                    .unwrap();
                sender
                    .send(&Message::Number(6), &repeated(&null, room))
                    .unwrap();
                match receiver.receive::<Message>() {
                    Err(ReceiveError::Truncated(truncated)) => {
                        assert_eq!((truncated.announced, truncated.came), (count, room));
                        assert_eq!(truncated.message(), Some(Message::Number(5)));
                        assert_eq!(truncated.message::<u8>(), None);
                        let start =
                            format!("of a message's {count} descriptors only {room} came: ");
                        assert!(truncated.to_string().starts_with(&start), "{truncated}");
                    }
                    other => panic!("{other:?}"),
                }
                let (message, descriptors) = receive(&mut receiver);
                assert_eq!((message, descriptors.len()), (Message::Number(6), room));
            }
            assert_eq!(open_descriptors(), before);
            // A long payload is the first of the descriptors.
            let text = Message::Text("x".repeat(100_000));
            sender.send(&text, &repeated(&null, 100)).unwrap();
            match receiver.receive::<Message>() {
                Err(ReceiveError::Truncated(truncated)) => {
                    assert_eq!((truncated.announced, truncated.came), (101, room));
                    assert_eq!(truncated.message(), Some(text));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(open_descriptors(), before);
            // No room at all.
            let full: Vec<_> = (0..room).map(|_| null.try_clone().unwrap()).collect();
            sender.send(&Message::Number(7), &[null.as_fd()]).unwrap();
            sender.send(&Message::Number(8), &[]).unwrap();
            match receiver.receive::<Message>() {
                Err(ReceiveError::Truncated(truncated)) => {
                    assert_eq!((truncated.announced, truncated.came), (1, 0));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(receive(&mut receiver).0, Message::Number(8));
            drop(full);
        },
    );
}

#[test]
fn a_sender_without_room_says_so() {
    in_own_process(
        concat!(module_path!(), "::a_sender_without_room_says_so"),
        || {
            let (sender, mut receiver) = queued("no-room");
            let null = null();
            let before = open_descriptors();
            limit_descriptors(64);
            let error = sender
                .send(&Message::Number(1), &repeated(&null, 100))
                .unwrap_err();
            assert!(matches!(error, SendError::Descriptors(_)), "{error}");
            assert_eq!(open_descriptors(), before);
            let full: Vec<_> = std::iter::from_fn(|| null.try_clone().ok()).collect();
            let error = sender
                .send(&Message::Text("x".repeat(100_000)), &[])
                .unwrap_err();
            let SendError::Io(error) = error else {
                panic!("{error}");
            };
            assert_eq!(
                error.raw_os_error(),
                Some(rustix::io::Errno::MFILE.raw_os_error())
            );
            drop(full);
            sender.send(&Message::Number(2), &[null.as_fd()]).unwrap();
            let (message, descriptors) = receive(&mut receiver);
            assert_eq!((message, descriptors.len()), (Message::Number(2), 1));
        },
    );
}

/// A user may have as many descriptors on their way as a process may have open; only root's
/// capabilities lift that. A direct sender says so, a queued one waits until the peer reads.
#[test]
fn too_many_descriptors_on_their_way_pass() {
    in_own_process(
        concat!(module_path!(), "::too_many_descriptors_on_their_way_pass"),
        || {
            become_user();
            limit_descriptors(256);
            let (sender, mut receiver) = queued("on-the-way");
            let (other, mut other_receiver) = direct();
            let null = null();
            let error = (0..100)
                .find_map(|_| other.send(&Message::Number(1), &repeated(&null, 60)).err())
                .unwrap();
            let SendError::Io(error) = error else {
                panic!("{error}");
            };
            let expected = rustix::io::Errno::TOOMANYREFS.raw_os_error();
            assert_eq!(error.raw_os_error(), Some(expected));
            // The thread of the queued one runs into the same.
            sender
                .send(&Message::Number(2), &repeated(&null, 60))
                .unwrap();
            assert!(matches!(
                receiver.receive_ready::<Message>(),
                Ok(Next::Nothing)
            ));
            assert_eq!(receive(&mut other_receiver).1.len(), 60);
            while let Next::Received(received) = other_receiver.receive_ready::<Message>().unwrap()
            {
                assert_eq!(received.descriptors.len(), 60);
            }
            let (message, descriptors) = receive(&mut receiver);
            assert_eq!((message, descriptors.len()), (Message::Number(2), 60));
        },
    );
}

/// One without processes of its own, whose descriptors would count too. For this thread and those
/// that it starts. Tests that do not run as root have no capabilities to begin with.
fn become_user() {
    if rustix::process::geteuid().is_root() {
        let user = rustix::process::Uid::from_raw(1_000_000 + id());
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
    }
}
