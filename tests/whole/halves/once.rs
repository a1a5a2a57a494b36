//! `--server.split=off`: the same in one process, for debugging.

use std::fs;

use super::{EVENTS, events, reload, setup};
use crate::hardening::{FEATURES, features};
use crate::harness::event::{fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::tree::{Split, descriptors};

#[test]
fn one_process_scrapes_reloads_and_says_that_it_is_one() {
    if Split::wanted() == Split::Unknown {
        return;
    }
    let host = setup().one_process().start();
    assert_eq!(host.tree().processes().len(), 1);
    watch_me(&host);
    fire(3, 2);
    assert_eq!(host.text().value(EVENTS, &[("argument", "3")]), Some(2.0));
    fs::write(host.path().join("unit.yaml"), events("Again.")).unwrap();
    let (status, message) = reload(&host);
    assert_eq!(status, 200, "{message}");
    assert!(message.contains("\nunit: reshape\n"), "{message}");
    let body = host.text();
    assert_eq!(body.family("ebpf_exporter_events").unwrap().help, "Again.");
    assert_eq!(body.value(EVENTS, &[("argument", "3")]), Some(2.0));
    let split = FEATURES.iter().position(|feature| *feature == "split");
    assert_eq!(features(&host)[split.unwrap()], 0.0);
    assert_says(&host.log(), &["feature=split", "active=false"]);
    assert!(descriptors(host.loader()) > 0);
    assert_eq!(host.tree().processes().len(), 1);
}
