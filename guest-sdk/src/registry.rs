//! What stands between the authors' types and the component's exports: entries of a catalogue, and
//! open things behind handles. Not part of the public interface; only `export_plugin!` and `wasm`
//! use it.

use crate::cells::Cells;
use crate::collector::{Collector, Failure, Host, Request};
use crate::decoder::{BatchDecoder, Decoded};
use crate::error::Error;
use crate::families::{Families, Family};
use crate::kernel::Kernel;
use crate::options;
use crate::shaper::{Metric, Placed, Placement, Shape, Shaper};

/// One thing the plugin offers by name; `F` opens it.
#[derive(Debug)]
pub struct Entry<F> {
    pub name: &'static str,
    pub summary: &'static str,
    pub options_schema: &'static str,
    pub open: F,
}

pub type OpenDecoderFn<K> = fn(&str) -> Result<Box<dyn OpenDecoder<K>>, Error>;
pub type OpenShaperFn = fn(&str) -> Result<(Box<dyn OpenShaper>, Shape), Error>;

pub type OpenCollectorFn<H> = fn(&str) -> Result<Box<dyn OpenCollector<H>>, Error>;

/// A decoder behind a handle.
pub trait OpenDecoder<K> {
    fn decode(&self, kernel: &K, input: &Cells) -> Decoded;
}

/// A shaper behind a handle.
pub trait OpenShaper {
    fn uniform(&self) -> Vec<Placement>;
    fn place(&self, rows: u32, keys: &Cells, labels: &[Cells]) -> Placed;
}

/// A collector behind a handle.
pub trait OpenCollector<H> {
    fn collect(&self, host: &H, request: &Request) -> Result<Vec<Family>, Failure>;
}

/// Open things by handle. A handle is an index; opening the same thing with the same options again
/// gives the same handle, so that a host that reloads its configs for months does not fill the
/// plugin's memory.
#[derive(Debug)]
pub struct Handles<T> {
    slots: Vec<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    name: &'static str,
    options: String,
    value: T,
}

// === impl Entry ===

impl<K: Kernel> Entry<OpenDecoderFn<K>> {
    pub const fn decoder<D: BatchDecoder>() -> Self {
        Self {
            name: D::NAME,
            summary: D::SUMMARY,
            options_schema: D::OPTIONS_SCHEMA,
            open: open_decoder::<K, D>,
        }
    }
}

impl Entry<OpenShaperFn> {
    pub const fn shaper<S: Shaper>() -> Self {
        Self {
            name: S::NAME,
            summary: S::SUMMARY,
            options_schema: S::OPTIONS_SCHEMA,
            open: open_shaper::<S>,
        }
    }
}

impl<H: Host> Entry<OpenCollectorFn<H>> {
    pub const fn collector<C: Collector>() -> Self {
        Self {
            name: C::NAME,
            summary: C::SUMMARY,
            options_schema: C::OPTIONS_SCHEMA,
            open: open_collector::<H, C>,
        }
    }
}

fn open_collector<H: Host, C: Collector>(json: &str) -> Result<Box<dyn OpenCollector<H>>, Error> {
    Ok(Box::new(open_typed_collector::<C>(json)?))
}

pub(crate) fn open_typed_collector<C: Collector>(json: &str) -> Result<C, Error> {
    C::open(options::parse(C::NAME, C::OPTIONS_SCHEMA, json)?)
}

fn open_decoder<K: Kernel, D: BatchDecoder>(json: &str) -> Result<Box<dyn OpenDecoder<K>>, Error> {
    let options = options::parse(D::NAME, D::OPTIONS_SCHEMA, json)?;
    Ok(Box::new(<D as BatchDecoder>::open(options)?))
}

fn open_shaper<S: Shaper>(json: &str) -> Result<(Box<dyn OpenShaper>, Shape), Error> {
    let (shaper, shape) = open_typed_shaper::<S>(json)?;
    Ok((Box::new(shaper), shape))
}

pub(crate) fn open_typed_shaper<S: Shaper>(json: &str) -> Result<(S, Shape), Error> {
    let mut object = options::parse_object(S::NAME, json)?;
    let metric = object.remove("metric").ok_or_else(|| {
        format!(
            "the options of {} lack `metric`, which the host puts there",
            S::NAME
        )
    })?;
    let metric: Metric = serde_json::from_value(metric)
        .map_err(|error| format!("`metric` in the options of {}: {error}", S::NAME))?;
    S::open(options::read(S::NAME, S::OPTIONS_SCHEMA, object)?, &metric)
}

/// The entry called `name`.
pub fn find<F>(entries: &'static [Entry<F>], name: &str) -> Result<&'static Entry<F>, Error> {
    entries
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| {
            let known: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
            Error::new(format!(
                "this plugin has no `{name}`: expected one of {}",
                known.join(", ")
            ))
        })
}

// === impl OpenDecoder ===

impl<K: Kernel, D: BatchDecoder> OpenDecoder<K> for D {
    fn decode(&self, kernel: &K, input: &Cells) -> Decoded {
        let mut out = Decoded::for_input(input);
        self.decode_batch(kernel, input, &mut out);
        out
    }
}

// === impl OpenShaper ===

