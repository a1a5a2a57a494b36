//! Bodies, as Python's `prometheus_client` reads them: it has the strictest OpenMetrics parser, and
//! it is not ours.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::{env, slice};

use serde_json::{Value, json};

pub(crate) type Labels = BTreeMap<String, String>;

/// The samples of one name: value by labels.
pub(crate) type Series = BTreeMap<Labels, f64>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    OpenMetrics,
}

impl Format {
    pub(crate) fn accept(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) families: Vec<Family>,
}

// === impl Body ===

impl Body {
    /// Panics with the parser's complaint if it has one.
    pub(crate) fn parse(format: Format, body: &str) -> Self {
        let name = match format {
            Format::Text => "text",
            Format::OpenMetrics => "openmetrics",
        };
        let answer = Python::ask(&json!({"format": name, "body": body}));
        if let Some(error) = answer["error"].as_str() {
            panic!("prometheus_client takes the {name} body: {error}\n{body}");
        }
        let families = answer["families"]
            .as_array()
            .unwrap()
            .iter()
            .map(family)
            .collect();
        let parsed = Self { families };
        parsed.has_nothing_twice();
        parsed
    }

    /// The parser of the text format does not look for this.
    fn has_nothing_twice(&self) {
        let (mut names, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for family in &self.families {
            assert!(
                names.insert(&family.name),
                "family {} comes twice",
                family.name
            );
            for sample in &family.samples {
                assert!(
                    seen.insert((&sample.name, &sample.labels)),
                    "{sample:?} comes twice"
                );
            }
        }
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.iter().flat_map(|family| &family.samples)
    }

    pub(crate) fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.name == name)
    }

    pub(crate) fn series(&self, name: &str) -> Series {
        self.samples()
            .filter(|s| s.name == name)
            .map(|s| (s.labels.clone(), s.value))
            .collect()
    }

    /// The one sample of this name that has these labels, perhaps among others.
    pub(crate) fn value(&self, name: &str, wanted: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.samples().filter(|sample| {
            sample.name == name
                && wanted
                    .iter()
                    .all(|(n, v)| sample.labels.get(*n).is_some_and(|have| have == v))
        });
        let value = found.next()?.value;
        assert!(found.next().is_none(), "{name}{wanted:?} is one sample");
        Some(value)
    }
}

fn family(json: &Value) -> Family {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let samples = json["samples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| Sample {
            name: text(&sample[0]),
            labels: sample[1]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| {
                    (
                        name.clone(),
                        if name == "le" {
                            bound(&text(value))
                        } else {
                            text(value)
                        },
                    )
                })
                .collect(),
            value: text(&sample[2]).parse().unwrap(),
        });
    Family {
        name: text(&json["name"]),
        kind: text(&json["kind"]),
        help: text(&json["help"]),
        samples: samples.collect(),
    }
}

/// A bucket's bound the same way for both formats, which write `1` and `1.0`.
fn bound(text: &str) -> String {
    text.parse::<f64>()
        .unwrap_or_else(|_| panic!("le={text:?} is a number"))
        .to_string()
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Series that differ in one label.
pub(crate) fn series(label: &str, values: &[(&str, f64)]) -> Series {
    values
        .iter()
        .map(|(text, value)| (labels(slice::from_ref(&(label, *text))), *value))
        .collect()
}

/// A Python process that parses for all tests: it remembers nothing from one body to the next.
struct Python {
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Python {
    fn ask(question: &Value) -> Value {
        static PYTHON: OnceLock<Mutex<Python>> = OnceLock::new();
        let mut python = PYTHON
            .get_or_init(|| Mutex::new(Self::start()))
            .lock()
            .unwrap();
        writeln!(python.input, "{question}").expect("the parser is there");
        let mut answer = String::new();
        python.output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).expect("the parser answers with JSON")
    }

    fn start() -> Self {
        let mut child = Command::new(Self::interpreter())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("whole/harness/parse.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python with prometheus_client runs: tests/run.sh installs it");
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            _child: child,
            input,
            output,
        }
    }

    /// `EXPORTER_TEST_PYTHON`, or what tests/run.sh has made.
    fn interpreter() -> PathBuf {
        env::var_os("EXPORTER_TEST_PYTHON").map_or_else(
            || super::objects::repository().join("target/test-venv/bin/python"),
            PathBuf::from,
        )
    }
}
