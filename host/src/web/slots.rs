//! Slots for connections: how many there are, and who makes room for whom.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Further clients wait in the kernel's queue, unless one of these makes room.
const MAX_CONNECTIONS: usize = 512;
/// Beyond those, for who asks whether the host lives.
const RESERVED: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Slots {
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    connections: BTreeMap<u64, Connection>,
    next: u64,
}

#[derive(Debug)]
struct Connection {
    /// It has asked for something already.
    has_asked: bool,
    /// No request of it is being answered.
    waits_since: Option<Instant>,
    leave: Arc<Notify>,
}

/// A connection's slot, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    number: u64,
    /// The slot is for questions about health alone.
    pub(super) reserved: bool,
    leave: Arc<Notify>,
}

impl Slots {
    /// Waits until `take` has a slot to give.
    pub(super) async fn has_room(&self) {
        loop {
            let freed = self.freed.notified();
            {
                let taken = self.taken.lock();
                let count = taken.connections.len();
                if count < MAX_CONNECTIONS + RESERVED || taken.longest_waiting().is_some() {
                    return;
                }
            }
            freed.await;
        }
    }

    /// A slot for a new connection. If there is no free one, the connection that has waited for
    /// longest has to leave; if all are being answered it is a reserved one.
    pub(super) fn take(self: &Arc<Self>) -> Slot {
        let mut taken = self.taken.lock();
        let mut reserved = false;
        if taken.connections.len() >= MAX_CONNECTIONS {
            let leaves = taken.longest_waiting();
            match leaves.and_then(|number| taken.connections.remove(&number)) {
                Some(connection) => connection.leave.notify_one(),
                None => reserved = true,
            }
        }
        let number = taken.next;
        taken.next += 1;
        let leave = Arc::new(Notify::new());
        let connection = Connection {
            has_asked: false,
            waits_since: Some(Instant::now()),
            leave: Arc::clone(&leave),
        };
        taken.connections.insert(number, connection);
        Slot {
            slots: Arc::clone(self),
            number,
            reserved,
            leave,
        }
    }
}

impl Taken {
    fn longest_waiting(&self) -> Option<u64> {
        let waiting = self
            .connections
            .iter()
            .filter_map(|(number, one)| Some((one.has_asked, one.waits_since?, *number)));
        waiting.min().map(|(.., number)| number)
    }
}

impl Slot {
    /// Resolves once another connection has the slot.
    pub(super) async fn lost(&self) {
        self.leave.notified().await;
    }

    /// A request is being answered, until what this gives is dropped.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        self.change(|connection| {
            connection.has_asked = true;
            connection.waits_since = None;
        });
        Answering(Arc::clone(self))
    }

    pub(super) fn has_asked(&self) -> bool {
        let taken = self.slots.taken.lock();
        let own = taken.connections.get(&self.number);
        own.is_some_and(|connection| connection.has_asked)
    }

    fn change(&self, change: impl FnOnce(&mut Connection)) {
        if let Some(own) = self.slots.taken.lock().connections.get_mut(&self.number) {
            change(own);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.taken.lock().connections.remove(&self.number);
        self.slots.freed.notify_waiters();
    }
}

/// See `Slot::answer`.
#[derive(Debug)]
pub(super) struct Answering(Arc<Slot>);

impl Answering {
    /// The body, which is being answered with until it is dropped.
    pub(super) fn with(self, body: Body) -> Body {
        Body::new(AnsweringBody {
            body,
            _answering: self,
        })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0
            .change(|connection| connection.waits_since = Some(Instant::now()));
        self.0.slots.freed.notify_waiters();
    }
}

struct AnsweringBody {
    body: Body,
    _answering: Answering,
}

impl http_body::Body for AnsweringBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_waited_for_longest_makes_room() {
        let slots = Arc::new(Slots::default());
        let all: Vec<Arc<Slot>> = (0..MAX_CONNECTIONS)
            .map(|_| Arc::new(slots.take()))
            .collect();
        // The first two have asked; the second is answered still.
        drop(all[0].answer());
        let answering = all[1].answer();
        let next = slots.take();
        assert!(!next.reserved);
        let there = |number: u64| slots.taken.lock().connections.contains_key(&number);
        assert!(there(0) && there(1) && !there(2));
        let others: Vec<Answering> = all[3..].iter().map(Slot::answer).collect();
        let next = Arc::new(next);
        let last = next.answer();
        assert!(!slots.take().reserved, "the first one waits");
        assert!(!there(0) && there(1));
        drop((answering, others, last));
    }

    #[test]
    fn where_all_are_answered_a_few_places_are_left() {
        let slots = Arc::new(Slots::default());
        let all: Vec<Arc<Slot>> = (0..MAX_CONNECTIONS)
            .map(|_| Arc::new(slots.take()))
            .collect();
        let answering: Vec<Answering> = all.iter().map(Slot::answer).collect();
        let reserved = slots.take();
        assert!(reserved.reserved);
        drop(answering);
        assert!(!slots.take().reserved);
    }
}
