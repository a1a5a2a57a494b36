//! Labels that leave something to the types that the object's BTF gives the keys: where a field is,
//! its size, its decoders.

use serde_json::{Map, Value, json};

use super::Misfits;
use crate::bpf::{CType, IntType, MapInfo};
use crate::config::{LabelConfig, MetricConfig, PluginUse};
use crate::rows::{LabelSpec, MemberField, PackedField, is_cpu};

/// The labels of a metric, and where they lie.
pub(super) struct Labels {
    pub(super) specs: Vec<LabelSpec>,
    pub(super) fields: KeyFields,
}

/// Where labels lie in a key.
pub(super) enum KeyFields {
    /// They follow each other.
    Packed(Vec<PackedField>),
    /// Each where its member is.
    Members(Vec<MemberField>),
}

/// A label with everything filled in.
struct Resolved {
    spec: LabelSpec,
    field: MemberField,
    size: usize,
}

/// `key`: the keys' type, as far as the object says it. Members without a label are fine: their
/// rows are added up.
pub(super) fn resolve(
    metric: &MetricConfig,
    map: &MapInfo,
    key: Option<&CType>,
) -> Result<Labels, Misfits> {
    let spelled_out = metric.labels.iter().map(spelled_out);
    if let Some(labels) = spelled_out.collect::<Option<Vec<_>>>() {
        let (specs, fields) = labels.into_iter().unzip();
        let fields = KeyFields::Packed(fields);
        return Ok(Labels { specs, fields });
    }
    let mut resolved = Vec::with_capacity(metric.labels.len());
    let mut misfits = Vec::new();
    let fields = metric.labels.iter().filter(|label| {
        let known = key.is_some_and(|key| key.member(&label.name).is_ok());
        !is_cpu_of(label, map, known)
    });
    let only = fields.count() == 1;
    for label in &metric.labels {
        match resolve_label(label, map, key, only) {
            Ok(label) => resolved.push(label),
            Err(message) => misfits.push((label.at.clone(), message)),
        }
    }
    if !misfits.is_empty() {
        return Err(misfits);
    }
    let all_cpu = resolved.iter().all(|one| one.field == MemberField::Cpu);
    let fields = if all_cpu {
        let labels = resolved.iter().zip(&metric.labels);
        let packed_field = |(one, label): (&Resolved, &LabelConfig)| packed_field(label, one.size);
        KeyFields::Packed(labels.map(packed_field).collect())
    } else {
        KeyFields::Members(resolved.iter().map(|one| one.field.clone()).collect())
    };
    let specs = resolved.into_iter().map(|one| one.spec).collect();
    Ok(Labels { specs, fields })
}

/// None: it leaves something to the type of the key.
fn spelled_out(label: &LabelConfig) -> Option<(LabelSpec, PackedField)> {
    let (size, decoders) = label.spelled_out()?;
    Some((spec(label, decoders.to_vec()), packed_field(label, size)))
}

fn spec(label: &LabelConfig, decoders: Vec<PluginUse>) -> LabelSpec {
    LabelSpec {
        name: label.name.clone(),
        decoders,
    }
}

fn packed_field(label: &LabelConfig, size: usize) -> PackedField {
    PackedField {
        name: label.name.clone(),
        size,
        padding: label.padding,
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
) -> Result<Resolved, String> {
    let (name, map_name) = (&label.name, &map.name);
    let Some(key) = key else {
        return Err(format!(
            "the label `{name}` needs a `size` and `decoders`: the object does not say of which type the keys of map `{map_name}` are (that takes \
             `__type(key, …)` and -g)"
        ));
    };
    let path = label.member.as_deref().unwrap_or(name);
    if is_cpu_of(label, map, key.member(path).is_ok()) {
        let uint = || vec![decoder(label, "uint", Value::Object(Map::new()))];
        return Ok(Resolved {
            spec: spec(label, label.decoders.clone().unwrap_or_else(uint)),
            field: MemberField::Cpu,
            size: label.size.unwrap_or(size_of::<u16>()),
        });
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
    if let Some(declared) = label.size.filter(|declared| *declared != size) {
        return Err(format!(
            "the label `{name}` has {size} bytes in the key of map `{map_name}`, its `size` is {declared}: leave it out"
        ));
    }
    let by_type = || decoders(label, ty);
    let decoders = label.decoders.clone().or_else(by_type).ok_or_else(|| {
        format!(
            "the label `{name}` needs `decoders`: it is {}, which can mean anything",
            ty.describe()
        )
    })?;
    Ok(Resolved {
        spec: spec(label, decoders),
        field: MemberField::Key(offset..offset + size),
        size,
    })
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
