//! The allowance by which expensive reading is limited: once per scrape and source, however many
//! questions go unanswered.

/// The number of a scrape, as handed out by `KernelFacts::begin_scrape`.
pub(super) type Scrape = u64;

/// One use per scrape.
#[derive(Debug, Default)]
pub(super) struct OncePerScrape {
    used_in: Option<Scrape>,
}

impl OncePerScrape {
    /// True for the first call in this scrape.
    pub(super) fn take(&mut self, scrape: Scrape) -> bool {
        let fresh = self.available(scrape);
        self.used_in = Some(scrape);
        fresh
    }

    pub(super) fn available(&self, scrape: Scrape) -> bool {
        self.used_in != Some(scrape)
    }
}

#[cfg(test)]
mod tests {
    use super::OncePerScrape;

    #[test]
    fn one_use_per_scrape() {
        let mut allowance = OncePerScrape::default();
        assert!(allowance.take(0));
        assert!(!allowance.take(0));
        assert!(allowance.take(1));
        assert!(!allowance.take(1));
    }
}
