//! What a plugin may reach and use: the operator's word about it, and holding it to that.
//!
//! `PluginPolicy` come from the sidecar beside the plugin's file; `files` and `endpoints` decide
//! about single paths and endpoints; `denials` is what is said about those that were not granted.
//! The imports themselves are the business of `plugin::imports`.

mod denials;
pub(super) mod endpoints;
pub(crate) mod files;
pub(super) mod foreign;
mod limits;
mod policy;
mod stuck;
mod waiting;

pub(super) use denials::{Denials, Interface};
pub(crate) use limits::Limits;
pub(crate) use policy::PluginPolicy;
pub(super) use stuck::{Question, STUCK};
pub(super) use waiting::Waiting;
pub(crate) use waiting::on_waiting_thread;
