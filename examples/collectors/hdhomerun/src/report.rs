//! What one probe learns of a device, and the series it becomes.
//!
//! The first ten families are those of the 2018 hdhomerun_exporter: same names, types, help texts
//! and values.

use exporter_guest_sdk::families::Kind;
use exporter_guest_sdk::net::TcpStream;
use exporter_guest_sdk::{Failure, Families, log};

use crate::debug::{Debug, Section};
use crate::device::Device;
use crate::reply::Answer;
use crate::request::Variable;

/// No device has more than eight. A limit, because a device that knows every name would be asked
/// for ever.
const MAX_TUNERS: u8 = 32;
/// What libhdhomerun takes a device for that is too old to have the variable.
const OLDEST_MODEL: &str = "hdhomerun_atsc";

/// A device, as it has described itself.
#[derive(Debug)]
pub(crate) struct Report {
    model: Option<String>,
    hardware_model: Option<String>,
    version: Option<String>,
    tuners: Vec<Tuner>,
}

#[derive(Debug)]
struct Tuner {
    number: u8,
    /// None: the device gave an error in its place.
    debug: Option<Debug>,
}

/// A family whose samples are one number of the debug text, by tuner.
struct NumberFamily {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    /// Where it is counted; several have the label `stage`.
    sections: &'static [Section],
    number: &'static str,
    divisor: f64,
}

const PERCENT: f64 = 100.0;
const BITS_PER_BYTE: f64 = 8.0;

/// By tuner, as the 2018 exporter has them.
const CLASSIC: [NumberFamily; 5] = [
    NumberFamily {
        name: "hdhomerun_tuner_signal_strength_ratio",
        help: "Television signal strength ratio for this tuner.",
        kind: Kind::Gauge,
        sections: &[Section::Tuner],
        number: "ss",
        divisor: PERCENT,
    },
    NumberFamily {
        name: "hdhomerun_tuner_signal_to_noise_ratio",
        help: "Television signal-to-noise ratio for this tuner.",
        kind: Kind::Gauge,
        sections: &[Section::Tuner],
        number: "snq",
        divisor: PERCENT,
    },
    NumberFamily {
        name: "hdhomerun_tuner_symbol_error_ratio",
        help: "Television symbol error ratio for this tuner.",
        kind: Kind::Gauge,
        sections: &[Section::Tuner],
        number: "seq",
        divisor: PERCENT,
    },
    NumberFamily {
        name: "hdhomerun_network_packets_per_second",
        help: "Number of packets per second being sent by the device for this tuner.",
        kind: Kind::Gauge,
        sections: &[Section::Network],
        number: "pps",
        divisor: 1.0,
    },
    NumberFamily {
        name: "hdhomerun_network_errors",
        help: "Number of device network errors for this tuner.",
        kind: Kind::Gauge,
        sections: &[Section::Network],
        number: "err",
        divisor: 1.0,
    },
];

/// Of the CableCARD, which all tuners share, as the 2018 exporter has them: no labels.
const CABLE_CARD: [NumberFamily; 3] = [
    NumberFamily {
        name: "hdhomerun_cablecard_bytes_per_second",
        help: "Number of bytes per second being received by the CableCARD.",
        kind: Kind::Gauge,
        sections: &[Section::CableCard],
        number: "bps",
        divisor: BITS_PER_BYTE,
    },
    NumberFamily {
        name: "hdhomerun_cablecard_overflow",
        help: "Number of buffer overflows for the CableCARD.",
        kind: Kind::Gauge,
        sections: &[Section::CableCard],
        number: "overflow",
        divisor: 1.0,
    },
    NumberFamily {
        name: "hdhomerun_cablecard_resync",
        help: "Number of re-sync operations due to missing sync byte in transport stream for the CableCARD.",
        kind: Kind::Gauge,
        sections: &[Section::CableCard],
        number: "resync",
        divisor: 1.0,
    },
];

