//! stub
mod family;
pub(crate) use family::*;
pub(crate) fn push_label(_a: &mut String, _b: &str, _c: &str) {}
