//! Labels that leave something to the types that the object's BTF gives the keys: where a field is, its size, its decoders.

use serde_json::{Map, Value, json};

use crate::bpf::{CType, IntType, MapInfo};
use crate::config::Span;
use crate::config::{LabelConfig, MetricConfig, PluginUse};
use crate::rows::is_cpu;

/// The labels with everything filled in, each at the place of its member. None: they say all by themselves, and follow each other. `Err`: what
/// does not fit, and where it stands.
///
/// Members without a label are fine: their rows are added up.
pub(super) fn resolve(
    metric: &MetricConfig,
    map: &MapInfo,
    key: Option<&CType>,
) -> Result<Option<Vec<LabelConfig>>, Vec<(Span, String)>> {
    if !metric.labels.iter().any(LabelConfig::is_by_type) {
        return Ok(None);
    }
    let mut labels = Vec::with_capacity(metric.labels.len());
    let mut diagnostics = Vec::new();
    let fields = metric.labels.iter().filter(|label| {
        let known = key.is_some_and(|key| key.member(&label.name).is_ok());
        !is_cpu_of(label, map, known)
    });
    let only = fields.count() == 1;
    for label in &metric.labels {
        match resolve_label(label, map, key, only) {
            Ok(label) => labels.push(label),
            Err(message) => diagnostics.push((label.at.clone(), message)),
        }
    }
    if diagnostics.is_empty() {
        Ok(Some(labels))
    } else {
        Err(diagnostics)
    }
}

/// A label that is the CPU's number, not a field of the key.
fn is_cpu_of(label: &LabelConfig, map: &MapInfo, member: bool) -> bool {
    map.is_per_cpu() && is_cpu(&label.name) && label.member.is_none() && !member
}

/// `only`: it is the key's only one.
fn resolve_label(
    label: &LabelConfig,
    map: &MapInfo,
    key: Option<&CType>,
    only: bool,
) -> Result<LabelConfig, String> {
    let (name, map_name) = (&label.name, &map.name);
    let Some(key) = key else {
        return Err(format!(
            "the label `{name}` needs a `size` and `decoders`: the object does not say of which type the keys of map `{map_name}` are (that takes \
             `__type(key, …)` and -g)"
        ));
    };
    let mut label = label.clone();
    let path = label.member.as_deref().unwrap_or(name);
    if is_cpu_of(&label, map, key.member(path).is_ok()) {
        if label.size == 0 {
            label.size = size_of::<u16>();
        }
        if label.decoders.is_empty() {
            label.decoders = vec![decoder(&label, "uint", Value::Object(Map::new()))];
        }
        return Ok(label);
    }
    let (offset, ty) = match key {
        CType::Struct { .. } => key
            .member(path)
            .map_err(|why| format!("the label `{name}`: the key of map `{map_name}` {why}"))?,
        key if only && label.member.is_none() => (0, key),
        key => {
            return Err(format!(
                "the label `{name}`: the key of map `{map_name}` is {}, without members: it makes one label, which needs no `member`",
                key.describe()
            ));
        }
    };
    let size = ty.size();
    if offset + size > map.key_size || size == 0 {
        return Err(format!(
            "the label `{name}` needs a `size` and `decoders`: its type in the key of map `{map_name}` is {}",
            ty.describe()
        ));
    }
    if label.size != 0 && label.size != size {
        return Err(format!(
            "the label `{name}` has {size} bytes in the key of map `{map_name}`, its `size` is {}: leave it out",
            label.size
        ));
    }
    (label.size, label.offset) = (size, Some(offset));
    if label.decoders.is_empty() {
        label.decoders = decoders(&label, ty).ok_or_else(|| {
            format!(
                "the label `{name}` needs `decoders`: it is {}, which can mean anything",
                ty.describe()
            )
        })?;
    }
    Ok(label)
}

/// What makes a text of a type.
fn decoders(label: &LabelConfig, ty: &CType) -> Option<Vec<PluginUse>> {
    let plain = |name: &str| decoder(label, name, Value::Object(Map::new()));
    let number = |int: &IntType| {
        let known = matches!(int.size, 1 | 2 | 4 | 8);
        known.then(|| plain(if int.signed { "int" } else { "uint" }))
    };
    match ty {
        CType::Int(int) => Some(vec![number(int)?]),
        CType::Enum { int, values } => {
            let mut names = Map::new();
            for (name, value) in values {
                let name = Value::String(name.clone());
                // Of several names of a value it is the first one.
                names.entry(value.to_string()).or_insert(name);
            }
            // A value without a name is its number.
            let options = json!({ "static_map": names, "allow_unknown": true });
            Some(vec![number(int)?, decoder(label, "static_map", options)])
        }
        CType::Array { of, .. } => match &**of {
            CType::Int(int) if int.character => Some(vec![plain("string")]),
            _ => None,
        },
        CType::Float { .. } | CType::Struct { .. } | CType::Other { .. } => None,
    }
}

fn decoder(label: &LabelConfig, name: &str, options: Value) -> PluginUse {
    PluginUse {
        name: name.to_owned(),
        options,
        at: label.at.clone(),
    }
}
