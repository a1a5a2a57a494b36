//! What of a config does not fit its object, without a kernel.

use super::{OpenObject, OpenOptions, UnitError, fill, find_metrics};
use crate::config::{Diagnostic, Span, UnitConfig};
use crate::rows::MetricSpec;

/// What a look at a unit's object has shown.
#[derive(Default)]
pub(crate) struct ObjectCheck {
    /// Keeps the unit from running.
    pub(crate) fatal: Vec<Diagnostic>,
    /// Costs a metric or a program each.
    pub(crate) left_out: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
    /// Those that fit.
    pub(crate) metrics: Vec<MetricSpec>,
}

/// Looks into the object, where there is one. That there is none is an error if the YAML names it,
/// as `NAME.bpf.o` may be compiled somewhere else.
pub(crate) fn check(config: &UnitConfig) -> ObjectCheck {
    let mut checked = ObjectCheck::default();
    let Some(path) = config.object.as_ref() else {
        return checked;
    };
    let at = config.object_at.clone();
    if !path.exists() && at.is_none() {
        let message = format!(
            "there is no BPF object {} yet: only the YAML is checked",
            path.display()
        );
        let at = Span::whole(&config.file);
        checked.warnings.push(Diagnostic::warning(at, message));
        return checked;
    }
    let mut object = match OpenObject::open(path, &OpenOptions::default()) {
        Ok(object) => object,
        Err(error) => {
            let at = at.unwrap_or_else(|| Span::whole(&config.file));
            checked.fatal.push(Diagnostic::error(at, error.to_string()));
            return checked;
        }
    };
    for remark in object.remarks() {
        let at = at.clone().unwrap_or_else(|| Span::whole(&config.file));
        checked.warnings.push(Diagnostic::warning(at, remark));
    }
    let resolved = find_metrics(config, |map| {
        Ok((object.map(map)?, object.entry_types(map)))
    });
    checked.metrics = resolved.metrics;
    checked.left_out = resolved.left_out;
    checked.fatal.extend(resolved.fatal);
    if let Err(UnitError::Config(found)) = fill(config, &mut object) {
        checked.fatal.extend(found);
    }
    for (program, why) in object.unattachable() {
        let at = at.clone().unwrap_or_else(|| Span::whole(&config.file));
        let message = format!("the program {program} cannot be attached: {why}");
        checked.left_out.push(Diagnostic::error(at, message));
    }
    checked
}