/// By tuner, of our own. The device's counters begin anew with each channel change, which is what
/// counters do.
const FURTHER: [NumberFamily; 9] = [
    NumberFamily {
        name: "hdhomerun_tuner_stage_bytes_per_second",
        help: "Bytes per second that pass a stage of this tuner: dev is what is received, cc the CableCARD, ts the transport stream, flt the \
               filter, net what is sent.",
        kind: Kind::Gauge,
        sections: &[
            Section::Device,
            Section::CableCard,
            Section::TransportStream,
            Section::Filter,
            Section::Network,
        ],
        number: "bps",
        divisor: BITS_PER_BYTE,
    },
    NumberFamily {
        name: "hdhomerun_tuner_resyncs_total",
        help: "Losses of the sync byte since the channel was set, by stage: dev is what is received, cc the CableCARD.",
        kind: Kind::Counter,
        sections: &[Section::Device, Section::CableCard],
        number: "resync",
        divisor: 1.0,
    },
    NumberFamily {
        name: "hdhomerun_tuner_overflows_total",
        help: "Buffer overflows since the channel was set, by stage: dev is what is received, cc the CableCARD.",
        kind: Kind::Counter,
        sections: &[Section::Device, Section::CableCard],
        number: "overflow",
        divisor: 1.0,
    },
    NumberFamily {
        name: "hdhomerun_tuner_transport_errors_total",
        help: "Packets of the transport stream marked as erroneous since the channel was set.",
        kind: Kind::Counter,
        sections: &[Section::TransportStream],
        number: "te",
        divisor: 1.0,
    },
    NumberFamily {
        name: "hdhomerun_tuner_sequence_errors_total",
        help: "Jumps in the sequence of the transport stream's packets since the channel was set; old firmware only.",
        kind: Kind::Counter,
        sections: &[Section::TransportStream],
        number: "miss",
        divisor: 1.0,
    },
    NumberFamily {
        name: "hdhomerun_tuner_crc_errors_total",
        help: "Checksum errors in the transport stream since the channel was set.",
        kind: Kind::Counter,
        sections: &[Section::TransportStream],
        number: "crc",
        divisor: 1.0,
    },
    NumberFamily {
        name: "hdhomerun_tuner_transport_utilization_ratio",
        help: "Part of the transport stream that is in use; old firmware only.",
        kind: Kind::Gauge,
        sections: &[Section::TransportStream],
        number: "ut",
        divisor: PERCENT,
    },
    NumberFamily {
        name: "hdhomerun_tuner_network_errors_total",
        help: "Packets dropped before they were sent since the channel was set.",
        kind: Kind::Counter,
        sections: &[Section::Network],
        number: "err",
        divisor: 1.0,
    },
    NumberFamily {
        name: "hdhomerun_tuner_stop_reason",
        help: "Why the last stream ended: 0 it has not, 1 on purpose, 2 ICMP rejects, 3 connection lost, 4 HTTP connection closed; other codes \
               exist.",
        kind: Kind::Gauge,
        sections: &[Section::Network],
        number: "stop",
        divisor: 1.0,
    },
];

// === impl Report ===

impl Report {
    /// Asks for each variable once: the three about the device, then each tuner's debug text until
    /// there is no such tuner.
    pub(crate) fn read<T: TcpStream>(device: &mut Device<T>) -> Result<Self, Failure> {
        let model = match device.get(Variable::Model)? {
            Answer::Unknown => Some(OLDEST_MODEL.to_owned()),
            answer => text(Variable::Model, answer),
        };
        let hardware_model = text(
            Variable::HardwareModel,
            device.get(Variable::HardwareModel)?,
        );
        let version = text(Variable::Version, device.get(Variable::Version)?);
        let mut tuners = Vec::new();
        for number in 0..MAX_TUNERS {
            let variable = Variable::Debug(number);
            let debug = match device.get(variable)? {
                Answer::Unknown => break,
                answer => text(variable, answer).as_deref().map(Debug::parse),
            };
            tuners.push(Tuner { number, debug });
        }
        Ok(Self {
            model,
            hardware_model,
            version,
            tuners,
        })
    }

