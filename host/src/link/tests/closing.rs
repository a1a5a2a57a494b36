//! How ends of a pair come to an end.

use super::*;

#[test]
fn a_sender_without_a_peer_says_so() {
    let (sender, receiver) = direct();
    sender.send(&Message::Number(1), &[]).unwrap();
    drop(receiver);
    // The first one consumes that the peer left without reading.
    for _ in 0..3 {
        let error = sender.send(&Message::Number(2), &[]).unwrap_err();
        assert!(matches!(error, SendError::Closed), "{error}");
    }
}

#[test]
fn what_a_peer_sent_before_it_left_is_received() {
    let (left, right) = pair().unwrap();
    let ours = Sender::direct(left.try_clone().unwrap());
    let mut receiver = Receiver::new(left);
    // Never read: the peer's end resets the connection.
    ours.send(&Message::Number(0), &[]).unwrap();
    let peer = Sender::direct(right);
    let null = null();
    for number in 1..=3 {
        peer.send(&Message::Number(number), &repeated(&null, 201))
            .unwrap();
    }
    drop(peer);
    for number in 1..=3 {
        let (message, descriptors) = receive(&mut receiver);
        assert_eq!((message, descriptors.len()), (Message::Number(number), 201));
    }
    for _ in 0..2 {
        assert!(receiver.receive::<Message>().unwrap().is_none());
        let next = receiver.receive_ready::<Message>().unwrap();
        assert!(matches!(next, Next::Closed));
    }
}

/// The kernel answers both with 0 bytes.
#[test]
fn an_empty_packet_is_not_the_end() {
    let (left, right) = pair().unwrap();
    let mut receiver = Receiver::new(right);
    let empty = || packet::send(left.as_fd(), b"", b"", &[]).unwrap();
    empty();
    empty();
    for _ in 0..2 {
        let why = refusal(&mut receiver);
        assert_eq!(why, "expected a head of 24 bytes, found 0 bytes");
    }
    assert!(matches!(
        receiver.receive_ready::<Message>(),
        Ok(Next::Nothing)
    ));
    empty();
    let sender = Sender::direct(left.try_clone().unwrap());
    sender.send(&Message::Number(1), &[]).unwrap();
    empty();
    packet::send(left.as_fd(), b"", b"", &[null().as_fd()]).unwrap();
    empty();
    drop((sender, left));
    // Where something follows they are refused, also of a peer that is gone.
    refusal(&mut receiver);
    assert_eq!(receive(&mut receiver).0, Message::Number(1));
    assert!(receiver.receive::<Message>().unwrap().is_none());
}

#[test]
fn an_unfinished_message_ends_with_its_sender() {
    let (left, right) = pair().unwrap();
    let mut receiver = Receiver::new(right);
    let first = head::Head::first(1, 0, 300).unwrap();
    let null = null();
    packet::send(left.as_fd(), &first.to_bytes(), b"", &repeated(&null, 200)).unwrap();
    drop(left);
    assert!(receiver.receive::<Message>().unwrap().is_none());
}
