//! A path as text for people, on its way through serde: what is not UTF-8 becomes U+FFFD.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer>(
    path: &Arc<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(Arc::new(PathBuf::from(text)))
}
