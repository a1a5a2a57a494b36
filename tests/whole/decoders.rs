//! Every decoder, on keys in a real map, in both formats.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::harness::maps::number;
use crate::harness::network::in_own_namespace;
use crate::harness::plugin::spoken_as;
use crate::harness::{Host, Setup, names, series};

/// A row and the label it becomes; `None`: the row is left out.
type Row<'a> = (&'a [u8], Option<&'a str>);

/// Puts one entry per row into a map with keys of `size` bytes and compares the labels that come
/// out. `decoders` is a YAML flow sequence.
fn decodes(size: usize, decoders: &str, rows: &[Row<'_>]) -> Host {
    let yaml = format!(
        "metrics: {{counters: [{{name: k{size}_total, help: Test., labels: [{{name: it, size: {size}, decoders: {decoders}}}]}}]}}"
    );
    let host = Host::start("maps", &yaml);
    let map = host.map(&format!("k{size}_total"));
    let mut wanted = Vec::new();
    for (&(key, label), value) in rows.iter().zip(1_u8..) {
        map.set(key, value.into());
        wanted.extend(label.map(|label| (label, f64::from(value))));
    }
    assert_eq!(
        host.series(&format!("ebpf_exporter_k{size}_total")),
        series("it", &wanted)
    );
    host
}

/// The same for numbers of four bytes.
fn decodes_numbers(decoders: &str, rows: &[(u32, Option<&str>)]) {
    let rows: Vec<_> = rows
        .iter()
        .map(|(value, label)| (number(*value), *label))
        .collect();
    let rows: Vec<Row<'_>> = rows
        .iter()
        .map(|(key, label)| (key.as_slice(), *label))
        .collect();
    decodes(4, decoders, &rows);
}

/// `text`, then zeros.
fn padded<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut key = [0; N];
    key[..text.len()].copy_from_slice(text);
    key
}

#[test]
fn uint_of_one_byte() {
    decodes(
        1,
        "[{name: uint}]",
        &[(&[0], Some("0")), (&[255], Some("255"))],
    );
}

#[test]
fn uint_of_two_bytes() {
    decodes(
        2,
        "[{name: uint}]",
        &[(&0x1234_u16.to_ne_bytes(), Some("4660"))],
    );
}

#[test]
fn uint_of_four_bytes() {
    decodes_numbers(
        "[{name: uint}]",
        &[(0, Some("0")), (u32::MAX, Some("4294967295"))],
    );
}

#[test]
fn uint_of_eight_bytes() {
    decodes(
        8,
        "[{name: uint}]",
        &[(&u64::MAX.to_ne_bytes(), Some("18446744073709551615"))],
    );
}

#[test]
fn uint_of_another_length_leaves_the_rows_out() {
    let yaml = "metrics: {counters: [{name: k6_total, help: Test., labels: [{name: it, size: 6, decoders: [{name: uint}]}]},\n\
        {name: k4_total, help: Test., labels: [{name: it, size: 4, decoders: [{name: uint}]}]}]}";
    let host = Host::start("maps", yaml);
    host.map("k6_total").set(&[1; 6], 1);
    host.map("k4_total").set(&number(7), 1);
    assert!(host.series("ebpf_exporter_k6_total").is_empty());
    assert_eq!(
        host.series("ebpf_exporter_k4_total"),
        series("it", &[("7", 1.0)])
    );
    let errors = host
        .text()
        .value(names::DECODER_ERRORS, &[("config", "unit")]);
    assert!(
        errors.is_some_and(|errors| errors > 0.0),
        "the error is counted: {errors:?}"
    );
}

#[test]
fn hex() {
    decodes(
        6,
        "[{name: hex}]",
        &[(&[0, 1, 0xab, 0xff, 0x10, 9], Some("0001abff1009"))],
    );
}

#[test]
fn string() {
    decodes(
        16,
        "[{name: string}]",
        &[
            (&padded::<16>(b"swapper/0"), Some("swapper/0")),
            (&padded::<16>(b""), Some("")),
            (b"sixteen letters!", Some("sixteen letters!")),
            (&padded::<16>(b"cut\0rest"), Some("cut")),
        ],
    );
}

#[test]
fn inet_ip_v4() {
    decodes(
        4,
        "[{name: inet_ip}]",
        &[
            (&[127, 0, 0, 1], Some("127.0.0.1")),
            (&[0; 4], Some("0.0.0.0")),
        ],
    );
}

#[test]
fn inet_ip_v6() {
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3];
    let doc = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    decodes(
        16,
        "[{name: inet_ip}]",
        &[
            (&[0; 16], Some("::")),
            (&doc, Some("2001:db8::1")),
            (&mapped, Some("10.1.2.3")),
        ],
    );
}

#[test]
fn inet_ip_of_another_length() {
    decodes(2, "[{name: inet_ip}]", &[(&[0xa, 0xb], Some("?0a0b"))]);
}

