//! What the web side counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::registry::{Labelled, Registry};

#[derive(Debug)]
pub(crate) struct HttpTelemetry {
    requests: Labelled<Counter>,
    in_flight: Gauge,
    response_bytes: Labelled<Counter>,
    /// client_golang's, of the metrics path alone.
    promhttp_requests: Labelled<Counter>,
    promhttp_in_flight: Gauge,
}

/// A request being answered; counted as in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    gauges: [Option<Gauge>; 2],
}

impl HttpTelemetry {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let telemetry = Self {
            requests: registry.labelled(
                "exporter_host_http_requests",
                "HTTP requests answered, by handler and status code",
                &["handler", "code"],
            ),
            in_flight: registry.single(
                "exporter_host_http_requests_in_flight",
                "HTTP requests being answered",
            ),
            response_bytes: registry.labelled(
                "exporter_host_http_response_bytes",
                "Bytes of response bodies, as sent",
                &["handler"],
            ),
            promhttp_requests: registry.labelled(
                "promhttp_metric_handler_requests",
                "Total number of scrapes by HTTP status code",
                &["code"],
            ),
            promhttp_in_flight: registry.single(
                "promhttp_metric_handler_requests_in_flight",
                "Current number of scrapes being served",
            ),
        };
        for code in ["200", "500", "503"] {
            telemetry.promhttp_requests.of(&[code]);
        }
        telemetry
    }

    /// `scrape`: whether the request is for the metrics path.
    pub(crate) fn started(&self, scrape: bool) -> InFlight {
        let gauges = [
            Some(self.in_flight.clone()),
            scrape.then(|| self.promhttp_in_flight.clone()),
        ];
        for gauge in gauges.iter().flatten() {
            gauge.inc();
        }
        InFlight { gauges }
    }

    /// `handler` is one of a few fixed words, never text from the request.
    pub(crate) fn answered(&self, handler: &'static str, scrape: bool, code: u16, bytes: u64) {
        let code = code.to_string();
        self.requests.of(&[handler, &code]).inc();
        self.sent(handler, bytes);
        if scrape {
            self.promhttp_requests.of(&[&code]).inc();
        }
    }

    /// Counts bytes of a body whose length was not known when it was `answered`.
    pub(crate) fn sent(&self, handler: &'static str, bytes: u64) {
        self.response_bytes.of(&[handler]).inc_by(bytes);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        for gauge in self.gauges.iter().flatten() {
            gauge.dec();
        }
    }
}
