//! YAML text -> `Node`. Owns everything that can be wrong with the text itself: its size, its
//! encoding, its syntax, keys that stand twice, aliases that multiply. Only the first document
//! counts, as in ebpf_exporter.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::diagnostic::{Diagnostics, LineColumn};
use super::tree::{Key, Node, NodeValue, Scalar, shorten};

/// The real ones have some KiB; a table of 50,000 names still fits.
pub(in crate::config) const MAX_BYTES: usize = 1 << 20;
/// What is said of a longer one.
pub(in crate::config) const TOO_LARGE: &str =
    "the file is larger than 1 MiB: is it a config? Split it into several units if it is";
/// Counted as if every alias were written out.
const MAX_NODES: usize = 200_000;
const MAX_DEPTH: usize = 64;

/// `expected`: what an empty file should have had. None: an error has been added to `diagnostics`.
pub(in crate::config) fn parse(
    bytes: &[u8],
    expected: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Rc<Node>> {
    let text = text_of(bytes, diagnostics)?;
    let mut builder = Builder {
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
    };
    // The parser puts what it misses at the end on a line behind it.
    let end = mark_of_offset(bytes, bytes.len());
    let line_column = |marker: &Marker| mark(marker).min(end);
    let mut parser = Parser::new_from_str(text);
    loop {
        let (event, span) = match parser.next_event() {
            Some(Ok(next)) => next,
            Some(Err(error)) => {
                let (at, hint) = (line_column(error.marker()), syntax_hint(error.info()));
                diagnostics.error(at, format!("not YAML: {}{hint}", error.info()));
                return None;
            }
            None => break,
        };
        let at = line_column(&span.start);
        if builder.root.is_some() {
            match event {
                Event::DocumentEnd => continue,
                Event::DocumentStart(_) => diagnostics.warning(
                    at,
                    "another document starts here: only the first one of a file is read",
                ),
                _ => {}
            }
            break;
        }
        if let Err(message) = builder.event(event, at, diagnostics) {
            diagnostics.error(at, message);
            return None;
        }
    }
    if builder.root.is_none() {
        diagnostics.error(
            LineColumn::default(),
            format!("the file is empty: expected {expected}"),
        );
    }
    builder.root.map(|built| built.node)
}

fn text_of<'b>(bytes: &'b [u8], diagnostics: &mut Diagnostics) -> Option<&'b str> {
    if bytes.len() > MAX_BYTES {
        diagnostics.error(LineColumn::default(), TOO_LARGE);
        return None;
    }
    // Before UTF-8: a file in UTF-16 is better told by its NUL bytes than by its first accent.
    if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
        diagnostics.error(
            mark_of_offset(bytes, offset),
            "a NUL byte: expected text in UTF-8 (a binary file, or UTF-16?)",
        );
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            diagnostics.error(
                mark_of_offset(bytes, error.valid_up_to()),
                "a byte that is not UTF-8: save the file as UTF-8",
            );
            None
        }
    }
}

/// What to do about the parser's most frequent complaints.
fn syntax_hint(info: &str) -> &'static str {
    if info.contains("mapping values are not allowed") {
        ": a text that contains `: ` needs quotes"
    } else if info.contains("tabs disallowed") {
        ": indent with spaces"
    } else {
        ""
    }
}