    pub(crate) fn write(&self, families: &mut Families) {
        self.write_device(families);
        for Tuner { number, debug } in &self.tuners {
            let tuner = number.to_string();
            families
                .gauge(
                    "hdhomerun_tuner_query_success",
                    "Whether the device told of this tuner; 0: it gave an error.",
                )
                .sample(&[("tuner", &tuner)], u64::from(debug.is_some()));
            if let Some(debug) = debug {
                write_tuner(families, &tuner, debug);
            }
        }
        // All tuners share the card; not every one need have a line about it.
        let cards = self.tuners.iter().filter_map(|tuner| tuner.debug.as_ref());
        if let Some(card) = cards.into_iter().find(|debug| debug.has_cable_card()) {
            for family in &CABLE_CARD {
                family.write(families, None, card);
            }
        }
    }

    fn write_device(&self, families: &mut Families) {
        if let Some(model) = &self.model {
            families
                .gauge("hdhomerun_device_info", "Metadata about the device.")
                .sample(&[("model", model)], 1_u64);
        }
        if self.hardware_model.is_some() || self.version.is_some() {
            let label = |text: &Option<String>| text.clone().unwrap_or_default();
            families
                .info(
                    "hdhomerun_device_hardware_info",
                    "The device's hardware model and the version of its firmware.",
                )
                .sample(
                    &[
                        ("hardware_model", &label(&self.hardware_model)),
                        ("firmware_version", &label(&self.version)),
                    ],
                    1_u64,
                );
        }
        families
            .gauge("hdhomerun_device_tuners", "Tuners that the device has.")
            .sample(&[], self.tuners.len());
    }
}

/// A variable's value; None after a warning if the device gives an error instead, except that it
/// has no such variable.
fn text(variable: Variable, answer: Answer) -> Option<String> {
    match answer {
        Answer::Value(text) => Some(text.trim().to_owned()),
        Answer::Unknown => None,
        Answer::Error(error) => {
            log::warn(&format!("the device says about {variable}: {error}"));
            None
        }
    }
}

fn write_tuner(families: &mut Families, tuner: &str, debug: &Debug) {
    let labels = [("tuner", tuner)];
    if debug.channel.is_some() || debug.lock.is_some() {
        let label = |text: &Option<String>| text.clone().unwrap_or_default();
        families
            .gauge(
                "hdhomerun_tuner_info",
                "Metadata about each of the tuners available to a device.",
            )
            .sample(
                &[
                    ("tuner", tuner),
                    ("channel", &label(&debug.channel)),
                    ("lock", &label(&debug.lock)),
                ],
                1_u64,
            );
    }
    for family in CLASSIC.iter().chain(&FURTHER) {
        family.write(families, Some(tuner), debug);
    }
    if let Some(locked) = debug.is_locked() {
        families
            .gauge(
                "hdhomerun_tuner_locked",
                "Whether this tuner has a signal of a kind that it supports.",
            )
            .sample(&labels, u64::from(locked));
    }
    if let Some(in_use) = debug.is_in_use() {
        families
            .gauge(
                "hdhomerun_tuner_in_use",
                "Whether this tuner is set to a channel.",
            )
            .sample(&labels, u64::from(in_use));
    }
    families
        .gauge(
            "hdhomerun_tuner_skipped_tokens",
            "Parts of this tuner's debug text that this collector did not understand and left out.",
        )
        .sample(&labels, debug.skipped);
}

// === impl NumberFamily ===

impl NumberFamily {
    fn write(&self, families: &mut Families, tuner: Option<&str>, debug: &Debug) {
        for section in self.sections {
            let Some(number) = debug.number(*section, self.number) else {
                continue;
            };
            // A counter cannot be below zero; the gauge of 2018 shows it.
            if self.kind == Kind::Counter && number < 0 {
                continue;
            }
            let mut labels: Vec<(&str, &str)> =
                tuner.map(|tuner| ("tuner", tuner)).into_iter().collect();
            if self.sections.len() > 1 {
                labels.push(("stage", section.name()));
            }
            let mut family = families.family(self.kind, self.name, self.help);
            if self.divisor == 1.0 {
                family.sample(&labels, number);
            } else {
                family.sample(&labels, number as f64 / self.divisor);
            }
        }
    }
}
