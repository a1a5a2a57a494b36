//! What a plugin offers, as it says itself.

use super::component::{Offered, Offers, Plugin};
use super::error::LoadError;
use super::instance::Instance;

/// The names of what a plugin offers.
#[derive(Debug, Default, Clone)]
pub(super) struct Catalogue {
    pub(super) decoders: Vec<String>,
    pub(super) shapers: Vec<String>,
    pub(super) collectors: Vec<String>,
}

impl Plugin {
    /// Asks the component what it offers. Runs its code.
    pub(super) fn catalogue(&self) -> Result<Catalogue, LoadError> {
        let offers = self.offers()?;
        let names = |offered: Vec<Offered>| offered.into_iter().map(|one| one.name).collect();
        Ok(Catalogue {
            decoders: names(offers.decoders),
            shapers: names(offers.shapers),
            collectors: names(offers.collectors),
        })
    }

    /// As `catalogue`, with what the component says about each.
    pub(super) fn offers(&self) -> Result<Offers, LoadError> {
        let mut instance = Instance::new(self).map_err(LoadError::Catalogue)?;
        let offers = instance.offers().map_err(LoadError::Catalogue)?;
        let bad = offers.all().find(|offered| !is_name(&offered.name));
        match bad {
            Some(bad) => Err(LoadError::BadName(bad.name.clone())),
            None => Ok(offers),
        }
    }
}

/// Letters, digits, `_` and `-`: a `/` separates the plugin's name.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
