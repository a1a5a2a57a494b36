//! How many series a metric may have, how long they are shown, and what keys that are gone leave in
//! them: `max_series`, `expire`, and `departed`.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::yaml::{Diagnostics, Fields, shorten};

/// The fields, for schemas.
pub(super) const MAX_SERIES: &str = "max_series";
pub(super) const EXPIRE: &str = "expire";
pub(super) const DEPARTED: &str = "departed";

/// Bounds of each of a metric's families; by default there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct SeriesBounds {
    /// Keys that would make more series are added up in one whose labels are all `other`.
    pub(crate) max_series: Option<NonZeroUsize>,
    /// A series whose value has not changed for so long is left out.
    pub(crate) expire: Option<Duration>,
    /// None: series of several keys keep what keys that are gone had.
    pub(crate) departed: Option<Departed>,
}

/// What becomes of a removed key's numbers in sums over keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Departed {
    /// They stay, in each series.
    Keep,
    /// They are gone: the sum falls.
    Drop,
}

/// What is wrong is said, and is as if it were not there.
pub(super) fn read(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> SeriesBounds {
    SeriesBounds {
        max_series: read_max_series(fields, diagnostics),
        expire: read_expire(fields, diagnostics),
        departed: read_departed(fields, diagnostics),
    }
}

fn read_departed(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Departed> {
    let node = fields.get(DEPARTED)?;
    match fields.text(DEPARTED, diagnostics)? {
        "keep" => Some(Departed::Keep),
        "drop" => Some(Departed::Drop),
        other => {
            diagnostics.error(
                node.at,
                format!(
                    "expected `keep` or `drop` for `{DEPARTED}`, found `{}`",
                    shorten(other)
                ),
            );
            None
        }
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