/// The parser counts columns from 0, in characters.
fn mark(marker: &Marker) -> LineColumn {
    LineColumn {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

/// Lines as YAML ends them: by `\n`, `\r` or both.
fn mark_of_offset(bytes: &[u8], offset: usize) -> LineColumn {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let ends = |at: usize| match before.get(at) {
        Some(b'\n') => true,
        Some(b'\r') => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    let breaks = (0..before.len()).filter(|at| ends(*at));
    let (count, line_start) = breaks.fold((0, 0), |(count, _), at| (count + 1, at + 1));
    let column = String::from_utf8_lossy(before.get(line_start..).unwrap_or_default())
        .chars()
        .count()
        + 1;
    LineColumn {
        line: count + 1,
        column,
    }
}

/// A finished node and how large it is.
#[derive(Clone)]
struct Built {
    node: Rc<Node>,
    /// Nodes in it, itself included, with every alias written out.
    nodes: usize,
    /// Levels below and including it.
    depth: usize,
}

/// A list or mapping whose end has not come yet.
struct Open {
    at: LineColumn,
    anchor: usize,
    nodes: usize,
    depth: usize,
    children: Children,
}

enum Children {
    List(Vec<Rc<Node>>),
    Mapping {
        entries: Vec<(Key, Rc<Node>)>,
        seen: HashMap<String, LineColumn>,
        /// A key that waits for its value.
        key: Option<Key>,
        /// Values of `<<`, in order.
        merges: Vec<Rc<Node>>,
    },
}

struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Built>,
    nodes: usize,
    root: Option<Built>,
}

// === impl Builder ===

impl Builder {
    /// `Err`: the sentence for an error at which reading ends.
    fn event(
        &mut self,
        event: Event<'_>,
        at: LineColumn,
        diagnostics: &mut Diagnostics,
    ) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain =
                    style == ScalarStyle::Plain && !tag.is_some_and(|tag| is_string_tag(&tag));
                let value = NodeValue::Scalar(Scalar {
                    text: text.into_owned(),
                    plain,
                });
                let built = Built {
                    node: Rc::new(Node { at, value }),
                    nodes: 1,
                    depth: 1,
                };
                self.count(1)?;
                self.finish(built, anchor, at, diagnostics)
            }
            Event::Alias(anchor) => {
                // An anchor is known only once its node is complete.
                let Some(built) = self.anchors.get(&anchor).cloned() else {
                    return Err("an alias inside the very node it refers to".to_owned());
                };
                self.count(built.nodes)?;
                self.finish(built, 0, at, diagnostics)
            }
            Event::SequenceStart(anchor, _) => self.start(at, anchor, Children::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                let children = Children::Mapping {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: None,
                    merges: Vec::new(),
                };
                self.start(at, anchor, children)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let value = match open.children {
                    Children::List(items) => NodeValue::List(items),
                    Children::Mapping {
                        entries,
                        seen,
                        merges,
                        ..
                    } => NodeValue::Mapping(merge(entries, seen, merges, diagnostics)),
                };
                let node = Rc::new(Node { at: open.at, value });
                self.finish(
                    Built {
                        node,
                        nodes: open.nodes,
                        depth: open.depth,
                    },
                    open.anchor,
                    open.at,
                    diagnostics,
                )
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn start(&mut self, at: LineColumn, anchor: usize, children: Children) -> Result<(), String> {
        self.count(1)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep());
        }
        self.open.push(Open {
            at,
            anchor,
            nodes: 1,
            depth: 1,
            children,
        });
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(format!(
                "the file has more than {MAX_NODES} values, with aliases written out: split it into several units"
            ));
        }
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn finish(
        &mut self,
        built: Built,
        anchor: usize,
        at: LineColumn,
        diagnostics: &mut Diagnostics,
    ) -> Result<(), String> {
        if self.open.len() + built.depth > MAX_DEPTH {
            return Err(too_deep());
        }
        if anchor > 0 {
            self.anchors.insert(anchor, built.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(built);
            return Ok(());
        };
        parent.nodes += built.nodes;
        parent.depth = parent.depth.max(built.depth + 1);
        match &mut parent.children {
            Children::List(items) => items.push(built.node),
            Children::Mapping {
                entries,
                seen,
                key,
                merges,
            } => match key.take() {
                None => *key = Some(key_of(&built.node, at)?),
                Some(key) if key.scalar.plain && key.scalar.text == "<<" => merges.push(built.node),
                Some(key) => {
                    match seen.get(&key.scalar.text) {
                        Some(first) => {
                            let name = shorten(&key.scalar.text);
                            diagnostics.lenient(
                            key.at,
                            format!("duplicate key `{name}`: it is already at {first}, this one counts"),
                        );
                            let known = entries
                                .iter_mut()
                                .find(|(known, _)| known.scalar.text == key.scalar.text);
                            if let Some(entry) = known {
                                *entry = (key, built.node);
                            }
                        }
                        None => {
                            seen.insert(key.scalar.text.clone(), key.at);
                            entries.push((key, built.node));
                        }
                    }
                }
            },
        }
        Ok(())
    }
}

fn too_deep() -> String {
    format!("more than {MAX_DEPTH} levels of lists and mappings")
}

fn key_of(node: &Node, at: LineColumn) -> Result<Key, String> {
    match &node.value {
        NodeValue::Scalar(scalar) => Ok(Key {
            at,
            scalar: scalar.clone(),
        }),
        _ => Err(format!("expected a text as key, found {}", node.describe())),
    }
}

/// YAML 1.1's merge key: what is written in the mapping itself wins, then the first of the merged
/// ones.
fn merge(
    mut entries: Vec<(Key, Rc<Node>)>,
    mut seen: HashMap<String, LineColumn>,
    merges: Vec<Rc<Node>>,
    diagnostics: &mut Diagnostics,
) -> Vec<(Key, Rc<Node>)> {
    for source in merges {
        let sources = match &source.value {
            NodeValue::List(items) => items.clone(),
            _ => vec![source],
        };
        for source in sources {
            let NodeValue::Mapping(merged) = &source.value else {
                diagnostics.error(
                    source.at,
                    format!(
                        "expected a mapping to merge with `<<`, found {}",
                        source.describe()
                    ),
                );
                continue;
            };
            for (key, value) in merged {
                if seen.insert(key.scalar.text.clone(), key.at).is_none() {
                    entries.push((key.clone(), Rc::clone(value)));
                }
            }
        }
    }
    entries
}

fn is_string_tag(tag: &Tag) -> bool {
    tag.is_yaml_core_schema() && tag.suffix == "str"
}
