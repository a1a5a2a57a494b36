//! What host/ARCHITECTURE.md and the style promise about the sources themselves: the arrows between
//! rooms, no two files that import each other, the field's words, and the width of comments.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

mod source;

use source::{Line, Source};

/// The most columns of a comment.
const MAX_COLUMNS: usize = 100;

/// Words that this tree had for itself, and the field's for them (design/house.md).
const OLD_WORDS: [(&str, &str); 54] = [
    ("Walked", "MetricScrapeStats"),
    ("Meaning", "KeyBinding"),
    ("Trouble", "UnitFailure"),
    ("may_heal", "retryable"),
    ("Problem", "Diagnostic"),
    ("Problems", "Diagnostics"),
    ("Make", "Fingerprint"),
    ("Now", "Current"),
    ("Wanted", "Desired"),
    ("Fleet", "Units"),
    ("Share", "SingleFlight"),
    ("Here", "Flight"),
    ("Latest", "TargetCache"),
    ("Opener", "MetricBuilder"),
    ("Terms", "PluginPolicy"),
    ("strays", "orphans"),
    ("Account", "ScrapeRecorder"),
    ("Packer", "Compressor"),
    ("Lease", "PooledBuf"),
    ("Rendering", "MetricsBody"),
    ("Machine", "HostTopology"),
    ("Asleep", "StartError"),
    ("awaken", "ensure_started"),
    ("let_rest", "stop_idle"),
    ("FEWEST", "MIN"),
    ("twins", "duplicates"),
    ("become_it", "switch"),
    ("StallGuard", "WriteTimeout"),
    ("place", "index, point, permit, position"),
    ("places", "attach_points, permits, paths"),
    ("most", "max"),
    ("MOST", "MAX"),
    ("least", "min"),
    ("LEAST", "MIN"),
    ("longest", "max"),
    ("LONGEST", "MAX"),
    ("gone", "removed"),
    ("come", "added"),
    ("told", "warned, sent"),
    ("complained", "warned"),
    ("said", "reported"),
    ("alone", "single"),
    ("outside", "test_support"),
    ("packed", "compressed, buffered"),
    ("piece", "chunk"),
    ("PIECE", "CHUNK"),
    ("claim", "lock, take"),
    ("beside", "load_for"),
    ("under", "with_policy"),
    ("revive", "ensure_instance"),
    ("bury", "discard_instance"),
    ("SOON", "TIMEOUT, RETRY_SHORT"),
    ("LATER", "RETRY_LONG"),
    ("decide", "plan_unit"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All `.rs` files below `directory`, by path from the top of the repository.
fn sources(directory: &str) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut directories = vec![root.join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target") {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap();
                found.push(Source::new(path.to_owned(), &text));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "there is no .rs file below {directory}");
    found
}

fn all_sources() -> Vec<Source> {
    ["host", "guest-sdk", "decoders", "tests", "examples"]
        .iter()
        .flat_map(|directory| sources(directory))
        .collect()
}

#[track_caller]
fn assert_none(found: &[String], what: &str) {
    assert!(
        found.is_empty(),
        "{} {what}:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn comments_fit_into_100_columns() {
    let mut wide = Vec::new();
    for source in all_sources() {
        let mut fenced = false;
        for (number, line) in source.lines.iter().enumerate() {
            let Some(comment) = line.comment() else {
                continue;
            };
            fenced ^= comment.trim_start().starts_with("```");
            // Code and tables.
            if fenced || comment.starts_with(" |") || comment.starts_with("     ") {
                continue;
            }
            if line.text.chars().count() > MAX_COLUMNS {
                wide.push(format!("{}:{}", source.path.display(), number + 1));
            }
        }
    }
    assert_none(&wide, "comments are wider than 100 columns");
}

#[test]
fn old_words_are_no_identifiers() {
    let mut found = Vec::new();
    for source in ["host/src", "tests/whole", "tests/benches"]
        .iter()
        .flat_map(|directory| sources(directory))
    {
        for (number, line) in source.lines.iter().enumerate() {
            for (old, new) in OLD_WORDS {
                if line.defines(old) {
                    let path = source.path.display();
                    found.push(format!("{path}:{}: {old}, say {new}", number + 1));
                }
            }
        }
    }
    assert_none(&found, "definitions with an old word");
}

/// The rooms that each room may use, from the table in host/ARCHITECTURE.md:
/// "| `room` | `other` `another` |".
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("host/ARCHITECTURE.md")).unwrap();
    let mut rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| room | may use |"))
        .skip(2);
    let mut arrows = BTreeMap::new();
    for row in rows.by_ref().take_while(|line| line.starts_with('|')) {
        let mut cells = row.trim_matches('|').split('|');
        let (Some(room), Some(uses)) = (cells.next(), cells.next()) else {
            panic!("expected two cells: {row}");
        };
        let names = |cell: &str| -> Vec<String> {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect()
        };
        let [room] = names(room).try_into().unwrap();
        arrows.insert(room, names(uses).into_iter().collect());
    }
    assert!(arrows.len() > 10, "the table of rooms was not found");
    arrows
}