#[test]
fn ifname() {
    // In a namespace of its own, where loopback is number 1 for sure.
    in_own_namespace(|| {
        decodes_numbers(
            "[{name: ifname}]",
            &[(1, Some("lo")), (4_000_000, Some("unknown:4000000"))],
        );
    });
}

#[test]
fn majorminor() {
    let partitions = fs::read_to_string("/proc/partitions").unwrap();
    let device = partitions.lines().skip(2).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        Some((
            fields.first()?.parse::<u32>().ok()?,
            fields.get(1)?.parse::<u32>().ok()?,
            *fields.get(3)?,
        ))
    });
    let mut rows = vec![(0xabc << 8 | 5, Some("unknown:2748:5"))];
    if let Some((major, minor, name)) = device {
        rows.push((
            minor & 0xff | major << 8 | (minor & 0xf_ff00) << 12,
            Some(name),
        ));
    }
    decodes_numbers("[{name: majorminor}]", &rows);
}

/// Address and name of functions whose address nothing else has, in the order of the addresses.
fn functions() -> Vec<(u64, String)> {
    let mut all: Vec<(u64, String)> = fs::read_to_string("/proc/kallsyms")
        .unwrap()
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ' ');
            let address = u64::from_str_radix(fields.next()?, 16).ok()?;
            Some((address, fields.nth(1)?.to_owned()))
        })
        .filter(|(_, name)| !name.contains('\t'))
        .collect();
    all.sort();
    all.chunk_by(|a, b| a.0 == b.0)
        .filter(|same| same.len() == 1)
        .map(|same| same[0].clone())
        .collect()
}

fn function(name: &str) -> u64 {
    functions()
        .into_iter()
        .find(|(_, n)| n == name)
        .unwrap_or_else(|| panic!("kernel symbol {name}"))
        .0
}

#[test]
fn ksym() {
    let (schedule, exit) = (function("schedule"), function("do_exit"));
    decodes(
        8,
        "[{name: ksym}]",
        &[
            (&schedule.to_ne_bytes(), Some("schedule")),
            (&exit.to_ne_bytes(), Some("do_exit")),
            // Only the very start of a function counts.
            (
                &(schedule + 1).to_ne_bytes(),
                Some(&format!("unknown_addr:{:#x}", schedule + 1)),
            ),
            (&1_u64.to_ne_bytes(), Some("unknown_addr:0x1")),
        ],
    );
}

#[test]
fn kstack() {
    let frames = |frames: [u64; 4]| frames.map(u64::to_ne_bytes).concat();
    let (schedule, exit) = (function("schedule"), function("do_exit"));
    decodes(
        32,
        "[{name: kstack}]",
        &[
            (
                &frames([schedule + 5, exit + 1, 0, 0]),
                Some("schedule\ndo_exit"),
            ),
            // What follows a zero is left from another stack.
            (&frames([exit, 0, schedule, 0]), Some("do_exit")),
            (&frames([0; 4]), Some("")),
            (
                &frames([exit, 1, schedule, exit]),
                Some("do_exit\n??\nschedule\ndo_exit"),
            ),
        ],
    );
}

#[test]
fn cgroup() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let root = mounts
        .lines()
        .find(|line| line.split(' ').nth(2) == Some("cgroup2"))
        .expect("cgroup2 is mounted");
    let root = root.split(' ').nth(1).unwrap();
    let child = format!("{root}/exporter-host-test-{}", std::process::id());
    fs::create_dir(&child).unwrap();
    let id = fs::metadata(&child).unwrap().ino();
    let root_id = fs::metadata(root).unwrap().ino();
    let host = decodes(
        8,
        "[{name: uint}, {name: cgroup}]",
        &[
            (&root_id.to_ne_bytes(), Some(root)),
            (&id.to_ne_bytes(), Some(&child)),
            (
                &0x7fff_ffff_u64.to_ne_bytes(),
                Some("unknown_cgroup_id:2147483647"),
            ),
        ],
    );
    // A path once known stays known for a while.
    fs::remove_dir(&child).unwrap();
    assert_eq!(
        host.text()
            .value("ebpf_exporter_k8_total", &[("it", &child)]),
        Some(2.0)
    );
}

#[test]
fn errno() {
    decodes_numbers(
        "[{name: uint}, {name: errno}]",
        &[
            (1, Some("EPERM")),
            (11, Some("EAGAIN")),
            (35, Some("EDEADLK")),
            (95, Some("ENOTSUP")),
            (133, Some("EHWPOISON")),
            (41, Some("unknown:41")),
            (0, Some("unknown:0")),
        ],
    );
}

#[test]
fn syscall() {
    let (read, execve, getpgid) = if cfg!(target_arch = "x86_64") {
        (0, 59, 121)
    } else {
        (63, 221, 155)
    };
    decodes_numbers(
        "[{name: uint}, {name: syscall}]",
        &[
            (read, Some("read")),
            (execve, Some("execve")),
            (getpgid, Some("getpgid")),
            (99_999, Some("unknown_syscall:99999")),
        ],
    );
}

