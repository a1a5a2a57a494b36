//! Paddings of labels, where the key's type says them.

use crate::bpf::CType;
use crate::rows::PackedField;

/// Part of a sentence about labels that do not fill a key of this type: the paddings with which
/// they lie on its members. None: labels and members do not follow each other one by one.
pub(super) fn hint(labels: &[PackedField], key: Option<&CType>) -> Option<String> {
    let key = key?;
    let mut members = Vec::new();
    leaves(key, 0, &mut members);
    members.sort_unstable();
    if members.len() != labels.len() {
        return None;
    }
    let ends = members.iter().skip(1).map(|(offset, _)| *offset);
    let ends = ends.chain([key.size()]);
    let mut wrong = Vec::new();
    for ((label, (offset, size)), end) in labels.iter().zip(&members).zip(ends) {
        let padding = end.checked_sub(offset + size)?;
        if label.size != *size {
            return None;
        }
        if label.padding != padding {
            wrong.push(format!("`padding: {padding}` on `{}`", label.name));
        }
    }
    (!wrong.is_empty()).then(|| format!("; by the key's type it is {}", wrong.join(" and ")))
}

/// Offset and size of each member that has none itself.
fn leaves(ty: &CType, at: usize, found: &mut Vec<(usize, usize)>) {
    match ty {
        CType::Struct { members, .. } => {
            for member in members {
                leaves(&member.ty, at.saturating_add(member.offset), found);
            }
        }
        other => found.push((at, other.size())),
    }
}
