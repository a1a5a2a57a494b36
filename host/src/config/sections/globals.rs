//! `globals`: values for an object's global variables. Of which type each is says the object.

use crate::config::yaml::{
    Diagnostics, Fields, Node, NodeValue, Numeric, Scalar, Span, scalar, shorten,
};
use crate::object_input::{GlobalScalar, GlobalValue};

/// A value for a global variable.
#[derive(Debug, Clone)]
pub(crate) struct GlobalConfig {
    pub(crate) name: String,
    pub(crate) value: GlobalValue,
    pub(crate) at: Span,
    pub(crate) value_at: Span,
}

/// In the order of the file.
pub(super) fn read(unit: &Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<GlobalConfig> {
    unit.named(
        "globals",
        ("a global variable", "global variables"),
        "{targ_min_us: 100}",
        diagnostics,
        |key, node, diagnostics| {
            let name = key.scalar.raw_text();
            Some(GlobalConfig {
                name: name.to_owned(),
                value: read_value(name, node, diagnostics)?,
                at: diagnostics.position(key.at),
                value_at: diagnostics.position(node.at),
            })
        },
    )
}

fn read_value(name: &str, node: &Node, diagnostics: &mut Diagnostics) -> Option<GlobalValue> {
    match &node.value {
        NodeValue::Scalar(scalar) if !scalar.is_null() => {
            Some(GlobalValue::One(read_scalar(scalar)))
        }
        NodeValue::List(items) => {
            let mut list = Vec::with_capacity(items.len());
            for item in items {
                match &item.value {
                    NodeValue::Scalar(scalar) if !scalar.is_null() => {
                        list.push(read_scalar(scalar));
                    }
                    _ => {
                        diagnostics.error(
                            item.at,
                            format!(
                                "expected a number in the list for the global variable `{}`, found {}",
                                shorten(name),
                                item.describe()
                            ),
                        );
                        return None;
                    }
                }
            }
            Some(GlobalValue::List(list))
        }
        _ => {
            diagnostics.error(
                node.at,
                format!(
                    "expected a number, a text or a list for the global variable `{}`, found {}",
                    shorten(name),
                    node.describe()
                ),
            );
            None
        }
    }
}

fn read_scalar(scalar: &Scalar) -> GlobalScalar {
    let number = if scalar.plain {
        scalar::numeric(&scalar.text)
    } else {
        None
    };
    let boolean = if scalar.plain {
        scalar::boolean(&scalar.text)
    } else {
        None
    };
    let (integer, float) = match number {
        Some(Numeric::Integer(value)) => (Some(value), Some(value as f64)),
        Some(Numeric::Float(value)) => (None, Some(value)),
        None => (None, None),
    };
    GlobalScalar {
        text: scalar.text.clone(),
        integer,
        float,
        boolean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::COUNTER;
    use crate::config::testing::diagnostics;
    use crate::config::testing::good;

    #[test]
    fn values_are_kept_as_they_can_be_read() {
        let unit = good(&format!(
            "globals:\n  limit: 0x10\n  name: \"12\"\n  on: yes\n  rate: 1.5\n  list: [1, -2]\n{COUNTER}"
        ));
        let value = |index: usize| match &unit.globals[index].value {
            GlobalValue::One(scalar) => (scalar.integer, scalar.float, scalar.boolean),
            GlobalValue::List(list) => panic!("{list:?}"),
        };
        assert_eq!(value(0), (Some(16), Some(16.0), None));
        // In quotes it is a text.
        assert_eq!(value(1), (None, None, None));
        assert_eq!(value(2), (None, None, Some(true)));
        assert_eq!(value(3), (None, Some(1.5), None));
        assert!(matches!(&unit.globals[4].value, GlobalValue::List(list) if list.len() == 2));
        let global = &unit.globals[0];
        assert_eq!(
            (global.name.as_str(), global.at.line, global.value_at.column),
            ("limit", 2, 10)
        );
    }

    #[test]
    fn what_is_no_value_is_said_where_it_stands() {
        assert_eq!(
            diagnostics(&format!(
                "globals:\n  a:\n  b: {{x: 1}}\n  c: [1, []]\n  '': 1\n{COUNTER}"
            )),
            ":2:4: error: expected a number, a text or a list for the global variable `a`, found nothing\n\
             :3:6: error: expected a number, a text or a list for the global variable `b`, found a mapping\n\
             :4:10: error: expected a number in the list for the global variable `c`, found a list\n\
             :5:3: error: expected the name of a global variable in `globals`, found nothing"
        );
        assert!(
            diagnostics(&format!("globals: [a]\n{COUNTER}"))
                .contains("`globals: {targ_min_us: 100}`")
        );
    }
}
