//! Plugins that misbehave, each in its own way, written as WAT where the test is.

mod answers;
mod calls;
mod collectors;
pub(crate) mod component;
mod damage;
mod grants;
mod imports;
mod loading;
mod logs;
mod lookup;
mod net;
mod sessions;
mod shaping;

pub(crate) use logs::logged;

/// Waits for what collectors do.
pub(crate) fn run<T>(call: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(call)
}

/// Grants of endpoints as a sidecar writes them.
pub(crate) fn endpoints(patterns: &[&str]) -> Vec<crate::config::sidecar::EndpointPattern> {
    let parse = |text: &&str| crate::config::sidecar::EndpointPattern::parse(text).unwrap();
    patterns.iter().map(parse).collect()
}

/// Grants of paths as a sidecar writes them.
pub(crate) fn paths(patterns: &[&str]) -> Vec<crate::config::sidecar::PathPattern> {
    let parse = |text: &&str| crate::config::sidecar::PathPattern::parse(text).unwrap();
    patterns.iter().map(parse).collect()
}
