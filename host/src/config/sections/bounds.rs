//! How many series a metric may have and how long they are shown: `max_series` and `expire`.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::yaml::{Diagnostics, Fields};

/// The fields, for schemas.
pub(super) const MAX_SERIES: &str = "max_series";
pub(super) const EXPIRE: &str = "expire";

/// Bounds of each of a metric's families; by default there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct SeriesBounds {
    /// Keys that would make more series are added up in one whose labels are all `other`.
    pub(crate) max_series: Option<NonZeroUsize>,
    /// A series whose value has not changed for so long is left out.
    pub(crate) expire: Option<Duration>,
}

/// What is wrong is said, and is as if it were not there.
pub(super) fn read(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> SeriesBounds {
    SeriesBounds {
        max_series: read_max_series(fields, diagnostics),
        expire: read_expire(fields, diagnostics),
    }
}

fn read_max_series(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<NonZeroUsize> {
    let node = fields.get(MAX_SERIES)?;
    let number = fields.integer(MAX_SERIES, diagnostics)?;
    let bound = usize::try_from(number).ok().and_then(NonZeroUsize::new);
    if bound.is_none() {
        diagnostics.error(
            node.at,
            format!("expected a number of series from 1 on for `{MAX_SERIES}`, found {number}"),
        );
    }
    bound
}

fn read_expire(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Duration> {
    let expire = fields.duration(EXPIRE, diagnostics)?;
    if expire.is_zero() {
        let at = fields.get(EXPIRE).map_or(fields.at, |node| node.at);
        diagnostics.error(
            at,
            format!(
                "expected a duration such as `10m` for `{EXPIRE}`, found 0: leave it out for series that stay"
            ),
        );
        return None;
    }
    Some(expire)
}
