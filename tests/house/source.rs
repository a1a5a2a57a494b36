//! A Rust file, read just well enough: code apart from comments and strings, and its imports.

use std::path::PathBuf;

pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) text: String,
    /// Without comments and what is in strings.
    code: String,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Code,
    Text,
    /// With so many `#`.
    RawText(usize),
}

impl Source {
    pub(crate) fn new(path: PathBuf, text: &str) -> Self {
        let mut state = State::Code;
        let lines = text
            .lines()
            .map(|line| Line {
                text: line.to_owned(),
                code: code_of(line, &mut state),
            })
            .collect();
        Self { path, lines }
    }

    /// The room in host/src that a file belongs to; none for lib.rs and main.rs, and for tests.
    pub(crate) fn room(&self) -> Option<String> {
        let module = self.module();
        let test = module
            .iter()
            .any(|part| part.contains("tests") || part == "test_support");
        module.into_iter().next().filter(|_| !test)
    }

    /// The path of the module below `crate`.
    pub(crate) fn module(&self) -> Vec<String> {
        let mut parts: Vec<String> = self
            .path
            .with_extension("")
            .iter()
            .skip(2)
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if parts
            .last()
            .is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str()))
        {
            parts.pop();
        }
        parts
    }

    /// What is named with `crate::` or `super::` outside of `#[cfg(test)] mod tests { … }`, with
    /// the line's number: paths below `crate`.
    pub(crate) fn imports(&self) -> impl Iterator<Item = (usize, Vec<String>)> {
        let module = self.module();
        let mut found = Vec::new();
        let mut statement = String::new();
        let mut start = 0;
        for (number, line) in self.lines.iter().enumerate() {
            if line.code.starts_with("mod tests {") {
                break;
            }
            if statement.is_empty() {
                start = number + 1;
            }
            statement.push_str(line.code.trim());
            statement.push(' ');
            let is_use = statement.trim_start().starts_with("use ")
                || statement.trim_start().starts_with("pub") && statement.contains(" use ");
            if is_use && !statement.contains(';') {
                continue;
            }
            for path in paths(&statement) {
                if let Some(path) = absolute(&module, &path) {
                    found.push((start, path));
                }
            }
            statement.clear();
        }
        found.into_iter()
    }
}

impl Line {
    /// What follows the slashes, if there is nothing before them.
    pub(crate) fn comment(&self) -> Option<&str> {
        let comment = self.text.trim_start().strip_prefix("//")?;
        Some(comment.trim_start_matches(['/', '!']))
    }

    /// Whether `word` is given to something here: a function, type, field, parameter or variable.
    pub(crate) fn defines(&self, word: &str) -> bool {
        let mut rest = self.code.as_str();
        let mut before = String::new();
        while let Some(at) = rest.find(word) {
            before.push_str(&rest[..at]);
            let after = &rest[at + word.len()..];
            if !before.ends_with(is_word) && !after.starts_with(is_word) {
                let follows = after.trim_start();
                let keyword = before.split_whitespace().next_back().unwrap_or_default();
                let declared = [
                    "fn", "struct", "enum", "trait", "type", "const", "static", "mod", "let",
                    "mut", "for",
                ]
                .contains(&keyword);
                let typed = follows.starts_with(':') && !follows.starts_with("::");
                let bound = before.ends_with('|') || before.ends_with("Some(");
                if declared || typed || bound {
                    return true;
                }
            }
            before.push_str(word);
            rest = after;
        }
        false
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn code_of(line: &str, state: &mut State) -> String {
    let mut code = String::new();
    let mut rest = line;
    loop {
        match *state {
            State::Code => {
                let mut chars = rest.chars();
                let Some(c) = chars.next() else { break };
                if rest.starts_with("//") {
                    break;
                }
                let raw = rest
                    .strip_prefix('r')
                    .map(|raw| raw.trim_start_matches('#'));
                if let Some(raw) = raw
                    && raw.starts_with('"')
                    && !code.ends_with(|c: char| is_word(c) && c != 'b')
                {
                    let hashes = rest.len() - raw.len() - 1;
                    code.push('"');
                    *state = State::RawText(hashes);
                    rest = &raw[1..];
                    continue;
                }
                if let Some(length) = char_literal(rest) {
                    code.push_str("' '");
                    rest = &rest[length..];
                    continue;
                }
                if c == '"' {
                    *state = State::Text;
                }
                code.push(c);
                rest = chars.as_str();
            }
            State::Text => {
                let Some(at) = rest.find(['"', '\\']) else {
                    break;
                };
                if rest[at..].starts_with('"') {
                    code.push('"');
                    *state = State::Code;
                    rest = &rest[at + 1..];
                } else {
                    let escaped = rest[at + 1..].chars().next().map_or(0, char::len_utf8);
                    rest = &rest[at + 1 + escaped..];
                }
            }
            State::RawText(hashes) => {
                let end = format!("\"{}", "#".repeat(hashes));
                let Some(at) = rest.find(&end) else { break };
                code.push('"');
                *state = State::Code;
                rest = &rest[at + end.len()..];
            }
        }
    }
    code
}

/// The length of the character literal that `text` begins with.
fn char_literal(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    if let Some(escape) = inner.strip_prefix('\\') {
        // The escaped character may be a quote itself.
        let skip = escape.chars().next()?.len_utf8();
        return Some(2 + skip + escape[skip..].find('\'')? + 1);
    }
    let c = inner.chars().next()?;
    inner[c.len_utf8()..]
        .starts_with('\'')
        .then(|| c.len_utf8() + 2)
}

/// Paths of `statement` that begin with `crate` or `super`, braces taken apart.
fn paths(statement: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = ["crate::", "super::"]
        .iter()
        .filter_map(|start| statement[at..].find(start))
        .min()
    {
        let start = at + next;
        if statement[..start].ends_with(|c: char| is_word(c) || c == ':') {
            at = start + 1;
            continue;
        }
        at = start + tree(&statement[start..], &[], &mut found);
    }
    found
}

/// Reads one use tree and gives its length.
fn tree(text: &str, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        if rest.starts_with('{') {
            at += 1;
            loop {
                let rest = &text[at..];
                let skipped = rest.len() - rest.trim_start_matches([' ', ',']).len();
                at += skipped;
                match text[at..].chars().next() {
                    None => return at,
                    Some('}') => return at + 1,
                    Some(c) if is_word(c) || c == '{' || c == '*' => {
                        at += tree(&text[at..], &path, found).max(1);
                    }
                    Some(c) => at += c.len_utf8(),
                }
            }
        }
        let word: String = rest.chars().take_while(|c| is_word(*c)).collect();
        at += word.len();
        if !word.is_empty() && word != "self" {
            path.push(word);
        }
        if text[at..].starts_with("::") {
            at += 2;
            continue;
        }
        found.push(path);
        if let Some(renamed) = text[at..].strip_prefix(" as ") {
            at += 4 + renamed.chars().take_while(|c| is_word(*c)).count();
        }
        return at;
    }
}

/// `path` below `crate`, for a path in `module`.
fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    match path.first().map(String::as_str) {
        Some("crate") => Some(path[1..].to_vec()),
        Some("super") => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            let kept = module.len().checked_sub(ups)?;
            Some([&module[..kept], &path[ups..]].concat())
        }
        _ => None,
    }
}
