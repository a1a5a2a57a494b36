//! The text of `/tunerN/debug`, in the shapes that it has had since 2009: lines of a section's name
//! and pairs.
//!
//! ```text
//! tun: ch=qam:33 lock=qam256 ss=83(-10dBmV) snq=90(29dB) seq=100 dbg=22081-6930
//! dev: bps=38810720 resync=0 overflow=0
//! cc:  bps=38810720 resync=0 overflow=0          CableCARD models
//! ts:  bps=38809216 ut=94 te=0 miss=0 crc=0      ut and miss: old firmware
//! flt: bps=38809216                              old firmware
//! net: bps=9367360 pps=802 err=0 stop=0
//! ```
//!
//! A line without a section is that of `/tunerN/status`: `ch= lock= ss= snq= seq= bps= pps=`.
//! Nothing here fails: a token that cannot be understood is counted, and the others are read.

use std::collections::BTreeMap;

/// The stages that a signal goes through: each has a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    /// The tuner itself.
    Tuner,
    /// What the demodulator gives to the device.
    Device,
    CableCard,
    TransportStream,
    /// What passes the filter.
    Filter,
    Network,
}

/// What a debug text says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Debug {
    /// `none`, or as the device writes it: `8vsb:575000000`, `atsc3:33:0+16`.
    pub(crate) channel: Option<String>,
    /// `none`, a modulation, or a text in parentheses: a signal of a kind that the tuner does not
    /// support.
    pub(crate) lock: Option<String>,
    numbers: BTreeMap<(Section, &'static str), i64>,
    has_cable_card: bool,
    /// Tokens that were not understood.
    pub(crate) skipped: u64,
}

/// Which line a pair is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// That of a section; None: one that is not known.
    Of(Option<Section>),
    /// One without a section.
    Status,
}

/// What a known name's value is.
enum Known {
    Channel,
    Lock,
    Number(Section, &'static str),
    /// Free text for the maker.
    Opaque,
}

// === impl Section ===

impl Section {
    const ALL: [(&'static str, Self, &'static [&'static str]); 6] = [
        ("tun", Self::Tuner, &["ss", "snq", "seq"]),
        ("dev", Self::Device, &["bps", "resync", "overflow"]),
        ("cc", Self::CableCard, &["bps", "resync", "overflow"]),
        (
            "ts",
            Self::TransportStream,
            &["bps", "ut", "te", "miss", "crc"],
        ),
        ("flt", Self::Filter, &["bps"]),
        ("net", Self::Network, &["bps", "pps", "err", "stop"]),
    ];

    /// As the text has it.
    pub(crate) fn name(self) -> &'static str {
        let known = Self::ALL.iter().find(|(_, section, _)| *section == self);
        known.map_or("", |(name, ..)| name)
    }

    fn named(name: &str) -> Option<Self> {
        let known = Self::ALL.iter().find(|(known, ..)| *known == name);
        known.map(|(_, section, _)| *section)
    }

    fn number(self, name: &str) -> Option<Known> {
        let (.., names) = Self::ALL.iter().find(|(_, section, _)| *section == self)?;
        let name = names.iter().find(|known| **known == name)?;
        Some(Known::Number(self, name))
    }
}

// === impl Debug ===

impl Debug {
    pub(crate) fn parse(text: &str) -> Self {
        let mut debug = Self::default();
        for line in text.split(['\n', '\0']) {
            debug.line(line.trim_matches(|c: char| c.is_ascii_whitespace()));
        }
        debug
    }

    /// The number called `name` in this section's line, as the device counts it; None if it isn't
    /// there or no number.
    pub(crate) fn number(&self, section: Section, name: &'static str) -> Option<i64> {
        self.numbers.get(&(section, name)).copied()
    }

    /// Whether there was a line of the CableCARD.
    pub(crate) fn has_cable_card(&self) -> bool {
        self.has_cable_card
    }

    /// Whether the tuner has a signal that it can use; None if it did not say.
    pub(crate) fn is_locked(&self) -> Option<bool> {
        let lock = self.lock.as_deref()?;
        Some(lock != "none" && !lock.starts_with('('))
    }

    /// Whether somebody has tuned it to a channel; None if it did not say.
    pub(crate) fn is_in_use(&self) -> Option<bool> {
        self.channel.as_deref().map(|channel| channel != "none")
    }

    fn line(&mut self, line: &str) {
        // The blank after a section's colon may be missing.
        let section = line.split_once(':').filter(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        let (line, pairs) = match section {
            Some((name, pairs)) => (Line::Of(Section::named(name)), pairs),
            None => (Line::Status, line),
        };
        self.has_cable_card |= line == Line::Of(Some(Section::CableCard));
        for token in pairs.split_ascii_whitespace() {
            if self.token(token, line).is_none() {
                self.skipped += 1;
            }
        }
    }

    /// None if it is not understood.
    fn token(&mut self, token: &str, line: Line) -> Option<()> {
        let (name, value) = token.split_once('=')?;
        if value.contains('=') {
            return None;
        }
        match line.known(name)? {
            Known::Channel => self.channel = Some(value.to_owned()),
            Known::Lock => self.lock = Some(value.to_owned()),
            Known::Number(section, name) => {
                let number = number(section, value)?;
                self.numbers.insert((section, name), number);
            }
            Known::Opaque => {}
        }
        Some(())
    }
}

// === impl Line ===

impl Line {
    /// What a name means in this line; None: nothing that is known.
    fn known(self, name: &str) -> Option<Known> {
        match (self, name) {
            // libhdhomerun calls bps the raw rate of what is received, pps what goes out.
            (Self::Status, "bps") => Section::Device.number(name),
            (Self::Status, "pps") => Section::Network.number(name),
            (Self::Status | Self::Of(Some(Section::Tuner)), "ch") => Some(Known::Channel),
            (Self::Status | Self::Of(Some(Section::Tuner)), "lock") => Some(Known::Lock),
            (Self::Status | Self::Of(Some(Section::Tuner)), "dbg") => Some(Known::Opaque),
            (Self::Status, name) => Section::Tuner.number(name),
            (Self::Of(section), name) => section?.number(name),
        }
    }
}

/// TECH models say after a percentage what it stands for: `83(-10dBmV)`.
fn number(section: Section, value: &str) -> Option<i64> {
    let digits = match value.split_once('(') {
        Some((digits, rest)) if section == Section::Tuner && rest.ends_with(')') => digits,
        _ => value,
    };
    digits.parse().ok()
}

#[cfg(test)]
mod tests;
