//! A registry of parts, and what comes after it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::component::{ENGINE, FACTS, Guest};
use crate::digest::Digest;
use crate::link::sealed;
use crate::plugin::{Compile, InProcess, LoadError, Offer, Plugin, PluginParts, Registry};

fn parts(name: &str, component: &[u8]) -> PluginParts {
    PluginParts {
        name: name.to_owned(),
        path: PathBuf::from(format!("/plugins/{name}.wasm")),
        digest: Digest::of(component),
        sidecar: None,
        compiled: Some(InProcess.compile(name, component).unwrap()),
    }
}

/// Whoever sends the parts knows that they have been there already.
fn as_before(name: &str, component: &[u8]) -> PluginParts {
    let compiled = None;
    PluginParts {
        compiled,
        ..parts(name, component)
    }
}

fn rebuilt(registry: &Registry, parts: Vec<PluginParts>) -> (Registry, Vec<(PathBuf, LoadError)>) {
    registry.rebuilt(&ENGINE, &FACTS, parts)
}

fn plugin<'a>(registry: &'a Registry, decoder: &'a str) -> &'a Arc<Plugin> {
    registry.find(Offer::Decoder, decoder).unwrap().0
}

fn calls(registry: &Registry) -> u64 {
    registry.stats().iter().map(|(_, stats)| stats.calls).sum()
}

#[test]
fn what_has_not_changed_is_the_same_plugin() {
    let [one, two] = ["one", "two"].map(|name| Guest::new().names(&[name]).build());
    let (first, failed) = rebuilt(&Registry::empty(), vec![parts("p", &one)]);
    assert!(failed.is_empty(), "{failed:?}");
    let kept = Arc::clone(plugin(&first, "one"));
    assert_eq!(first.versions()["p"], Digest::of(&one));

    for again in [parts("p", &one), as_before("p", &one)] {
        let (second, failed) = rebuilt(&first, vec![again]);
        assert!(failed.is_empty() && second.has_plugin(&kept));
        assert_eq!(calls(&second), 1, "it is not asked for its names again");
    }

    let sidecar = b"grants: {clock: true}";
    let mut other = as_before("p", &one);
    other.sidecar = Some(sidecar.to_vec());
    let (second, failed) = rebuilt(&first, vec![other]);
    assert!(failed.is_empty() && !second.has_plugin(&kept));
    assert!(plugin(&second, "one").policy.grants.clock);
    let version = Digest::of(&one).with(Some(Digest::of(sidecar)));
    assert_eq!(second.versions()["p"], version);

    let (third, failed) = rebuilt(&second, vec![parts("p", &two)]);
    assert!(failed.is_empty() && third.find(Offer::Decoder, "one").is_err());
    assert_eq!(calls(&third), 2, "it goes on with the counters");
    assert!(!plugin(&third, "two").policy.grants.clock);
    let (last, _) = rebuilt(&third, Vec::new());
    assert!(last.versions().is_empty() && last.stats().is_empty());
}

#[test]
fn of_what_cannot_be_used_the_version_before_stays() {
    let good = Guest::new().build();
    let (first, _) = rebuilt(&Registry::empty(), vec![parts("p", &good)]);
    let kept = Arc::clone(plugin(&first, "echo"));
    let with = |change: &dyn Fn(&mut PluginParts)| {
        let mut parts = parts("p", &good);
        parts.digest = Digest::of(b"another");
        change(&mut parts);
        parts
    };
    let compiled = |code: OwnedFd| {
        let code = std::cell::Cell::new(Some(code));
        with(&|parts| parts.compiled = code.take())
    };
    let open_file = tempfile::tempfile().unwrap();
    let null = File::open("/dev/null").unwrap();
    let sidecar = |text: &str| with(&|parts| parts.sidecar = Some(text.into()));
    let no_plugin = wat::parse_str("(component)").unwrap();
    for (parts, why) in [
        (with(&|parts| parts.compiled = None), "did not come with it"),
        (
            compiled(open_file.into()),
            "its compiled code cannot be used",
        ),
        (compiled(null.into()), "its compiled code cannot be used"),
        (
            compiled(sealed("p", b"no code at all").unwrap()),
            "its compiled code cannot be used",
        ),
        (
            compiled(sealed("p", &good).unwrap()),
            "its compiled code cannot be used",
        ),
        (sidecar("grants: 5"), "its sidecar cannot be used"),
        (
            sidecar(&format!("sha256: {}", Digest::of(&good))),
            "its bytes are not those that its sidecar names",
        ),
        (self::parts("p", &no_plugin), "it exports none of "),
        (
            self::parts("p", &Guest::new().catalogue("(unreachable)").build()),
            "its catalogue cannot be read",
        ),
    ] {
        let (second, failed) = rebuilt(&first, vec![parts]);
        let [(path, error)] = failed.as_slice() else {
            panic!("{why}: {failed:?}");
        };
        assert_eq!(path, &PathBuf::from("/plugins/p.wasm"));
        let error = error.to_string();
        assert!(error.contains(why), "{error}");
        assert!(second.has_plugin(&kept), "{why}");
    }
    let (fresh, failed) = rebuilt(&Registry::empty(), vec![as_before("p", &good)]);
    assert!(matches!(failed.as_slice(), [(_, LoadError::NoCode)]));
    assert!(fresh.versions().is_empty());
}

#[test]
fn a_name_is_one_plugins() {
    let [one, two] = ["one", "two"].map(|name| Guest::new().names(&[name]).build());
    let (registry, failed) = rebuilt(&Registry::empty(), vec![parts("p", &one), parts("p", &two)]);
    assert!(matches!(failed.as_slice(), [(_, LoadError::NameTaken(_))]));
    assert!(registry.find(Offer::Decoder, "one").is_ok());
}