#[test]
fn rooms_use_what_the_architecture_says_and_nothing_else() {
    let arrows = arrows();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for source in sources("host/src") {
        let Some(room) = source.room() else { continue };
        for (number, used) in source.imports() {
            let Some(used) = used.first().filter(|used| **used != room) else {
                continue;
            };
            // An item of lib.rs, or a file that is no room.
            if !arrows.contains_key(used) {
                continue;
            }
            seen.entry(room.clone()).or_default().insert(used.clone());
            if !arrows.get(&room).is_some_and(|uses| uses.contains(used)) {
                wrong.push(format!(
                    "{}:{number}: {room} -> {used}",
                    source.path.display()
                ));
            }
        }
    }
    assert_none(&wrong, "imports that host/ARCHITECTURE.md does not have");
    let mut unused = Vec::new();
    for (room, uses) in arrows {
        let seen = seen.remove(&room).unwrap_or_default();
        unused.extend(
            uses.difference(&seen)
                .map(|used| format!("{room} -> {used}")),
        );
    }
    assert_none(&unused, "arrows of host/ARCHITECTURE.md are not there");
}

#[test]
fn no_two_files_import_each_other() {
    let sources = sources("host/src");
    let modules: BTreeMap<Vec<String>, &Source> = sources
        .iter()
        .map(|source| (source.module(), source))
        .collect();
    let mut edges = BTreeSet::new();
    for (module, source) in &modules {
        for (_, mut path) in source.imports() {
            // The longest prefix that is a file.
            while !path.is_empty() && !modules.contains_key(&path) {
                path.pop();
            }
            let related = path.starts_with(module) || module.starts_with(&path);
            if !path.is_empty() && !related {
                edges.insert((module.clone(), path));
            }
        }
    }
    assert!(
        edges.len() > 100,
        "hardly any imports were found: {}",
        edges.len()
    );
    let mutual: Vec<String> = edges
        .iter()
        .filter(|(from, to)| from < to && edges.contains(&(to.clone(), from.clone())))
        .map(|(from, to)| format!("{} <-> {}", from.join("::"), to.join("::")))
        .collect();
    assert_none(&mutual, "pairs of files import each other");
}

#[test]
fn what_is_code_and_what_is_not() {
    let source = Source::new(
        "host/src/rows/x.rs".into(),
        "//! place\nuse super::super::bpf::{Kind, reader::{self, Walk}};\n\
         fn f(place: u8) { let s = \"fn most(\"; } // most: x\nstruct Slot;\n",
    );
    let defines = |word| source.lines.iter().any(|line: &Line| line.defines(word));
    assert!(defines("place") && defines("Slot") && defines("f") && defines("s"));
    assert!(!defines("most") && !defines("Walk"));
    assert_eq!(source.room().as_deref(), Some("rows"));
    let imports: Vec<String> = source.imports().map(|(_, path)| path.join("::")).collect();
    assert_eq!(imports, ["bpf::Kind", "bpf::reader", "bpf::reader::Walk"]);
}
