//! `programs`: which of an object's programs a unit has, and which it cannot do without.

use crate::config::yaml::{Diagnostics, Fields, LineColumn, Node, Schema, Span, shorten};
use crate::near;

pub(super) const PROGRAM: Schema = Schema {
    what: "a program",
    known: &["enabled"],
    later: &[],
};

const CHOICES: [&str; 3] = ["auto", "required", "never"];

/// What is wanted of a program of the object.
#[derive(Debug, Clone)]
pub(crate) struct ProgramConfig {
    /// The function's.
    pub(crate) name: String,
    pub(crate) enabled: Enabled,
    pub(crate) at: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Enabled {
    /// As the object has it; where it cannot be attached, the unit goes on without it.
    Auto,
    /// Without it there is no unit. Also where the object has it turned off.
    Required,
    /// Not even loaded.
    Never,
}

/// In the order of the file.
pub(super) fn read(unit: &Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<ProgramConfig> {
    unit.named(
        "programs",
        ("a BPF program", "program names"),
        "{NAME: {enabled: never}}",
        diagnostics,
        |key, node, diagnostics| read_program(key.scalar.raw_text(), key.at, node, diagnostics),
    )
}

fn read_program(
    name: &str,
    at: LineColumn,
    node: &Node,
    diagnostics: &mut Diagnostics,
) -> Option<ProgramConfig> {
    let fields = Fields::of(node, &PROGRAM, diagnostics)?;
    let enabled = match fields.get("enabled") {
        None => Enabled::Auto,
        Some(node) => match fields.text("enabled", diagnostics)? {
            "auto" => Enabled::Auto,
            "required" => Enabled::Required,
            "never" => Enabled::Never,
            other => {
                diagnostics.error(
                    node.at,
                    format!(
                        "unknown `enabled` of the program `{}`: `{}`{}",
                        shorten(name),
                        shorten(other),
                        near::suggestion(other, &CHOICES)
                    ),
                );
                return None;
            }
        },
    };
    Some(ProgramConfig {
        name: name.to_owned(),
        enabled,
        at: diagnostics.position(at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::COUNTER;
    use crate::config::testing::diagnostics;
    use crate::config::testing::good;

    #[test]
    fn programs_are_read() {
        let unit = good(&format!(
            "programs: {{a: {{enabled: never}}, b: {{enabled: required}}, c: {{enabled: auto}}, d: {{}}}}\n{COUNTER}"
        ));
        let programs: Vec<_> = unit
            .programs
            .iter()
            .map(|program| (program.name.as_str(), program.enabled))
            .collect();
        assert_eq!(
            programs,
            [
                ("a", Enabled::Never),
                ("b", Enabled::Required),
                ("c", Enabled::Auto),
                ("d", Enabled::Auto)
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said_where_it_stands() {
        assert_eq!(
            diagnostics(&format!(
                "programs:\n  a: {{enabled: require}}\n  b: {{enabled: false}}\n  c: never\n  d: {{enable: never}}\n{COUNTER}"
            )),
            ":2:16: error: unknown `enabled` of the program `a`: `require`, did you mean `required`?\n\
             :3:16: error: unknown `enabled` of the program `b`: `false`: expected `auto`, `required` or `never`\n\
             :4:6: error: expected a program as a mapping of keys, found `never`\n\
             :5:7: warning: unknown key `enable` in a program, did you mean `enabled`?"
        );
        assert!(
            diagnostics(&format!("programs: [a]\n{COUNTER}"))
                .contains("`programs: {NAME: {enabled: never}}`")
        );
    }
}
