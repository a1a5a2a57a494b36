//! HTTP: listeners, connections with their limits, and the pages.
//!
//! Owns routes, negotiation of a scrape's deadline, bounds on connections and concurrent scrapes.
//! What the pages show comes from an `Exporter`; how series look in a body is `exposition`'s. No
//! TLS or authentication here yet.

mod app;
mod body;
mod buffers;
mod exporter;
mod held;
mod landing;
mod options;
mod probe;
mod query;
mod report;
mod routes;
mod scrape;
mod server;
mod slots;
#[cfg(any(test, feature = "test-support"))]
pub(crate) mod test_support;
mod unit;
mod write_timeout;

pub(crate) use exporter::{
    BoxFuture, Exporter, Filter, Module, ProbeRequest, ProbeResult, ProbeView, Probed, Refused,
    ReloadAnswer, Unavailable, UnitStatus,
};
pub(crate) use options::WebOptions;
pub(crate) use report::UnitReport;
pub(crate) use routes::router;
pub(crate) use server::serve;

#[cfg(test)]
mod tests;
