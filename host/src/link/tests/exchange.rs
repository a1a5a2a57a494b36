//! Messages between ends that mean well.

use std::thread;

use super::*;

#[test]
fn messages_come_in_order_with_their_descriptors() {
    let (sender, mut receiver) = direct();
    let (writers, mut readers) = numbered_pipes(2);
    let descriptors: Vec<_> = writers.iter().map(OwnedFd::as_fd).collect();
    sender.send(&Message::Number(1), &[]).unwrap();
    sender.send(&Message::Number(2), &descriptors).unwrap();
    drop(writers);
    let (message, descriptors) = receive(&mut receiver);
    assert_eq!((message, descriptors.len()), (Message::Number(1), 0));
    let (message, descriptors) = receive(&mut receiver);
    assert_eq!(message, Message::Number(2));
    for descriptor in &descriptors {
        let flags = rustix::io::fcntl_getfd(descriptor).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
    check_pipes(descriptors, &mut readers);
}

#[test]
fn many_descriptors_come_in_parts_and_in_order() {
    let (sender, mut receiver) = direct();
    for count in [200, 201, 256, 450] {
        let (writers, mut readers) = numbered_pipes(count);
        let descriptors: Vec<_> = writers.iter().map(OwnedFd::as_fd).collect();
        sender
            .send(&Message::Number(count.into()), &descriptors)
            .unwrap();
        let (message, descriptors) = receive(&mut receiver);
        assert_eq!(message, Message::Number(count.into()));
        check_pipes(descriptors, &mut readers);
    }
}

#[test]
fn payloads_of_all_lengths_come_whole() {
    let (sender, mut receiver) = direct();
    assert_eq!(serde_json::to_vec(&text(0)).unwrap().len(), JSON_BYTES);
    let (writers, mut readers) = numbered_pipes(200);
    for length in [
        0,
        1,
        MAX_INLINE - JSON_BYTES,
        MAX_INLINE - JSON_BYTES + 1,
        1 << 20,
        MAX_PAYLOAD - JSON_BYTES,
    ] {
        let descriptors: Vec<_> = writers.iter().map(OwnedFd::as_fd).collect();
        sender.send(&text(length), &descriptors).unwrap();
        let (message, descriptors) = receive(&mut receiver);
        assert!(
            message == text(length),
            "of {length} bytes another message came"
        );
        check_pipes(descriptors, &mut readers);
    }
}

/// Of a text in JSON around its characters.
const JSON_BYTES: usize = r#"{"text":""}"#.len();

fn text(length: usize) -> Message {
    Message::Text("x".repeat(length))
}

#[test]
fn what_is_too_large_is_not_sent() {
    let (sender, mut receiver) = direct();
    let error = sender
        .send(&text(MAX_PAYLOAD - JSON_BYTES + 1), &[])
        .unwrap_err();
    assert!(matches!(error, SendError::TooLarge(67_108_865)), "{error}");
    let null = null();
    let error = sender
        .send(&Message::Number(1), &repeated(&null, 4097))
        .unwrap_err();
    assert!(
        matches!(error, SendError::TooManyDescriptors(4097)),
        "{error}"
    );
    let no_key = std::collections::HashMap::from([((1, 2), 3)]);
    assert!(matches!(
        sender.send(&no_key, &[]),
        Err(SendError::Encode(_))
    ));
    sender.send(&Message::Number(2), &[]).unwrap();
    assert_eq!(receive(&mut receiver).0, Message::Number(2));
}

#[test]
fn the_most_descriptors_come() {
    let (sender, mut receiver) = direct();
    let null = null();
    thread::scope(|scope| {
        let sent = scope.spawn(|| sender.send(&text(100_000), &repeated(&null, MAX_DESCRIPTORS)));
        let (message, descriptors) = receive(&mut receiver);
        assert_eq!(message, text(100_000));
        assert_eq!(descriptors.len(), MAX_DESCRIPTORS);
        sent.join().unwrap().unwrap();
    });
}

/// Messages of several parts from several threads do not mix.
#[test]
fn clones_send_whole_messages() {
    let (sender, mut receiver) = direct();
    let null = null();
    thread::scope(|scope| {
        for thread in 0..4 {
            let (sender, null) = (sender.clone(), &null);
            scope.spawn(move || {
                for number in 0..20 {
                    let message = Message::Number(thread * 100 + number);
                    sender.send(&message, &repeated(null, 401)).unwrap();
                }
            });
        }
        for _ in 0..80 {
            assert_eq!(receive(&mut receiver).1.len(), 401);
        }
    });
}

#[test]
fn both_directions_share_a_socket() {
    let (left, right) = pair().unwrap();
    let sender = Sender::direct(left.try_clone().unwrap());
    let mut answers = Receiver::new(left);
    let other = thread::spawn(move || {
        let sender = Sender::queued(right.try_clone().unwrap(), "answers").unwrap();
        let mut questions = Receiver::new(right);
        while let Some(received) = questions.receive::<Message>().unwrap() {
            sender.send(&received.message, &[]).unwrap();
        }
    });
    for number in 0..100 {
        sender.send(&Message::Number(number), &[]).unwrap();
        assert_eq!(receive(&mut answers).0, Message::Number(number));
    }
    rustix::net::shutdown(answers.as_fd(), rustix::net::Shutdown::Write).unwrap();
    other.join().unwrap();
}

#[test]
fn who_does_not_wait_gets_what_is_there() {
    let (left, right) = pair().unwrap();
    let mut receiver = Receiver::new(right);
    let mut ready = || receiver.receive_ready::<Message>();
    assert!(matches!(ready(), Ok(Next::Nothing)));
    // The first of two parts.
    let null = null();
    let first = head::Head::first(1, 12, 201).unwrap();
    let payload = br#"{"number":5}"#;
    packet::send(
        left.as_fd(),
        &first.to_bytes(),
        payload,
        &repeated(&null, 200),
    )
    .unwrap();
    assert!(matches!(ready(), Ok(Next::Nothing)));
    let second = first.next().unwrap();
    packet::send(left.as_fd(), &second.to_bytes(), b"", &[null.as_fd()]).unwrap();
    match ready() {
        Ok(Next::Received(received)) => {
            assert_eq!(received.message, Message::Number(5));
            assert_eq!(received.descriptors.len(), 201);
        }
        other => panic!("{other:?}"),
    }
    // A message that another one cuts off: the other one is there at once.
    packet::send(
        left.as_fd(),
        &first.to_bytes(),
        payload,
        &repeated(&null, 200),
    )
    .unwrap();
    Sender::direct(left).send(&Message::Number(6), &[]).unwrap();
    assert!(matches!(ready(), Err(ReceiveError::Malformed(_))));
    assert!(matches!(ready(), Ok(Next::Received(_))));
    assert!(matches!(ready(), Ok(Next::Closed)));
}
