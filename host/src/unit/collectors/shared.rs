//! Calls of the same thing at the same time become one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

/// A call's end is told shortly after its deadline, and who waits for it wants to hear why it failed.
const SETTLE: Duration = Duration::from_millis(100);

type Waiting<T> = watch::Receiver<Option<Arc<T>>>;

/// Calls on their way, by what they ask.
pub(super) struct SharedCalls<K, T> {
    running: Arc<Mutex<HashMap<K, Waiting<T>>>>,
}

impl<K, T> Default for SharedCalls<K, T> {
    fn default() -> Self {
        Self {
            running: Arc::default(),
        }
    }
}

impl<K, T> SharedCalls<K, T>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Send + Sync + 'static,
{
    /// What a running call of this key gives, or else `call`, which goes on even if nobody waits for it any more. None: it was not done by
    /// the deadline, or has ended in a panic.
    pub(super) async fn call<F>(
        &self,
        key: &K,
        deadline: Instant,
        call: impl FnOnce() -> F,
    ) -> Option<Arc<T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut waiting = {
            let mut running = self.running.lock();
            match running.get(key) {
                Some(waiting) => waiting.clone(),
                None => {
                    let (done, waiting) = watch::channel(None);
                    running.insert(key.clone(), waiting.clone());
                    let call = call();
                    let registered = Registered {
                        running: Arc::clone(&self.running),
                        key: key.clone(),
                    };
                    tokio::spawn(async move {
                        let result = call.await;
                        // Whoever comes from here on wants a new call.
                        drop(registered);
                        done.send_replace(Some(Arc::new(result)));
                    });
                    waiting
                }
            }
        };
        let until = tokio::time::Instant::from_std(deadline + SETTLE);
        let done = tokio::time::timeout_at(until, waiting.wait_for(Option::is_some)).await;
        done.ok()?.ok()?.clone()
    }
}

/// Takes a call's entry away, also if it panics.
struct Registered<K: Eq + Hash, T> {
    running: Arc<Mutex<HashMap<K, Waiting<T>>>>,
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
        let calls = SharedCalls::default();
        let (made, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let one = async |key: &'static str| {
            let (made, go_on) = (Arc::clone(&made), Arc::clone(&go_on));
            let call = move || async move {
                go_on.acquire().await.unwrap().forget();
                made.fetch_add(1, Ordering::SeqCst)
            };
            calls.call(&key, soon(), call).await.unwrap()
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
        let calls = SharedCalls::default();
        let panics = calls.call(&1, soon(), || async { panic!("as asked") });
        assert!(panics.await.is_none());
        assert_eq!(
            calls.call(&1, soon(), || async { 5 }).await.as_deref(),
            Some(&5)
        );
    }
}
