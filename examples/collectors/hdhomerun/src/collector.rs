//! One probe of one device.

use exporter_guest_sdk::{Collector, Error, Failure, Families, Host, NoOptions, Request};

use crate::device::Device;
use crate::report::Report;
use crate::target::endpoint;

/// Asks the target for all that it tells of itself, over one connection, within the request's
/// deadline.
///
/// What the device says may be odd or incomplete: then the rest is served. Once the connection
/// itself cannot be trusted or is lost, the probe fails as a whole, so that half a device is never
/// taken for all of it.
#[derive(Debug)]
pub(crate) struct HdHomeRun;

impl Collector for HdHomeRun {
    const NAME: &'static str = "hdhomerun";
    const SUMMARY: &'static str =
        "signal, bit rates and errors of an HDHomeRun device's tuners; the target is the device";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn collect(
        &self,
        host: &impl Host,
        request: &Request,
        families: &mut Families,
    ) -> Result<(), Failure> {
        let endpoint = endpoint(request.target()?).map_err(|error| error.to_string())?;
        let mut device = Device::connect(host, &endpoint, request.timeout)?;
        let report = Report::read(&mut device)?;
        drop(device);
        report.write(families);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
