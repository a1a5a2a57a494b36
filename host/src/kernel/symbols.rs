//! Kernel symbols: when the table is read, and answering from it. The file's format is in
//! `kallsyms`.
//!
//! The handle is opened at start, with the privilege of the start. The table (about 5 MB) is built
//! when somebody first asks. A full read takes the kernel about 80 ms, so an address without a
//! certain answer buys at most one re-read per scrape, and an address for which a re-read brought
//! nothing buys none for a minute.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::{debug, warn};

use super::allowance::{OncePerScrape, Scrape};
use super::kallsyms::{self, SymbolTable};

/// For so long an address that stayed doubtful after a re-read is taken as it is.
const DOUBT_RENEWED_AFTER: Duration = Duration::from_secs(60);
/// Doubtful addresses remembered; of more than these, none causes a re-read until the minute is
/// over.
const MAX_DOUBTS: usize = 4096;

/// The symbol an address lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Symbol {
    /// As in /proc/kallsyms: a symbol of a module carries a tab and the module's name in brackets.
    pub(crate) name: String,
    /// Distance from the symbol's start, 0 for an exact hit.
    pub(crate) offset: u64,
}

#[derive(Debug)]
pub(super) struct Symbols {
    source: Option<File>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    table: SymbolTable,
    read_at: Option<Instant>,
    allowance: OncePerScrape,
    /// Addresses that the present table, freshly read, gave no certain answer for.
    doubts: HashSet<u64>,
    warned: bool,
}

/// The kernel's list of symbols, as this process may see it.
pub(crate) fn open() -> Option<File> {
    let opened = File::open(kallsyms::PATH);
    opened
        .inspect_err(|error| {
            warn!(
                "cannot open {}: {error}; kernel addresses stay without names",
                kallsyms::PATH
            )
        })
        .ok()
}

// === impl Symbols ===

impl Symbols {
    pub(super) fn open() -> Self {
        Self::from_source(open())
    }

    pub(super) fn from_source(source: Option<File>) -> Self {
        Self {
            source,
            state: Mutex::default(),
        }
    }

    pub(super) fn symbols(
        &self,
        addresses: &[u64],
        scrape: Scrape,
        now: Instant,
    ) -> Vec<Option<Symbol>> {
        let mut state = self.state.lock();
        if let Some(source) = &self.source {
            state.refresh(source, addresses, scrape, now);
        }
        addresses
            .iter()
            .map(|address| {
                let nearest = state.table.nearest(*address)?;
                Some(Symbol {
                    name: nearest.name.to_owned(),
                    offset: nearest.offset,
                })
            })
            .collect()
    }

    /// The addresses of symbols by name, module suffix included. `Some(0)`: the kernel hides
    /// addresses from this process.
    pub(super) fn addresses_of(&self, names: &[&str]) -> io::Result<Vec<Option<u64>>> {
        let Some(source) = &self.source else {
            return Err(io::Error::other(format!(
                "{} could not be opened at start",
                kallsyms::PATH
            )));
        };
        // One handle, one position: the lock keeps two readers apart.
        let _state = self.state.lock();
        kallsyms::read_addresses(source, names)
    }
}

// === impl State ===

impl State {
    fn refresh(&mut self, source: &File, addresses: &[u64], scrape: Scrape, now: Instant) {
        let Some(read_at) = self.read_at else {
            self.read(source, scrape, now);
            self.note_doubts(addresses);
            return;
        };
        let mut doubtful = addresses
            .iter()
            .filter(|address| !self.table.is_settled(**address))
            .peekable();
        if doubtful.peek().is_none() || !self.allowance.available(scrape) {
            return;
        }
        let renewed = now.saturating_duration_since(read_at) >= DOUBT_RENEWED_AFTER;
        let full = self.doubts.len() >= MAX_DOUBTS;
        if renewed || (!full && doubtful.any(|address| !self.doubts.contains(address))) {
            if renewed {
                self.doubts.clear();
            }
            self.read(source, scrape, now);
            self.note_doubts(addresses);
        }
    }

    fn note_doubts(&mut self, addresses: &[u64]) {
        for address in addresses {
            if self.doubts.len() >= MAX_DOUBTS {
                return;
            }
            if !self.table.is_settled(*address) {
                self.doubts.insert(*address);
            }
        }
    }

