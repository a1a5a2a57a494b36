//! What happens to keys that are not known yet: plugins make label values of their fields and say
//! where their numbers go. It is done once for a key; `rows::key` remembers the answer.

mod ask;
mod batch;
mod column;
mod pipeline;
mod plugins;

pub(super) use batch::{Complaints, Outcome, Outcomes};
pub(super) use pipeline::{BATCH, Pipeline};
pub(crate) use plugins::{Label, Plugins, SessionId, Shaper, Step};
