//! One function for each way on which bytes come in that somebody else wrote. Each takes any bytes,
//! and panics where what it reads does not hold.

mod input;

use std::fmt::Debug;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::bpf::{GlobalError, OpenObject};
use crate::config::Span;
use crate::config::sidecar::{self, EndpointPattern, Sidecar};
use crate::config::{
    Diagnostic, LabelConfig, MetricSource, PluginUse, UnitConfig, ValueConfig, ValueSelector,
    ValueType,
};
use crate::config::{Strictness, read_unit};
use crate::exposition::{Family, Format, Source, merge, negotiate, parse, write};
use crate::loader::units::specs;
use crate::object_input::{GlobalScalar, GlobalValue, SampleMap};
use crate::plugin::NumberSource;
use crate::rows::{KeyShape, Layout, MetricSpec, PackedField};
use crate::{plugin, web};

pub(crate) use input::Input;

/// A unit's YAML.
pub fn yaml(data: &[u8]) {
    let file = Arc::new(PathBuf::from("conf.d/unit.yaml"));
    let mut strict_is_good = None;
    for strict in [true, false] {
        let strict = Strictness {
            keys: strict,
            metrics: strict,
        };
        match read_unit("unit", &file, data, strict) {
            Ok(read) => {
                problems_lie_in(&read.warnings, data);
                unit_is_whole(&read.config);
                strict_is_good.get_or_insert(true);
            }
            Err(unreadable) => {
                problems_lie_in(&unreadable.diagnostics, data);
                assert!(!unreadable.diagnostics.is_empty());
                let strict_only = strict_is_good.replace(false) == Some(true);
                assert!(!strict_only, "only the strict reading is fine");
            }
        }
    }
}

/// What other rooms take for granted.
fn unit_is_whole(unit: &UnitConfig) {
    for metric in &unit.metrics {
        assert!(!metric.name.is_empty() && !metric.help.is_empty() && !metric.map.is_empty());
        if let MetricSource::Samples { flush_interval, .. } = metric.source {
            assert!(flush_interval > Duration::ZERO);
        }
        for label in &metric.labels {
            let objects = label
                .decoders
                .iter()
                .flatten()
                .map(|decoder| &decoder.options);
            assert!(objects.into_iter().all(serde_json::Value::is_object));
        }
        assert!(metric.shape.options.is_object());
        // Whatever it says, it can be laid over any key.
        for key_size in [0, 4, 8, 64] {
            for per_cpu in [false, true] {
                let shape = KeyShape { key_size, per_cpu };
                layout_fits(&metric.labels, metric.source, shape);
            }
        }
    }
    for (index, collector) in unit.collectors.iter().enumerate() {
        let others = &unit.collectors[..index];
        assert!(others.iter().all(|other| other.name != collector.name));
        assert!(collector.plugin.options.is_object());
        assert!(collector.interval.is_none_or(|span| span > Duration::ZERO));
    }
}

