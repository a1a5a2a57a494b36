//! How much linear memory a store may have.

use wasmtime::ResourceLimiter;

/// Bounds the sum of all linear memories of a store, and the entries of its tables.
#[derive(Debug)]
pub(in crate::plugin) struct MemoryLimit {
    limit: usize,
    used: usize,
    /// Entries of all tables.
    elements: usize,
    /// A growth was refused: what follows is likely an abort, and this is why.
    pub(in crate::plugin) refused: bool,
}

/// Each memory takes some GiB of addresses, however small it is: where they come to an end nobody
/// has a memory any more. Components of several languages have three.
const MAX_MEMORIES: usize = 16;
const MAX_TABLES: usize = 64;
/// Core instances. The largest known guest (CPython) has about 40.
const MAX_INSTANCES: usize = 256;
/// Of all tables together. An entry takes 8 bytes; the largest known guest (CPython) has about
/// 30,000.
const MAX_TABLE_ELEMENTS: usize = 100_000;

impl MemoryLimit {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: 0,
            elements: 0,
            refused: false,
        }
    }

    /// Bytes of linear memory in use now. It never shrinks.
    pub(in crate::plugin) fn used(&self) -> usize {
        self.used
    }

    pub(in crate::plugin) fn limit(&self) -> usize {
        self.limit
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let elements = self.elements.saturating_add(more);
        if elements > MAX_TABLE_ELEMENTS {
            return Ok(false);
        }
        self.elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_of_one_store_share_the_limit() {
        let mut limit = MemoryLimit::new(100);
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(
            !limit.memory_growing(0, 60, None).unwrap(),
            "a second memory must not double the limit"
        );
        assert!(limit.refused);
        assert!(limit.memory_growing(0, 40, None).unwrap());
        assert_eq!(limit.used(), 100);
    }

    #[test]
    fn tables_of_one_store_share_their_limit() {
        let mut limit = MemoryLimit::new(100);
        assert!(limit.table_growing(0, MAX_TABLE_ELEMENTS, None).unwrap());
        assert!(!limit.table_growing(0, 1, None).unwrap());
    }

    /// Memories take addresses, however small they are.
    #[test]
    fn memories_and_tables_have_a_number() {
        let engine = wasmtime::Engine::default();
        let instantiated = |what: &str, instances: usize| {
            let each = "(core instance (instantiate $m))".repeat(instances);
            let text = format!("(component (core module $m ({what})) {each})");
            let bytes = wat::parse_str(text).unwrap();
            let component = wasmtime::component::Component::from_binary(&engine, &bytes).unwrap();
            let mut store = wasmtime::Store::new(&engine, MemoryLimit::new(1 << 20));
            store.limiter(|limit| limit);
            let linker = wasmtime::component::Linker::new(&engine);
            let made = linker.instantiate(&mut store, &component);
            made.map(drop).map_err(|error| format!("{error:#}"))
        };
        for (what, limit, expected) in [
            ("memory 0", MAX_MEMORIES, "memory count too high"),
            ("table 0 funcref", MAX_TABLES, "table count too high"),
        ] {
            instantiated(what, limit).unwrap();
            let error = instantiated(what, limit + 1).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