impl<S: Shaper> OpenShaper for S {
    fn uniform(&self) -> Vec<Placement> {
        Shaper::uniform(self)
    }

    fn place(&self, rows: u32, keys: &Cells, labels: &[Cells]) -> Placed {
        let mut out = Placed::with_capacity(rows);
        Shaper::place(self, rows, keys, labels, &mut out);
        out
    }
}

// === impl OpenCollector ===

impl<H: Host, C: Collector> OpenCollector<H> for C {
    fn collect(&self, host: &H, request: &Request) -> Result<Vec<Family>, Failure> {
        let mut families = Families::default();
        Collector::collect(self, host, request, &mut families)?;
        families.finish().map_err(Failure::Invalid)
    }
}

// === impl Handles ===

impl<T> Handles<T> {
    pub const fn new() -> Self {
        Self { slots: Vec::new() }
    }

    /// Keeps `value` and says under which handle.
    pub fn insert(&mut self, name: &'static str, options: String, value: T) -> u32 {
        let same = self
            .slots
            .iter()
            .position(|slot| slot.name == name && slot.options == options);
        let index = same.unwrap_or(self.slots.len());
        match self.slots.get_mut(index) {
            Some(slot) => slot.value = value,
            None => self.slots.push(Slot {
                name,
                options,
                value,
            }),
        }
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    pub fn get(&self, handle: u32) -> Option<&T> {
        self.slots.get(handle as usize).map(|slot| &slot.value)
    }
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The answer to a batch for a handle that was never given out: each row says so.
pub fn decoded_without_decoder(handle: u32, input: &Cells) -> Decoded {
    let mut out = Decoded::for_input(input);
    for _ in input.iter() {
        out.row(|_| Err(format!("no decoder is open as {handle}").into()));
    }
    out
}

/// As [`decoded_without_decoder`], for a shaper.
pub fn placed_without_shaper(handle: u32, rows: u32) -> Placed {
    let mut out = Placed::default();
    for row in 0..rows {
        out.fail(row, format!("no shaper is open as {handle}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::{Answer, Decoder};
    use crate::options::NoOptions;
    use crate::shaper::{Family, Kind};
    use crate::testing::FakeKernel;

    struct Twice;

    impl Decoder for Twice {
        const NAME: &'static str = "twice";
        const SUMMARY: &'static str = "the input, twice";
        type Options = NoOptions;

        fn open(_: NoOptions) -> Result<Self, Error> {
            Ok(Self)
        }

        fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
            out.extend_from_slice(input);
            out.extend_from_slice(input);
            Ok(Answer::Known)
        }
    }

    struct Nothing;

    impl Shaper for Nothing {
        const NAME: &'static str = "nothing";
        const SUMMARY: &'static str = "";
        type Options = NoOptions;

        fn open(_: NoOptions, metric: &Metric) -> Result<(Self, Shape), Error> {
            Ok((Self, Shape::of(Family::of(metric, Kind::Gauge))))
        }

        fn place(&self, _: u32, _: &Cells, _: &[Cells], _: &mut Placed) {}
    }

    static DECODERS: &[Entry<OpenDecoderFn<FakeKernel>>] = &[Entry::decoder::<Twice>()];

    #[test]
    fn a_decoder_is_found_opened_and_called_by_handle() {
        let entry = find(DECODERS, "twice").unwrap();
        assert_eq!((entry.name, entry.summary), ("twice", "the input, twice"));
        let mut open = Handles::new();
        let first = open.insert(entry.name, "{}".to_owned(), (entry.open)("{}").unwrap());
        let again = open.insert(entry.name, "{}".to_owned(), (entry.open)("{}").unwrap());
        let other = open.insert(entry.name, "".to_owned(), (entry.open)("").unwrap());
        assert_eq!((first, again, other), (0, 0, 1));
        let input: Cells = ["a", ""].into_iter().collect();
        let decoded = open.get(0).unwrap().decode(&FakeKernel::default(), &input);
        assert_eq!(decoded.cells(), &["aa", ""].into_iter().collect());
        assert!(open.get(2).is_none());
        assert_eq!(decoded_without_decoder(2, &input).errors().len(), 2);
        assert_eq!(
            placed_without_shaper(2, 1).errors()[0].message,
            "no shaper is open as 2"
        );
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = find(DECODERS, "thrice").unwrap_err().to_string();
        assert_eq!(error, "this plugin has no `thrice`: expected one of twice");
    }

    #[test]
    fn a_shaper_gets_its_metric_and_only_its_own_options() {
        let entry = Entry::shaper::<Nothing>();
        let (_, shape) =
            (entry.open)(r#"{"metric": {"name": "m", "help": "h", "labels": ["a"]}}"#).unwrap();
        assert_eq!(shape.families[0].labels, ["a"]);
        let error = |json| (entry.open)(json).err().unwrap().to_string();
        assert_eq!(
            error("{}"),
            "the options of nothing lack `metric`, which the host puts there"
        );
        assert_eq!(
            error(r#"{"metric": {"name": "m"}, "x": 1}"#),
            "nothing takes no options, found `x`"
        );
        assert!(error(r#"{"metric": {}}"#).contains("missing field `name`"));
    }
}
