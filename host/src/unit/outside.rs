//! For ../outside.

use super::prepare::lay_out;
use crate::bpf::OpenObject;
use crate::config::UnitConfig;
use crate::rows::Layout;

/// Of all metrics; none if there is something wrong with one, which has been said at its place.
pub(crate) fn layouts(config: &mut UnitConfig, object: &OpenObject) -> Vec<Layout> {
    lay_out(config, |map| {
        Ok((object.map(map)?, object.entry_types(map)))
    })
    .unwrap_or_default()
}
