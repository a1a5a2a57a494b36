//! Which units and collectors a scrape is to ask: `collect[]=` and `exclude[]=`.

/// Names are those of units, of collectors, or `unit/collector`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::server) enum Selection {
    #[default]
    All,
    Only(Vec<String>),
    Without(Vec<String>),
    /// One unit, its collectors included.
    Unit(String),
}

impl Selection {
    /// Whether the unit's maps are to be read.
    pub(in crate::server) fn has_unit(&self, unit: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| name == unit),
            Self::Without(names) => names.iter().all(|name| name != unit),
            Self::Unit(name) => name == unit,
        }
    }

    /// Whether the collector is to be called.
    pub(in crate::server) fn has_collector(&self, unit: &str, collector: &str) -> bool {
        let means = |name: &String| {
            name == unit
                || name == collector
                || name
                    .rsplit_once('/')
                    .is_some_and(|both| both == (unit, collector))
        };
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(means),
            Self::Without(names) => !names.iter().any(means),
            Self::Unit(name) => name == unit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(selection: &Selection) -> Vec<&'static str> {
        let mut seen = Vec::new();
        for (unit, collector) in [("net/a", "c"), ("net/a", "d"), ("b", "c")] {
            if selection.has_unit(unit) && !seen.contains(&unit) {
                seen.push(unit);
            }
            if selection.has_collector(unit, collector) {
                seen.push(collector);
            }
        }
        seen
    }

    #[test]
    fn units_stand_for_their_collectors_and_collectors_for_themselves() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(seen(&Selection::All), ["net/a", "c", "d", "b", "c"]);
        for (name, only, without) in [
            ("net/a", vec!["net/a", "c", "d"], vec!["b", "c"]),
            ("c", vec!["c", "c"], vec!["net/a", "d", "b"]),
            ("net/a/c", vec!["c"], vec!["net/a", "d", "b", "c"]),
            ("b/c", vec!["c"], vec!["net/a", "c", "d", "b"]),
            ("e", vec![], vec!["net/a", "c", "d", "b", "c"]),
        ] {
            assert_eq!(seen(&Selection::Only(names(&[name]))), only, "{name}");
            assert_eq!(seen(&Selection::Without(names(&[name]))), without, "{name}");
        }
    }
}
