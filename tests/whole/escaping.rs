//! Names of processes that try to break out of their label.

use crate::harness::event::{fire, watch_me};
use crate::harness::parser::Format;
use crate::harness::sys::set_command;
use crate::harness::{Host, labels};

const YAML: &str = "metrics: {counters: [{name: events_total, help: \"A help with \\\\ and \\\"\\nand a second line.\", labels: [\
    {name: command, size: 16, decoders: [{name: string}]}, {name: argument, size: 4, decoders: [{name: uint}]}]}]}";

#[test]
fn names_that_are_no_text_or_look_like_syntax() {
    let host = Host::start("events", YAML);
    watch_me(&host);
    let commands: [(&[u8], &str); 8] = [
        (b"\xff", "\u{fffd}"),
        (b"a\"b\\c\n", "a\"b\\c\n"),
        (b"\\n", "\\n"),
        (b"} 1", "} 1"),
        (b"\"\"", "\"\""),
        (b"\r\t\x01", "\r\t\x01"),
        (b"ok\xc3", "ok\u{fffd}"),
        (b"caf\xc3\xa9", "caf\u{e9}"),
    ];
    for (command, argument) in commands.iter().zip(1..) {
        set_command(command.0);
        fire(argument, 2);
    }
    set_command(b"escaping");
    let wanted = commands
        .iter()
        .zip(1_u32..)
        .map(|((_, text), n)| {
            (
                labels(&[("command", text), ("argument", &n.to_string())]),
                2.0,
            )
        })
        .collect();
    assert_eq!(host.series("ebpf_exporter_events_total"), wanted);
    let text = host.fetch(Format::Text);
    for line in [
        "ebpf_exporter_events_total{argument=\"1\",command=\"\u{fffd}\"} 2",
        r#"ebpf_exporter_events_total{argument="2",command="a\"b\\c\n"} 2"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn help_is_escaped() {
    let host = Host::start("events", YAML);
    watch_me(&host);
    fire(1, 1);
    let help = "A help with \\ and \"\nand a second line.";
    for body in [host.text(), host.open_metrics()] {
        assert_eq!(body.family("ebpf_exporter_events").unwrap().help, help);
    }
}
