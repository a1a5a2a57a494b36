//! Values of global variables, as bytes of the types that the object's BTF gives them.

use super::error::quoted;
use crate::bpf::types::{CType, IntType, Variable};
use crate::near::nearest;
use crate::object_input::{GlobalScalar, GlobalValue};

/// Why a global variable cannot have a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GlobalError {
    /// It is about the variable.
    Variable(String),
    /// It is about the value.
    Value(String),
}

/// `value` as it lies in memory, less zeros behind it. `size`: the variable's, in bytes, as a
/// symbol says: it may be anything.
pub(super) fn encode(
    name: &str,
    variable: &Variable,
    size: usize,
    value: &GlobalValue,
) -> Result<Vec<u8>, GlobalError> {
    if variable.folded {
        return Err(GlobalError::Variable(format!(
            "the global variable `{name}` is `const` without `volatile`, so its value is in the program's code: declare it `const volatile`"
        )));
    }
    let bytes = match (&*variable.ty, value) {
        (CType::Array { of, count }, value) => {
            let wrong = |expected: String| {
                GlobalError::Value(format!(
                    "expected {expected} for the global variable `{name}`, found {}",
                    value.describe()
                ))
            };
            match (&**of, value) {
                (CType::Int(int), GlobalValue::One(text)) if int.size == 1 && !int.boolean => {
                    let bytes = text.text.as_bytes();
                    if bytes.len() >= *count {
                        return Err(wrong(format!(
                            "a text of at most {} bytes",
                            count.saturating_sub(1)
                        )));
                    }
                    bytes.to_vec()
                }
                (
                    CType::Int(_) | CType::Float { .. } | CType::Enum { .. },
                    GlobalValue::List(items),
                ) => {
                    if items.len() > *count {
                        return Err(wrong(format!("a list of at most {count}")));
                    }
                    let items = items.iter().map(|item| scalar(name, of, item));
                    items.collect::<Result<Vec<_>, _>>()?.concat()
                }
                (CType::Int(_) | CType::Float { .. } | CType::Enum { .. }, GlobalValue::One(_)) => {
                    return Err(wrong(format!("a list of at most {count}")));
                }
                _ => return Err(no_value(name)),
            }
        }
        (CType::Int(_) | CType::Float { .. } | CType::Enum { .. }, GlobalValue::List(_)) => {
            return Err(GlobalError::Value(format!(
                "expected one value for the global variable `{name}`, found {}",
                value.describe()
            )));
        }
        (ty, GlobalValue::One(value)) => scalar(name, ty, value)?,
        _ => return Err(no_value(name)),
    };
    if bytes.len() > size {
        return Err(GlobalError::Variable(format!(
            "the global variable `{name}` has {size} bytes by the object's symbols, but {} by its types: compile it again",
            bytes.len()
        )));
    }
    Ok(bytes)
}

fn no_value(name: &str) -> GlobalError {
    GlobalError::Variable(format!(
        "the global variable `{name}` cannot have a value here: expected an integer, a float, an enum, a text or an array of them"
    ))
}

fn scalar(name: &str, ty: &CType, value: &GlobalScalar) -> Result<Vec<u8>, GlobalError> {
    let wrong = |expected: String, hint: &str| {
        let shown: String = value.text.chars().take(64).collect();
        GlobalError::Value(format!(
            "expected {expected} for the global variable `{name}`, found `{shown}`{hint}"
        ))
    };
    match ty {
        CType::Int(int) if int.boolean => {
            let zero_or_one = value
                .integer
                .filter(|number| (0..=1).contains(number))
                .map(|number| number == 1);
            match value.boolean.or(zero_or_one) {
                Some(boolean) => integer(i128::from(boolean), *int),
                None => Err(wrong("`true` or `false`".to_owned(), "")),
            }
        }
        CType::Int(int) => {
            let (min, max) = range(*int);
            match value.integer {
                Some(number) if (min..=max).contains(&number) => integer(number, *int),
                _ => Err(wrong(format!("an integer from {min} to {max}"), "")),
            }
        }
        CType::Enum { int, values } => {
            let named = values.iter().find(|(name, _)| *name == value.text);
            let known = |number: &i128| values.iter().any(|(_, value)| value == number);
            if let Some(number) = named
                .map(|(_, number)| *number)
                .or(value.integer.filter(known))
            {
                return integer(number, *int);
            }
            let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
            match nearest(&value.text, names.iter().copied()) {
                Some(near) => Err(wrong(
                    "a name of its enum".to_owned(),
                    &format!(", did you mean `{near}`?"),
                )),
                None => Err(wrong(format!("one of {}", quoted(&names)), "")),
            }
        }
        CType::Float { size } => match (value.float, size) {
            (Some(number), 8) => Ok(number.to_ne_bytes().to_vec()),
            (Some(number), 4)
                if number.is_infinite() || (number as f32).is_finite() || number.is_nan() =>
            {
                Ok((number as f32).to_ne_bytes().to_vec())
            }
            (Some(_), 4) => Err(wrong(
                format!("a number from -{0:e} to {0:e}", f32::MAX),
                "",
            )),
            (None, 4 | 8) => Err(wrong("a number".to_owned(), "")),
            _ => Err(no_value(name)),
        },
        CType::Array { .. } | CType::Struct { .. } | CType::Other { .. } => Err(no_value(name)),
    }
}

/// The least and the greatest value of a type.
fn range(int: IntType) -> (i128, i128) {
    // 64 bits at most: see `integer`.
    let bits = (int.size * 8).clamp(1, 64) as u32;
    if int.signed {
        (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
    } else {
        (0, (1_i128 << bits) - 1)
    }
}

fn integer(number: i128, int: IntType) -> Result<Vec<u8>, GlobalError> {
    // Integers of other sizes, up to 16 bytes, are sign-extended.
    let bytes = number.to_ne_bytes();
    let cut = if cfg!(target_endian = "big") {
        bytes.get(bytes.len().saturating_sub(int.size)..)
    } else {
        bytes.get(..int.size)
    };
    cut.map(<[u8]>::to_vec).ok_or_else(|| {
        GlobalError::Variable(format!("an integer of {} bytes is not supported", int.size))
    })
}
