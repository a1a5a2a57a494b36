//! The YAML: schema, loading, validation.

pub(crate) mod model;
