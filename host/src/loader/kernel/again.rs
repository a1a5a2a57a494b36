//! What is done to units unasked: failures are tried again, programs follow the machine.

use std::time::Instant;

use super::Kernel;
use crate::loader::units::{Desired, What};

impl Kernel {
    /// Tries again what is due.
    pub(super) fn try_again(&mut self) {
        for name in self.units.due(Instant::now()) {
            let Some(mut unit) = self.units.enter_known(&name) else {
                continue;
            };
            let Some((retry, config, object)) = unit.take_retry() else {
                continue;
            };
            match retry.what {
                What::Programs => {
                    for program in unit.attach_missing(retry) {
                        tracing::info!(config = name, program, "program attached at last");
                    }
                }
                What::Version => {
                    let Some(config) = config.filter(|_| unit.diagnostic().is_some()) else {
                        continue;
                    };
                    let desired = Desired::of(&config);
                    // With another object it is for a reload, which somebody asks or watches for.
                    if desired.fingerprint.object != object {
                        continue;
                    }
                    unit.count_restart();
                    drop(unit);
                    let step = self.plan_unit(&name, &desired);
                    // The log and the status say what came of it.
                    let _ = self.act(&step, config, object, Some(retry));
                }
            }
        }
    }

    /// CPUs or interfaces have come or gone.
    pub(super) fn follow_machine(&mut self) {
        for name in self.units.names() {
            let Some(mut unit) = self.units.enter_known(&name) else {
                continue;
            };
            let kernel = unit
                .serving_mut()
                .and_then(|version| version.kernel.as_mut());
            let Some(kernel) = kernel else { continue };
            for (program, why) in kernel.follow_machine() {
                tracing::warn!(
                    config = name,
                    program,
                    "program not attached to what has come: {why}"
                );
            }
            let added = kernel.follow_cpus();
            unit.attach_later();
            drop(unit);
            for (map, metric, cpu, buffer) in added {
                self.link.perf_buffer(&name, &map, &metric, cpu, buffer);
            }
        }
    }
}
