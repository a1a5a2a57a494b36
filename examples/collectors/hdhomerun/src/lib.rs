//! Collector for SiliconDust HDHomeRun tuners: signal, bit rates and errors of each tuner, by the
//! device's own protocol on TCP port 65001.
//!
//! - `hdhomerun` asks one device, the target. It goes on serving the series of the 2018
//!   hdhomerun_exporter and adds its own.
//! - `hdhomerun_discovery` lists the devices that answer by UDP.
//!
//! `frame` and `tlv` are the wire format, `request` and `reply` what is said in it, `debug` the
//! text that tuners describe themselves with. `device` is one connection, `report` what a probe
//! learns and the series that it becomes.

mod collector;
mod debug;
mod device;
mod discovery;
mod frame;
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
pub mod fuzz;
mod reply;
mod report;
mod request;
mod target;
#[cfg(test)]
mod testing;
mod tlv;

exporter_guest_sdk::export_plugin! { collectors: [collector::HdHomeRun, discovery::Discovery] }
