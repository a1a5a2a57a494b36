//! IP prefixes, and finding the longest one that an address lies in.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use exporter_guest_sdk::Error;

/// An IPv4 or IPv6 prefix. IPv4 counts from the left too: its 32 bits are the highest of `bits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Prefix {
    v4: bool,
    length: u32,
    bits: u128,
}

/// Values by prefix.
#[derive(Debug)]
pub(crate) struct Table<T> {
    /// The lengths that there are, v4 or not: only those are tried.
    lengths: BTreeSet<(bool, u32)>,
    values: HashMap<Prefix, T>,
}

// === impl Prefix ===

impl Prefix {
    /// `10.0.0.0/8`, `2001:db8::/32`, or one address.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| {
            format!("`{text}` is no network: expected an address and a length, e.g. 10.0.0.0/8 or 2001:db8::/32")
        })?;
        let whole = Self::of(address);
        let length = match length {
            None => whole.length,
            Some(length) => length
                .parse()
                .ok()
                .filter(|length| *length <= whole.length)
                .ok_or_else(|| format!("`{text}`: expected a length from 0 to {}", whole.length))?,
        };
        let prefix = whole.cut(length);
        if prefix.bits != whole.bits {
            return Err(format!(
                "`{text}` has bits set beyond its length: write {}/{length}, or the address alone",
                prefix.address()
            )
            .into());
        }
        Ok(prefix)
    }

    /// One address.
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self {
                v4: true,
                length: 32,
                bits: u128::from(address.to_bits()) << 96,
            },
            IpAddr::V6(address) => Self {
                v4: false,
                length: 128,
                bits: address.to_bits(),
            },
        }
    }

    fn cut(self, length: u32) -> Self {
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        Self {
            length,
            bits: self.bits & mask,
            ..self
        }
    }

    fn address(self) -> IpAddr {
        if self.v4 {
            let bytes = self.bits.to_be_bytes();
            IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])
        } else {
            IpAddr::from(self.bits.to_be_bytes())
        }
    }
}

// === impl Table ===

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            lengths: BTreeSet::new(),
            values: HashMap::new(),
        }
    }
}

impl<T> Table<T> {
    /// Returns what was there.
    pub(crate) fn insert(&mut self, prefix: Prefix, value: T) -> Option<T> {
        self.lengths.insert((prefix.v4, prefix.length));
        self.values.insert(prefix, value)
    }

    /// The value of the longest prefix that `address` lies in.
    pub(crate) fn longest_match(&self, address: IpAddr) -> Option<&T> {
        let whole = Prefix::of(address);
        let lengths = self.lengths.range((whole.v4, 0)..=(whole.v4, whole.length));
        lengths
            .rev()
            .find_map(|(_, length)| self.values.get(&whole.cut(*length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_a_look_at_every_prefix_would_say() {
        let prefixes = [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.128.0.0/9",
            "10.128.0.0/16",
            "10.128.3.7",
            "255.255.255.255",
        ];
        let mut table = Table::default();
        for text in prefixes {
            table.insert(Prefix::parse(text).unwrap(), text);
        }
        for (address, wanted) in [
            ("10.127.255.255", "10.0.0.0/8"),
            ("10.255.0.0", "10.128.0.0/9"),
            ("10.128.3.6", "10.128.0.0/16"),
            ("10.128.3.7", "10.128.3.7"),
            ("11.0.0.0", "0.0.0.0/0"),
            ("255.255.255.255", "255.255.255.255"),
        ] {
            assert_eq!(
                table.longest_match(address.parse().unwrap()),
                Some(&wanted),
                "{address}"
            );
        }
        assert_eq!(table.longest_match("::1".parse().unwrap()), None);
    }

    #[test]
    fn the_shortest_prefix_of_all() {
        assert_eq!(
            Prefix::parse("::/0").unwrap(),
            Prefix {
                v4: false,
                length: 0,
                bits: 0
            }
        );
        assert_eq!(
            Prefix::parse("0.0.0.0/0").unwrap().address().to_string(),
            "0.0.0.0"
        );
    }
}
