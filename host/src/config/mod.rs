//! The YAML: schema, loading, validation.

mod model;
