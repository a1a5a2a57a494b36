//! Calls of the same thing at the same time become one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// A call's end is told shortly after its deadline, and who waits for it wants to hear why it
/// failed. For less time no other call is made.
const SETTLE: Duration = Duration::from_millis(100);

/// Calls on their way, by what they ask.
pub(super) struct SharedCalls<K, T> {
    running: Arc<Mutex<HashMap<K, Running<T>>>>,
    threads: Handle,
}

struct Running<T> {
    done: watch::Receiver<Option<Arc<T>>>,
    /// When it is cut off.
    deadline: Instant,
}

impl<K, T> SharedCalls<K, T> {
    /// None yet. They are made on `threads`, whoever asks.
    pub(super) fn on(threads: Handle) -> Self {
        Self {
            running: Arc::default(),
            threads,
        }
    }
}

impl<K, T> SharedCalls<K, T>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Send + Sync + 'static,
{
    /// What a running call of this key gives, or else `call`, which goes on even if nobody waits
    /// for it any more. If it is `cut_off` by the deadline of whoever made it, while there is time
    /// left here, another one is made. None: it was not done by the deadline, or has ended in a
    /// panic.
    pub(super) async fn call<F>(
        &self,
        key: &K,
        deadline: Instant,
        call: impl Fn() -> F,
        cut_off: impl Fn(&T) -> bool,
    ) -> Option<Arc<T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let until = tokio::time::Instant::from_std(deadline + SETTLE);
        loop {
            let mut running = self.join(key, deadline, &call);
            let done = running.done.wait_for(Option::is_some);
            let done = tokio::time::timeout_at(until, done).await.ok()?;
            let result = done.ok()?.clone()?;
            let had_less = running.deadline < deadline && Instant::now() + SETTLE < deadline;
            if !(had_less && cut_off(&result)) {
                return Some(result);
            }
        }
    }

    /// The call of this key that is running, which it is from here on.
    fn join<F>(&self, key: &K, deadline: Instant, call: impl FnOnce() -> F) -> Running<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut running = self.running.lock();
        if let Some(known) = running.get(key) {
            return known.clone();
        }
        let (done, waiting) = watch::channel(None);
        let made = Running {
            done: waiting,
            deadline,
        };
        running.insert(key.clone(), made.clone());
        let call = call();
        let registered = Registered {
            running: Arc::clone(&self.running),
            key: key.clone(),
        };
        self.threads.spawn(async move {
            let result = call.await;
            // Whoever comes from here on wants a new call.
            drop(registered);
            done.send_replace(Some(Arc::new(result)));
        });
        made
    }
}

impl<T> Clone for Running<T> {
    fn clone(&self) -> Self {
        Self {
            done: self.done.clone(),
            deadline: self.deadline,
        }
    }
}

/// Takes a call's entry away, also if it panics.
struct Registered<K: Eq + Hash, T> {
    running: Arc<Mutex<HashMap<K, Running<T>>>>,
    key: K,
}

impl<K: Eq + Hash, T> Drop for Registered<K, T> {
    fn drop(&mut self) {
        self.running.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn calls_of_one_key_are_one_while_it_runs() {
        let calls = SharedCalls::on(Handle::current());
        let (made, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let one = async |key: &'static str| {
            let call = || {
                let (made, go_on) = (Arc::clone(&made), Arc::clone(&go_on));
                async move {
                    go_on.acquire().await.unwrap().forget();
                    made.fetch_add(1, Ordering::SeqCst)
                }
            };
            calls.call(&key, soon(), call, |_| false).await.unwrap()
        };
        // It is the last to be polled: all have asked by then.
        let wake = async { go_on.add_permits(2) };
        let (a, b, c, other, ()) = tokio::join!(one("x"), one("x"), one("x"), one("y"), wake);
        assert!(Arc::ptr_eq(&a, &b) && Arc::ptr_eq(&b, &c));
        assert!(!Arc::ptr_eq(&a, &other));
        assert_eq!(made.load(Ordering::SeqCst), 2);
        go_on.add_permits(1);
        assert_eq!(*one("x").await, 2, "an ended call is not shared");
    }

    #[tokio::test]
    async fn a_panic_is_nobodys_answer_for_long() {
        let calls = SharedCalls::on(Handle::current());
        let panics = calls.call(&1, soon(), || async { panic!("as asked") }, |_| true);
        assert!(panics.await.is_none());
        assert_eq!(
            calls
                .call(&1, soon(), || async { 5 }, |_| false)
                .await
                .as_deref(),
            Some(&5)
        );
    }

    /// Of those who wait for a call that is cut off, who has more time gets an answer, and they
    /// share that one.
    #[tokio::test]
    async fn a_shorter_deadline_is_nobody_elses() {
        let calls = SharedCalls::on(Handle::current());
        let made = AtomicUsize::new(0);
        let now = Instant::now();
        let (short, long) = (now + Duration::from_millis(50), soon());
        // The first one ends at its deadline without an answer.
        let ask = |deadline: Instant| {
            let call = || {
                let number = made.fetch_add(1, Ordering::SeqCst);
                async move {
                    if number == 0 {
                        tokio::time::sleep_until(short.into()).await;
                    }
                    (number > 0).then_some(number)
                }
            };
            calls.call(&1, deadline, call, Option::is_none)
        };
        let (first, same, patient, other) =
            tokio::join!(ask(short), ask(short), ask(long), ask(long));
        assert_eq!((*first.unwrap(), *same.unwrap()), (None, None));
        let (patient, other) = (patient.unwrap(), other.unwrap());
        assert_eq!(*patient, Some(1));
        assert!(Arc::ptr_eq(&patient, &other));
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn who_has_no_more_time_takes_what_there_is() {
        let calls = SharedCalls::on(Handle::current());
        let deadline = soon();
        let made = AtomicUsize::new(0);
        let call = || {
            made.fetch_add(1, Ordering::SeqCst);
            async {}
        };
        let (a, b) = tokio::join!(
            calls.call(&1, deadline, call, |()| true),
            calls.call(&1, deadline, call, |()| true)
        );
        assert!(a.is_some() && b.is_some());
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }
}
