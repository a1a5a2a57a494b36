//! A set of Linux capabilities as the kernel writes it, one bit each, and their names.

use std::fmt;

use caps::Capability;

/// A set of capabilities. Bit n is the capability with number n in linux/capability.h; a kernel may
/// know more than have a name here.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CapabilitySet(u64);

/// Every capability that has a name here, by number.
pub(super) fn named() -> Vec<Capability> {
    let mut all: Vec<_> = caps::all().into_iter().collect();
    all.sort_unstable_by_key(Capability::index);
    all
}

// === impl CapabilitySet ===

impl CapabilitySet {
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) fn of(capabilities: &[Capability]) -> Self {
        capabilities.iter().copied().collect()
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bitmask() != 0
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The kernel's numbers of the members, ascending.
    pub(super) fn numbers(self) -> impl Iterator<Item = u32> {
        (0..u64::BITS).filter(move |number| self.0 >> number & 1 == 1)
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<T: IntoIterator<Item = Capability>>(capabilities: T) -> Self {
        Self(
            capabilities
                .into_iter()
                .fold(0, |bits, capability| bits | capability.bitmask()),
        )
    }
}

/// `CAP_PERFMON, CAP_BPF`, by number; `none` if empty.
impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let named = named();
        for (position, number) in self.numbers().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            match named
                .iter()
                .find(|known| u32::from(known.index()) == number)
            {
                Some(capability) => write!(f, "{capability}")?,
                None => write!(f, "capability {number}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CapabilitySet({self})")
    }
}

#[cfg(test)]
mod tests {
    use caps::Capability::{CAP_BPF, CAP_CHOWN, CAP_PERFMON};

    use super::CapabilitySet;

    #[test]
    fn sets_are_shown_by_number_and_unknown_ones_too() {
        assert_eq!(CapabilitySet::EMPTY.to_string(), "none");
        assert_eq!(
            CapabilitySet::of(&[CAP_BPF, CAP_PERFMON]).to_string(),
            "CAP_PERFMON, CAP_BPF"
        );
        assert_eq!(
            CapabilitySet::from_bits(1 << 60 | 1).to_string(),
            "CAP_CHOWN, capability 60"
        );
    }

    #[test]
    fn set_algebra() {
        let both = CapabilitySet::of(&[CAP_BPF, CAP_PERFMON]);
        let bpf = CapabilitySet::of(&[CAP_BPF]);
        assert_eq!(both.without(bpf), CapabilitySet::of(&[CAP_PERFMON]));
        assert_eq!(both.and(bpf), bpf);
        assert!(both.contains(CAP_BPF) && !both.contains(CAP_CHOWN));
        assert_eq!(bpf.numbers().collect::<Vec<_>>(), [39]);
    }
}