    fn read(&mut self, source: &File, scrape: Scrape, now: Instant) {
        self.allowance.take(scrape);
        self.read_at = Some(now);
        match kallsyms::read_table(source) {
            Ok(table) => {
                debug!(symbols = table.len(), "read {}", kallsyms::PATH);
                if table.is_empty() {
                    self.complain(table.is_hidden());
                }
                self.table = table;
            }
            // The older table, if any, is still right about nearly everything.
            Err(error) => warn!(
                "cannot read {}: {error}; going on with the symbols read before",
                kallsyms::PATH
            ),
        }
    }

    fn complain(&mut self, hidden: bool) {
        if std::mem::replace(&mut self.warned, true) {
            return;
        }
        if hidden {
            warn!(
                "the kernel shows every address in {} as zero, so kernel symbols stay unknown: start the host with CAP_SYSLOG \
                 (it may be dropped afterwards) and with sysctl kernel.kptr_restrict below 2",
                kallsyms::PATH
            );
        } else {
            warn!(
                "{} lists no symbols, so kernel symbols stay unknown: the kernel needs CONFIG_KALLSYMS",
                kallsyms::PATH
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::time::{Duration, Instant};

    use super::{Symbol, Symbols};

    const IMAGE: &str = "1000 T start\n2000 T end\n";
    const MODULE: &str = "1000 T start\n2000 T end\n9000 t run\t[m]\n9100 t stop\t[m]\n";

    /// A source whose text can be replaced, as the kernel's can.
    struct Source(tempfile::NamedTempFile);

    impl Source {
        fn new(text: &str) -> Self {
            let source = Self(tempfile::NamedTempFile::new().unwrap());
            source.replace(text);
            source
        }

        fn replace(&self, text: &str) {
            let mut file = File::create(self.0.path()).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn symbols(&self) -> Symbols {
            Symbols::from_source(Some(File::open(self.0.path()).unwrap()))
        }
    }

    fn symbol(name: &str, offset: u64) -> Option<Symbol> {
        Some(Symbol {
            name: name.to_owned(),
            offset,
        })
    }

    #[test]
    fn a_doubtful_address_is_read_again_once_per_scrape() {
        let source = Source::new(IMAGE);
        let (symbols, now) = (source.symbols(), Instant::now());
        assert_eq!(symbols.symbols(&[0x1800], 0, now), [symbol("start", 0x800)]);
        source.replace(MODULE);
        // The first read was this scrape's.
        assert_eq!(symbols.symbols(&[0x9004], 0, now), [symbol("end", 0x7004)]);
        assert_eq!(symbols.symbols(&[0x9004], 1, now), [symbol("run\t[m]", 4)]);
    }

    #[test]
    fn settled_addresses_cause_no_reading() {
        let source = Source::new(MODULE);
        let (symbols, now) = (source.symbols(), Instant::now());
        symbols.symbols(&[0x1000], 0, now);
        source.replace("1000 T other\n2000 T end\n");
        let answers = symbols.symbols(&[0x1800, 0x9000, 0x9050], 1, now);
        assert_eq!(
            answers,
            [
                symbol("start", 0x800),
                symbol("run\t[m]", 0),
                symbol("run\t[m]", 0x50)
            ]
        );
    }

    #[test]
    fn an_address_that_stays_doubtful_is_left_alone_for_a_minute() {
        let source = Source::new(IMAGE);
        let (symbols, now) = (source.symbols(), Instant::now());
        symbols.symbols(&[0x9004], 0, now);
        source.replace(MODULE);
        assert_eq!(symbols.symbols(&[0x9004], 1, now), [symbol("end", 0x7004)]);
        let later = now + Duration::from_secs(60);
        assert_eq!(
            symbols.symbols(&[0x9004], 2, later),
            [symbol("run\t[m]", 4)]
        );
    }

    #[test]
    fn without_a_file_nothing_is_known() {
        let symbols = Symbols::from_source(None);
        assert_eq!(symbols.symbols(&[0x1000], 0, Instant::now()), [None]);
        assert!(symbols.addresses_of(&["start"]).is_err());
    }

    #[test]
    fn names_are_found_before_and_after_a_table_was_read() {
        let source = Source::new(MODULE);
        let symbols = source.symbols();
        assert_eq!(
            symbols.addresses_of(&["run\t[m]", "x"]).unwrap(),
            [Some(0x9000), None]
        );
        symbols.symbols(&[0x1000], 0, Instant::now());
        assert_eq!(symbols.addresses_of(&["end"]).unwrap(), [Some(0x2000)]);
    }
}