#[test]
fn syscall_has_the_names_of_ebpf_exporter_unless_told_otherwise() {
    // The same call: 17 is pread64 on x86-64, 67 on arm64.
    let pread = if cfg!(target_arch = "x86_64") { 17 } else { 67 };
    decodes_numbers("[{name: uint}, {name: syscall}]", &[(pread, Some("pread"))]);
    decodes_numbers(
        "[{name: uint}, {name: syscall, names: kernel}]",
        &[(pread, Some("pread64"))],
    );
}

#[test]
fn static_map() {
    decodes_numbers(
        "[{name: uint}, {name: static_map, static_map: {1: one, 2: 'a \"b\"'}}]",
        &[
            (1, Some("one")),
            (2, Some("a \"b\"")),
            (3, Some("unknown:3")),
        ],
    );
}

#[test]
fn static_map_that_allows_unknown() {
    decodes_numbers(
        "[{name: uint}, {name: static_map, allow_unknown: true, static_map: {1: one}}]",
        &[(1, Some("one")), (3, Some("3"))],
    );
}

#[test]
fn static_map_keys_are_text() {
    decodes(
        4,
        "[{name: string}, {name: static_map, static_map: {0x10: hex, 01: octal, true: word}}]",
        &[
            (b"0x10", Some("hex")),
            (b"01\0\0", Some("octal")),
            (b"true", Some("word")),
            (b"16\0\0", Some("unknown:16")),
        ],
    );
}

#[test]
fn regexp() {
    decodes(
        16,
        r"[{name: string}, {name: regexp, regexps: ['^systemd-(.*)$', 'bash', '^(a)(b)']}]",
        &[
            (&padded::<16>(b"systemd-journal"), Some("journal")),
            (&padded::<16>(b"mybash5"), Some("bash")),
            (&padded::<16>(b"abc"), Some("a")),
            (&padded::<16>(b"zsh"), None),
        ],
    );
}

#[test]
fn dname() {
    decodes(
        16,
        "[{name: dname}]",
        &[
            (b"\x03www\x08examples\x02io", Some("www.examples.io")),
            // The zero that ends a name becomes a dot, as in ebpf_exporter.
            (b"\x04mail\x06sample\x02io\0", Some("mail.sample.io.")),
        ],
    );
}

#[test]
fn dname_of_nothing_is_the_root() {
    decodes(1, "[{name: string}, {name: dname}]", &[(b"\0", Some("."))]);
}

const PCI_IDS: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];

/// What comes out on a machine without the tables is fixed, too.
fn decodes_pci(decoder: &str, rows: &[(u32, Option<&str>)]) {
    let decoders = format!("[{{name: uint}}, {{name: {decoder}}}]");
    if PCI_IDS.iter().any(|path| fs::exists(path).unwrap()) {
        decodes_numbers(&decoders, rows);
    } else {
        decodes_numbers(&decoders, &[(rows[0].0, Some("missing pci.ids db"))]);
    }
}

#[test]
fn pci_vendor() {
    decodes_pci(
        "pci_vendor",
        &[
            (0x8086, Some("Intel Corporation")),
            (0x0e11, Some("Compaq Computer Corporation")),
            (0xfff0, Some("unknown pci vendor: 0xfff0")),
        ],
    );
}

#[test]
fn pci_device() {
    decodes_pci(
        "pci_device",
        &[
            (0x8086_1237, Some("440FX - 82441FX PMC [Natoma]")),
            (0x8086_fffd, Some("unknown pci device: 0x8086fffd")),
        ],
    );
}

#[test]
fn pci_class() {
    decodes_pci(
        "pci_class",
        &[
            (2, Some("Network controller")),
            (0xee, Some("unknown pci class: 0xee")),
        ],
    );
}

#[test]
fn pci_subclass() {
    decodes_pci(
        "pci_subclass",
        &[
            (0x0200, Some("Ethernet controller")),
            (0x02ee, Some("unknown pci subclass: 0xee (class 0x02)")),
            (0xee01, Some("unknown pci class: 0xee")),
        ],
    );
}

/// Another plugin may offer the name too: it is reachable by its own.
#[test]
fn a_name_of_the_standard_plugin_stays_its_own() {
    let metric = |map: &str, size: usize, decoder: &str| {
        format!(
            "metrics: {{counters: [{{name: {map}, help: Test., labels: [{{name: it, size: {size}, decoders: [{{name: {decoder}}}]}}]}}]}}"
        )
    };
    let host = Setup::new()
        .file("other.wasm", fs::read(spoken_as("uint")).unwrap())
        .unit("one", "maps", &metric("k4_total", 4, "uint"))
        .unit("two", "maps", &metric("k1_total", 1, "other/uint"))
        .start();
    host.maps("k4_total")
        .iter()
        .for_each(|map| map.set(&number(7), 1));
    host.maps("k1_total")
        .iter()
        .for_each(|map| map.set(b"x", 1));
    let of = |map: &str| host.series(&format!("ebpf_exporter_{map}"));
    assert_eq!(of("k4_total"), series("it", &[("7", 1.0)]));
    assert_eq!(of("k1_total"), series("it", &[("other x", 1.0)]));
}
