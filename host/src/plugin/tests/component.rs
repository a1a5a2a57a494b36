//! The smallest components that can be plugins: a core module as WAT whose functions a test
//! replaces, wrapped according to wit/.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::kernel::KernelFacts;
use crate::plugin::component::Plugin;
use crate::plugin::error::LoadError;
use crate::plugin::{Engine, Session};

/// One engine for all tests: its clock is a thread.
pub(crate) static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new().unwrap());
pub(crate) static FACTS: LazyLock<Arc<KernelFacts>> =
    LazyLock::new(|| Arc::new(KernelFacts::open()));

const WIT: &str = include_str!("../../../../wit/plugin.wit");

/// A component that exports `decoding`. As it comes it offers `echo`, which gives every cell back,
/// and `open` hands out 1, 2, 3 …
///
/// Bodies are WAT. What they find: `$answer (bytes, length, ends, count)` fills in a `decoded`
/// record without row lists at $DECODED and gives its address, `$list (at, address, count)` writes
/// one of its lists, `$refuse (address, length)` is an error of `open`, `$alloc (size, align)` is a
/// bump allocator that starts again after each `decode`. The globals `$opened` and `$calls` count.
/// Bytes from 8192 on are the test's.
pub(crate) struct Guest {
    names: Vec<&'static str>,
    packages: Vec<&'static str>,
    wit: String,
    world: &'static str,
    items: String,
    start: &'static str,
    catalogue: &'static str,
    open: &'static str,
    decode: String,
}

/// Gives the input back.
pub(crate) const ECHO: &str = "(call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len))";

impl Guest {
    pub(crate) fn new() -> Self {
        Self {
            names: vec!["echo"],
            packages: Vec::new(),
            wit: WIT.to_owned(),
            world: "decoder-plugin",
            items: String::new(),
            start: "",
            catalogue: "",
            open: "",
            decode: ECHO.to_owned(),
        }
    }

