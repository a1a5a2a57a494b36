//! What kingpin, ebpf_exporter's flag parser, does to arguments before it looks at them: `@file`
//! stands for the lines of a file, and `--no-FLAG` turns off a flag that takes no value. Systemd
//! units and manifests rely on both.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Flags that take no value.
const SWITCHES: [&str; 8] = [
    "config.check",
    "config.strict",
    "config.strict-keys",
    "debug",
    "hardening.check",
    "log.no-timestamps",
    "web.disable-exporter-metrics",
    "web.openmetrics-created",
];

/// A file may name further files; one that names itself must come to an end.
const MAX_FILES: usize = 32;
const MAX_FILE_BYTES: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub(super) enum ExpandError {
    #[error("cannot read the arguments in `@{}`: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the arguments in `@{}` are larger than 1 MiB", .0.display())]
    TooLarge(PathBuf),
    #[error("more than {MAX_FILES} `@file` arguments: does a file name itself?")]
    TooMany,
}

/// The first argument is the program's name and stays as it is, as does everything after `--`.
pub(super) fn expand(
    args: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, ExpandError> {
    let mut rest: VecDeque<OsString> = args.into_iter().collect();
    let mut expanded: Vec<OsString> = rest.pop_front().into_iter().collect();
    let mut files = 0;
    while let Some(arg) = rest.pop_front() {
        if arg == "--" {
            expanded.push(arg);
            expanded.extend(rest);
            break;
        }
        match arg.as_bytes().strip_prefix(b"@") {
            Some(path) => {
                files += 1;
                if files > MAX_FILES {
                    return Err(ExpandError::TooMany);
                }
                for line in lines(PathBuf::from(OsStr::from_bytes(path)))?
                    .into_iter()
                    .rev()
                {
                    rest.push_front(line);
                }
            }
            None => match switch(&arg) {
                // The last one counts, so an earlier one goes.
                Some((flag, on)) => {
                    expanded.retain(|earlier| *earlier != flag);
                    expanded.extend(on.then_some(flag));
                }
                None => expanded.push(arg),
            },
        }
    }
    Ok(expanded)
}

/// One argument a line, spaces included; comments and empty lines are none.
fn lines(path: PathBuf) -> Result<Vec<OsString>, ExpandError> {
    let mut bytes = Vec::new();
    let read =
        File::open(&path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(source) => return Err(ExpandError::Unreadable { path, source }),
        Ok(length) if length as u64 > MAX_FILE_BYTES => return Err(ExpandError::TooLarge(path)),
        Ok(_) => {}
    }
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let arguments = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    Ok(arguments
        .map(|line| OsString::from_vec(line.to_vec()))
        .collect())
}

/// `--FLAG` or `--no-FLAG` as the former, and which it was. None: no switch.
fn switch(arg: &OsStr) -> Option<(OsString, bool)> {
    let name = arg.to_str()?.strip_prefix("--")?;
    let off = name
        .strip_prefix("no-")
        .filter(|name| SWITCHES.contains(name));
    match off {
        Some(name) => Some((format!("--{name}").into(), false)),
        None => SWITCHES.contains(&name).then(|| (arg.to_owned(), true)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn expanded(args: &[&str]) -> Vec<String> {
        let args = expand(args.iter().map(OsString::from)).unwrap();
        args.into_iter()
            .map(|arg| arg.into_string().unwrap())
            .collect()
    }

    #[test]
    fn files_become_their_lines_wherever_they_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (outer, inner) = (dir.path().join("outer"), dir.path().join("inner"));
        fs::write(&inner, "a b\r\n").unwrap();
        fs::write(
            &outer,
            format!("# comment\n--config.names\n@{}\n\n--debug", inner.display()),
        )
        .unwrap();
        let args = expanded(&["@program", &format!("@{}", outer.display()), "last"]);
        assert_eq!(
            args,
            ["@program", "--config.names", "a b", "--debug", "last"]
        );
    }

    #[test]
    fn a_file_that_is_missing_or_names_itself_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("args");
        let at = OsString::from(format!("@{}", path.display()));
        let error = expand(["x".into(), at.clone()]).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read the arguments in `@/") && error.contains("No such file"),
            "{error}"
        );
        fs::write(&path, at.as_bytes()).unwrap();
        assert!(matches!(
            expand(["x".into(), at]),
            Err(ExpandError::TooMany)
        ));
    }

    #[test]
    fn of_a_switch_and_its_opposite_the_last_one_counts() {
        assert_eq!(
            expanded(&["x", "--debug", "--no-such", "--debug", "y"]),
            ["x", "--no-such", "--debug", "y"]
        );
        assert_eq!(
            expanded(&["x", "--no-debug", "--log.no-timestamps"]),
            ["x", "--log.no-timestamps"]
        );
        assert_eq!(
            expanded(&["x", "--log.no-timestamps", "--no-log.no-timestamps"]),
            ["x"]
        );
        assert_eq!(
            expanded(&["x", "--", "--no-debug", "@file"]),
            ["x", "--", "--no-debug", "@file"]
        );
    }
}
