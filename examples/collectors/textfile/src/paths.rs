//! Which files are meant: absolute paths, in which `*`, `?` and `[…]` stand for names or parts of
//! them.

use std::collections::BTreeSet;

use exporter_guest_sdk::Files;
use exporter_guest_sdk::files::FileError;
use glob::Pattern;

/// One path of the options.
#[derive(Debug)]
pub(crate) struct PathPattern {
    components: Vec<Component>,
}

#[derive(Debug)]
enum Component {
    Name(String),
    Pattern(Pattern),
}

impl PathPattern {
    pub(crate) fn parse(path: &str) -> Result<Self, String> {
        let Some(relative) = path.strip_prefix('/') else {
            return Err(format!(
                "`{path}` is not absolute: expected a path that starts with /"
            ));
        };
        let components = relative.split('/').map(|component| match component {
            "" | "." | ".." => Err(format!("`{path}` has a part `{component}`: expected names, `*`, `?` or `[…]` between slashes")),
            "**" => Err(format!("`{path}`: `**` is not there, write `*` for each level of directories")),
            _ if !component.contains(['*', '?', '[']) => Ok(Component::Name(component.to_owned())),
            _ => Pattern::new(component)
                .map(Component::Pattern)
                .map_err(|error| format!("`{path}`: {error}")),
        });
        Ok(Self {
            components: components.collect::<Result<_, _>>()?,
        })
    }

    /// The paths that this stands for now: sorted, those that need not exist (behind a pattern)
    /// included. A directory that cannot be listed is an error if it should be there, or if there
    /// is another reason.
    pub(crate) fn expand(
        &self,
        files: &impl Files,
        errors: &mut Vec<FileError>,
    ) -> BTreeSet<String> {
        let mut paths = BTreeSet::from([String::new()]);
        let mut is_certain = true;
        for component in &self.components {
            paths = match component {
                Component::Name(name) => paths
                    .into_iter()
                    .map(|path| format!("{path}/{name}"))
                    .collect(),
                Component::Pattern(pattern) => {
                    let mut found = BTreeSet::new();
                    for path in paths {
                        let directory = if path.is_empty() { "/" } else { &path };
                        match files.list_dir(directory) {
                            Ok(names) => {
                                let names = names.into_iter().filter(|name| pattern.matches(name));
                                found.extend(names.map(|name| format!("{path}/{name}")));
                            }
                            Err(error) if error.is_not_found() && !is_certain => {}
                            Err(error) => errors.push(error),
                        }
                    }
                    is_certain = false;
                    found
                }
            };
        }
        paths
    }

    /// Whether it stands for one path that should be there.
    pub(crate) fn is_literal(&self) -> bool {
        self.components
            .iter()
            .all(|component| matches!(component, Component::Name(_)))
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::files::FileProblem;
    use exporter_guest_sdk::testing::FakeFiles;

    use super::*;

    fn files() -> FakeFiles {
        let mut files = FakeFiles::default();
        files
            .add("/metrics/b.prom", "")
            .add("/metrics/a.prom", "")
            .add("/metrics/.hidden.prom", "")
            .add("/metrics/a.prom.tmp", "")
            .add("/proc/systemtap/one/__prometheus", "")
            .add("/proc/systemtap/two/other", "");
        files
    }

    fn expand(path: &str, files: &FakeFiles) -> (Vec<String>, Vec<String>) {
        let mut errors = Vec::new();
        let paths = PathPattern::parse(path).unwrap().expand(files, &mut errors);
        (
            paths.into_iter().collect(),
            errors.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn patterns_stand_for_names() {
        let files = files();
        let found = |path| expand(path, &files).0;
        // As with Go's, which node_exporter uses, a dot in front is nothing special.
        assert_eq!(
            found("/metrics/*.prom"),
            [
                "/metrics/.hidden.prom",
                "/metrics/a.prom",
                "/metrics/b.prom"
            ]
        );
        assert_eq!(
            found("/metrics/[ab].prom"),
            ["/metrics/a.prom", "/metrics/b.prom"]
        );
        assert_eq!(found("/*/?.prom"), ["/metrics/a.prom", "/metrics/b.prom"]);
        assert_eq!(found("/nowhere/a.prom"), ["/nowhere/a.prom"]);
        assert_eq!(
            found("/proc/systemtap/*/__prometheus"),
            [
                "/proc/systemtap/one/__prometheus",
                "/proc/systemtap/two/__prometheus"
            ]
        );
    }

    #[test]
    fn only_directories_that_should_be_there_are_errors() {
        let mut files = files();
        assert_eq!(
            expand("/nowhere/*.prom", &files).1,
            ["/nowhere: no such file or directory"]
        );
        // b.prom is no directory, and need not be one.
        assert_eq!(expand("/metrics/*/x*", &files), (vec![], vec![]));
        files.fail("/metrics", FileProblem::Denied("not granted".to_owned()));
        assert_eq!(
            expand("/metrics/*.prom", &files).1,
            ["/metrics: not granted"]
        );
    }

    #[test]
    fn what_is_no_path_says_why() {
        for path in ["", "a.prom", "/a/../b", "/a//b", "/a/", "/a/**/b", "/a/[b"] {
            let error = PathPattern::parse(path).unwrap_err();
            assert!(error.starts_with(&format!("`{path}`")), "{error}");
        }
        assert!(PathPattern::parse("/a/b.prom").unwrap().is_literal());
        assert!(!PathPattern::parse("/a/*").unwrap().is_literal());
    }
}
