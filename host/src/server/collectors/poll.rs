//! The background: collectors with an `interval` are asked whether somebody scrapes or not.

use std::sync::Arc;
use std::time::Instant;

use super::index::Index;

/// Never ends.
pub(in crate::server) async fn keep_polling(index: Arc<Index>) {
    loop {
        let next = index.poll(Instant::now());
        let until = async {
            match next {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = until => {}
            () = index.changed() => {}
        }
    }
}