    /// The names of its decoders.
    pub(crate) fn names(mut self, names: &[&'static str]) -> Self {
        self.names = names.to_vec();
        self
    }

    /// Further imports (these first), data, functions.
    pub(crate) fn items(mut self, items: &str) -> Self {
        self.items.push_str(items);
        self
    }

    /// What happens when it is instantiated.
    pub(crate) fn start(mut self, body: &'static str) -> Self {
        self.start = body;
        self
    }

    /// What happens before `catalogue` answers.
    pub(crate) fn catalogue(mut self, body: &'static str) -> Self {
        self.catalogue = body;
        self
    }

    /// What happens before `open` answers.
    pub(crate) fn open(mut self, body: &'static str) -> Self {
        self.open = body;
        self
    }

    /// What `decode` does. Parameters: $handle, $bytes, $bytes_len, $ends, $ends_len; locals: $i,
    /// $j. It has to leave an address.
    pub(crate) fn decode(mut self, body: impl Into<String>) -> Self {
        self.decode = body.into();
        self
    }

    /// Another world, from WIT of its own beside that of wit/.
    pub(crate) fn world(
        mut self,
        world: &'static str,
        wit: &str,
        packages: &[&'static str],
    ) -> Self {
        self.world = world;
        self.wit.push_str(wit);
        self.packages = packages.to_vec();
        self
    }

    /// Built against an edited wit/.
    pub(crate) fn edit_wit(mut self, edit: impl FnOnce(String) -> String) -> Self {
        self.wit = edit(self.wit);
        self
    }

    /// The core module alone.
    pub(crate) fn core(&self) -> Vec<u8> {
        wat::parse_str(self.text()).unwrap()
    }

    /// The component.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut resolve = Resolve::default();
        for package in &self.packages {
            resolve.push_str("other.wit", package).unwrap();
        }
        let package = resolve.push_str("plugin.wit", &self.wit).unwrap();
        let world = resolve.select_world(&[package], Some(self.world)).unwrap();
        let mut module = self.core();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .unwrap()
            .encode()
            .unwrap()
    }

    pub(crate) fn load(&self) -> Result<Plugin, LoadError> {
        Plugin::load(&ENGINE, "test", &self.build(), &FACTS)
    }

    /// A session with it.
    pub(crate) fn session(&self) -> Session {
        Session::new(Arc::new(self.load().unwrap()))
    }

    fn text(&self) -> String {
        let version = if self.wit.contains("package exporter:plugin@0.1.0") {
            "0.1.0"
        } else {
            "0.2.0"
        };
        let Self {
            items,
            start,
            catalogue,
            open,
            decode,
            ..
        } = self;
        let (imports, items): (Vec<&str>, Vec<&str>) = items
            .lines()
            .map(str::trim)
            .partition(|line| line.starts_with("(import"));
        let (imports, items) = (imports.join("\n"), items.join("\n"));
        let interface = format!("exporter:plugin/decoding@{version}");
        let offers = self.names.len();
        let catalogue_data = self.catalogue_data();
        format!(
            r#"(module
            {imports}
            (memory (export "memory") 4)
            (global $heap (mut i32) (i32.const 65536))
            (global $opened (mut i32) (i32.const 0))
            (global $calls (mut i32) (i32.const 0))
            {catalogue_data}
            {items}
            (func $alloc (param $size i32) (param $align i32) (result i32) (local $at i32) (local $short i32)
                (local.set $at (i32.and
                    (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
                    (i32.sub (i32.const 0) (local.get $align))))
                (global.set $heap (i32.add (local.get $at) (local.get $size)))
                (local.set $short (i32.sub (global.get $heap) (i32.shl (memory.size) (i32.const 16))))
                (if (i32.gt_s (local.get $short) (i32.const 0)) (then
                    (if (i32.eq (i32.const -1)
                            (memory.grow (i32.add (i32.shr_u (local.get $short) (i32.const 16)) (i32.const 1))))
                        (then (unreachable)))))
                (local.get $at))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (call $alloc (local.get 3) (local.get 2)))
            (func $list (param $at i32) (param $address i32) (param $count i32)
                (i32.store (i32.add (i32.const 1024) (local.get $at)) (local.get $address))
                (i32.store (i32.add (i32.const 1028) (local.get $at)) (local.get $count)))
            (func $answer (param i32 i32 i32 i32) (result i32)
                (call $list (i32.const 0) (local.get 0) (local.get 1))
                (call $list (i32.const 8) (local.get 2) (local.get 3))
                (call $list (i32.const 16) (i32.const 0) (i32.const 0))
                (call $list (i32.const 24) (i32.const 0) (i32.const 0))
                (call $list (i32.const 32) (i32.const 0) (i32.const 0))
                (i32.const 1024))
            (func $refuse (param i32 i32) (result i32)
                (i32.store8 (i32.const 1088) (i32.const 1))
                (i32.store (i32.const 1092) (local.get 0))
                (i32.store (i32.const 1096) (local.get 1))
                (i32.const 1088))
            (func $start {start})
            (start $start)
            (func (export "{interface}#catalogue") (result i32)
                {catalogue}
                (i32.store (i32.const 1104) (i32.const 2048))
                (i32.store (i32.const 1108) (i32.const {offers}))
                (i32.const 1104))
            (func (export "{interface}#open") (param $name i32) (param $name_len i32) (param $options i32) (param $options_len i32)
                (result i32)
                {open}
                (global.set $opened (i32.add (global.get $opened) (i32.const 1)))
                (i32.store8 (i32.const 1088) (i32.const 0))
                (i32.store (i32.const 1092) (global.get $opened))
                (i32.const 1088))
            (func (export "{interface}#decode")
                (param $handle i32) (param $bytes i32) (param $bytes_len i32) (param $ends i32) (param $ends_len i32) (result i32)
                (local $i i32) (local $j i32)
                (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                {decode})
            (func (export "cabi_post_{interface}#decode") (param i32)
                (global.set $heap (i32.const 65536)))
        )"#
        )
    }

    /// `description` records from 2048 on, their names from 4096 on.
    fn catalogue_data(&self) -> String {
        let (mut records, mut names) = (String::new(), String::new());
        let mut at = 4096_u32;
        for name in &self.names {
            let length = name.len() as u32;
            for word in [at, length, 0, 0, 0, 0] {
                for byte in word.to_le_bytes() {
                    write!(records, "\\{byte:02x}").unwrap();
                }
            }
            for byte in name.bytes() {
                write!(names, "\\{byte:02x}").unwrap();
            }
            at += length;
        }
        format!(r#"(data (i32.const 2048) "{records}") (data (i32.const 4096) "{names}")"#)
    }
}