/// Positions are of the text, its end included, or of the file as a whole; messages are one line.
fn problems_lie_in(diagnostics: &[Diagnostic], text: &[u8]) {
    // In YAML either ends a line, or both.
    let breaks = text.iter().enumerate().filter(|(at, byte)| match byte {
        b'\n' => true,
        b'\r' => text.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    let lines = breaks.count() + 1;
    for diagnostic in diagnostics {
        assert!(diagnostic.at.line <= lines, "{lines} lines: {diagnostic}");
        assert!(
            !diagnostic.message.contains(char::is_control),
            "{diagnostic:?}"
        );
    }
}

/// A plugin's sidecar.
pub fn sidecar(data: &[u8]) {
    let file = Arc::new(PathBuf::from("name.plugin.yaml"));
    match sidecar::read(&file, data) {
        Ok((read, warnings)) => {
            problems_lie_in(&warnings, data);
            grants_are_what_they_say(&read);
        }
        Err(diagnostics) => {
            problems_lie_in(&diagnostics, data);
            assert!(!diagnostics.is_empty());
        }
    }
}

/// Patterns mean the same when they are read from what they are shown as, and every path can be
/// held against them.
fn grants_are_what_they_say(sidecar: &Sidecar) {
    let grants = &sidecar.grants;
    for endpoint in grants.tcp.iter().chain(&grants.udp) {
        let again = EndpointPattern::parse(&endpoint.to_string());
        assert_eq!(again.as_ref(), Ok(endpoint));
    }
    for name in &grants.dns {
        assert_eq!(sidecar::host_name(name).as_ref(), Ok(name));
    }
    for pattern in grants.read.iter().chain(&grants.file_systems) {
        for path in [&[][..], &["proc"], &["proc", "1", "stat"]] {
            // What matches is on the way to itself.
            let reached = (0..path.len()).all(|length| pattern.leads_on(&path[..length]));
            assert!(!pattern.matches(path) || reached, "{pattern}: {path:?}");
        }
    }
    let limits = sidecar.limits;
    assert!(limits.memory != Some(0) && limits.cpu != Some(Duration::ZERO));
    assert!(limits.instances != Some(0));
}

/// Labels and numbers by the types of an object. `object`: a whole ELF file, whose BTF is taken
/// out; `data`: metrics, and then another BTF.
pub fn label_layout(object: &[u8], data: &[u8]) {
    let mut input = Input::new(data);
    let source = if input.flag() {
        let flush_interval = Duration::from_secs(1);
        MetricSource::Samples {
            through: SampleMap::PerfEventArray,
            flush_interval,
        }
    } else {
        MetricSource::Map
    };
    let labels = labels(&mut input);
    let value = value(&mut input);
    let Some(elf) = with_btf(object, input.rest()) else {
        return;
    };
    let Some(object) = open(&elf) else { return };
    let unit = "metrics: {counters: [{name: c, help: h}]}".as_bytes();
    let file = Arc::new(PathBuf::from("unit.yaml"));
    let Ok(read) = read_unit("unit", &file, unit, Strictness::default()) else {
        return;
    };
    for map in object.maps() {
        let shape = KeyShape {
            key_size: map.key_size,
            per_cpu: map.is_per_cpu(),
        };
        layout_fits(&labels, source, shape);
        let mut config = read.config.clone();
        for metric in &mut config.metrics {
            metric.map.clone_from(&map.name);
            metric.labels.clone_from(&labels);
            metric.value.clone_from(&value);
        }
        for MetricSpec { layout, .. } in specs(&config, &object) {
            let fits = |field: &Range<usize>| field.end <= layout.row_key_size;
            assert!(layout.fields.iter().all(fits), "{layout:?}");
            let cpu = if layout.split_cpus { 2 } else { 0 };
            assert_eq!(layout.row_key_size, map.key_size + cpu);
            let end = |number: NumberSource| number.offset + number.encoding.size();
            assert!(
                layout
                    .number
                    .is_none_or(|number| end(number) <= map.value_size)
            );
        }
    }
}

/// A BPF object, as it is opened.
pub fn object(data: &[u8]) {
    open(data);
}

fn open(elf: &[u8]) -> Option<OpenObject> {
    // Errors are text for operators, which nothing in the file may break.
    match OpenObject::parse("fuzz.bpf.o", elf) {
        Ok(mut object) => {
            assert!(object.sections().all(|section| !section.contains('\0')));
            set_globals(&mut object);
            Some(object)
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains('\n'), "{message:?}");
            None
        }
    }
}

/// All of them, whatever they are, to values of all kinds.
fn set_globals(object: &mut OpenObject) {
    let scalar = |text: &str, number: Option<i128>| GlobalScalar {
        text: text.to_owned(),
        integer: number,
        float: number.map(|number| number as f64),
        boolean: number.is_some().then_some(true),
    };
    let values = [
        GlobalValue::One(scalar("1", Some(1))),
        GlobalValue::One(scalar("-9e18", Some(-9_000_000_000_000_000_000))),
        GlobalValue::One(scalar("FAST", None)),
        GlobalValue::List(vec![scalar("1", Some(1)), scalar("x", None)]),
        GlobalValue::List(vec![scalar("0", Some(0)); 4]),
    ];
    let names: Vec<String> = object.global_names().map(str::to_owned).collect();
    for name in names.iter().take(16) {
        for value in &values {
            if let Err(GlobalError::Variable(text) | GlobalError::Value(text)) =
                object.set_global(name, value)
            {
                assert!(!text.is_empty());
            }
        }
        let symbol = name.strip_prefix("kaddr_").unwrap_or(name);
        object.set_kaddr(symbol, 1).err();
    }
}

/// `elf` with `btf` behind it as its section `.BTF`. None: it has no such section.
fn with_btf(elf: &[u8], btf: &[u8]) -> Option<Vec<u8>> {
    use object::elf::{FileHeader64, SectionHeader64};
    use object::endian::NativeEndian;
    use object::read::elf::{FileHeader as _, SectionHeader as _};

    type Section = SectionHeader64<NativeEndian>;
    let header = FileHeader64::<NativeEndian>::parse(elf).ok()?;
    let sections = header.sections(NativeEndian, elf).ok()?;
    let is_btf = |section: &&Section| sections.section_name(NativeEndian, *section) == Ok(b".BTF");
    let index = sections.iter().position(|section| is_btf(&section))?;
    let at = usize::try_from(header.e_shoff(NativeEndian)).ok()? + index * size_of::<Section>();
    debug_assert!(sections.iter().nth(index)?.sh_size(NativeEndian) > 0);
    // sh_offset and sh_size.
    let mut made = elf.to_vec();
    let (offset, size) = (
        (elf.len() as u64).to_ne_bytes(),
        (btf.len() as u64).to_ne_bytes(),
    );
    made.get_mut(at + 24..at + 32)?.copy_from_slice(&offset);
    made.get_mut(at + 32..at + 40)?.copy_from_slice(&size);
    made.extend_from_slice(btf);
    Some(made)
}

/// Members of the keys and values of tests/fuzz/object.bpf.c.
const MEMBERS: [&str; 8] = [
    "pid", "address", "low", "comm", "flag", "mode", "rest", "high.x",
];

fn member(input: &mut Input<'_>) -> String {
    match input.up_to(9) {
        index @ 0..8 => MEMBERS[usize::from(index)].to_owned(),
        _ => input.text(),
    }
}

fn labels(input: &mut Input<'_>) -> Vec<LabelConfig> {
    let at = Span::whole(&Arc::new(PathBuf::from("unit.yaml")));
    let uint = || PluginUse {
        name: "uint".to_owned(),
        options: serde_json::json!({}),
        at: at.clone(),
    };
    let count = input.up_to(6);
    (0..count)
        .map(|_| LabelConfig {
            name: if input.flag() {
                input.name()
            } else {
                member(input)
            },
            member: input.flag().then(|| member(input)),
            // As many as the YAML may say.
            size: Some(usize::from(input.u16())).filter(|size| *size > 0),
            padding: usize::from(input.u8()),
            decoders: Some(input.list(|_| uint())).filter(|decoders| !decoders.is_empty()),
            at: at.clone(),
        })
        .collect()
}

fn value(input: &mut Input<'_>) -> Option<ValueConfig> {
    let selector = match input.up_to(3) {
        0 => return None,
        1 => ValueSelector::Whole,
        2 => ValueSelector::At {
            offset: usize::from(input.u16()),
            kind: ValueType::U32,
        },
        _ => ValueSelector::Member(member(input)),
    };
    let at = Span::whole(&Arc::new(PathBuf::from("unit.yaml")));
    Some(ValueConfig {
        selector,
        scale: 1.0,
        at,
    })
}

/// Where labels say all by themselves, fields lie in the key, one after the other, and the CPU's
/// behind it.
fn layout_fits(labels: &[LabelConfig], source: MetricSource, shape: KeyShape) {
    let field = |label: &LabelConfig| {
        Some(PackedField {
            name: label.name.clone(),
            size: label.spelled_out()?.0,
            padding: label.padding,
        })
    };
    let Some(fields) = labels.iter().map(field).collect::<Option<Vec<_>>>() else {
        return;
    };
    match Layout::new(&fields, source, shape) {
        Ok(layout) => {
            assert_eq!(layout.fields.len(), labels.len());
            let samples = matches!(source, MetricSource::Samples { .. });
            assert!(samples || layout.row_key_size >= shape.key_size);
            let mut before = 0;
            let mut fields = layout.fields.clone();
            fields.sort_by_key(|field| field.start);
            for field in fields {
                assert!(field.start >= before && field.end <= layout.row_key_size);
                before = field.end;
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What decoders and shapers answer.
pub fn cells(data: &[u8]) {
    plugin::test_support::cells(&mut Input::new(data));
}

/// What a collector answers. Gives the body in the text format if it may stand in one.
pub fn families(data: &[u8]) -> Option<String> {
    let families = plugin::test_support::families(&mut Input::new(data))?;
    let source = Source {
        name: "collector".into(),
        families,
    };
    let (families, _) = merge(vec![source]);
    reads_again(&families);
    let mut text = String::new();
    write(&mut text, &families, Format::Text004);
    Some(text)
}

/// The reader of OpenMetrics: what it takes is written as it was understood.
pub fn exposition(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match parse(text) {
        Ok(families) => {
            let source = Source {
                name: "text".into(),
                families,
            };
            let (families, clashes) = merge(vec![source]);
            // Names that the format gives to one family may be two of ours.
            if clashes.is_empty() {
                reads_again(&families);
            }
        }
        Err(error) => assert!(error.line.get() <= text.split_terminator('\n').count() + 1),
    }
}

/// OpenMetrics that is written can be read, and then says the same.
fn reads_again(families: &[Family]) {
    let mut text = String::new();
    write(&mut text, families, Format::OpenMetrics100);
    let again = match parse(&text) {
        Ok(again) => again,
        Err(error) => fail(&text, &error),
    };
    let filled: Vec<&Family> = families
        .iter()
        .filter(|family| !family.samples.is_empty())
        .collect();
    assert_eq!(again.len(), filled.len(), "{text}");
    for (read, family) in again.iter().zip(filled) {
        assert_eq!(read.meta.name, family.meta.name);
        assert_eq!(read.meta.help, family.meta.help);
        let labels = read.samples.iter().map(|sample| sample.labels);
        assert!(labels.eq(family.samples.iter().map(|sample| sample.labels)));
    }
    let mut twice = String::new();
    write(&mut twice, &again, Format::OpenMetrics100);
    // A sum that the format has no place for is read as 0, and then has one.
    let mut written = twice.lines();
    if !text.lines().all(|line| written.any(|other| other == line)) {
        fail(&text, &twice);
    }
}

#[expect(clippy::panic, reason = "that is what a fuzz target says")]
fn fail(text: &str, why: &dyn Debug) -> ! {
    panic!("{text}\n{why:#?}")
}

/// What a scraper says of itself: a query, and in lines after it headers `Accept` and
/// `Accept-Encoding` by turns.
pub fn request(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let query = lines.next().unwrap_or_default();
    web::test_support::query(query);
    let (accept, encoding): (Vec<_>, Vec<_>) = lines.enumerate().partition(|(at, _)| at % 2 == 0);
    let only = |lines: Vec<(usize, &'_ str)>| -> Vec<String> {
        lines.into_iter().map(|(_, line)| line.to_owned()).collect()
    };
    let (accept, encoding) = (only(accept), only(encoding));
    let texts = |lines: &'_ [String]| -> Vec<String> { lines.to_vec() };
    let negotiated = negotiate(
        texts(&accept).iter().map(String::as_str),
        texts(&encoding).iter().map(String::as_str),
    );
    // The answer to one list is that to its parts, and can stand in a header.
    let joined = (accept.join(","), encoding.join(","));
    let again = negotiate([joined.0.as_str()], [joined.1.as_str()]);
    assert_eq!(negotiated, again);
    assert!(axum::http::HeaderValue::from_str(&negotiated.content_type()).is_ok());
}
