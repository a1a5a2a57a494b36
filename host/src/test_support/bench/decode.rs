//! Calls of the standard plugin's decoders.

use std::sync::Arc;

use anyhow::{Context, anyhow};

use crate::kernel::KernelFacts;
use crate::plugin::{Cells, DecoderId, Engine, Offer, Registry, Session};

/// The embedded standard plugin, compiled.
pub struct Standard(Registry);

impl Standard {
    pub fn load() -> anyhow::Result<Self> {
        let engine = Engine::new()?;
        let facts = Arc::new(KernelFacts::open());
        Ok(Self(Registry::new(&engine, &facts)?))
    }

    pub(super) fn session(&self) -> anyhow::Result<Session> {
        // Any of its decoders leads to the plugin.
        let found = self.0.find(Offer::Decoder, "uint");
        let (plugin, _) = found.context("the standard plugin has no decoders")?;
        Ok(self.0.session(plugin))
    }
}

/// A decoder and a batch of cells for it.
pub struct Decoding {
    session: Session,
    decoder: DecoderId,
    cells: Cells,
}

impl Decoding {
    /// `options` is JSON.
    pub fn new(
        standard: &Standard,
        decoder: &str,
        options: &str,
        cells: &[Vec<u8>],
    ) -> anyhow::Result<Self> {
        let mut session = standard.session()?;
        let opened = session.open_decoder(decoder, options);
        let decoder = opened.map_err(|error| anyhow!("{error}"))?;
        Ok(Self {
            session,
            decoder,
            cells: cells.iter().map(Vec::as_slice).collect(),
        })
    }

    /// Decodes the batch in one call. Gives the bytes of the labels.
    pub fn decode(&mut self) -> anyhow::Result<usize> {
        let decoded = self.session.decode(self.decoder, &self.cells)?;
        Ok(decoded.cells.bytes().len())
    }
}
