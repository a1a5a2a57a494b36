//! YAML as a tree that remembers where everything stood, typed fields of it, and the sentences
//! about what is wrong with them. Knows no unit: no key by name.

mod diagnostic;
mod duration;
pub(in crate::config) mod fields;
mod parse;
pub(in crate::config) mod scalar;
mod shown_path;
mod tree;

pub(crate) use diagnostic::{Diagnostic, Span, joined};
pub(in crate::config) use diagnostic::{Diagnostics, LineColumn};
pub(crate) use duration::parse_duration;
pub(in crate::config) use fields::{Fields, Schema};
pub(in crate::config) use parse::{MAX_BYTES, TOO_LARGE, parse};
pub(in crate::config) use scalar::Numeric;
pub(in crate::config) use tree::{Node, NodeValue, Scalar, shorten};
