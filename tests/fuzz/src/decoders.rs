//! Decoders and shapers, natively.

use container::ContainerOf;
use exporter_guest_sdk::shaper::{Kind, Slot};
use exporter_guest_sdk::testing::{FakeKernel, decode, open, open_shaper, place, take_log};
use exporter_guest_sdk::{BatchDecoder, Cells, Shaper};
use fields::Fields;
use network::Network;
use standard_decoders as standard;

/// A name as DNS sends it.
pub fn dname(data: &[u8]) {
    run::<standard::Dname>("{}", data);
    let decoder: standard::Dname = match open("{}") {
        Ok(decoder) => decoder,
        Err(_) => return,
    };
    let decoded = decode(&decoder, &FakeKernel::default(), &[data]);
    let text = decoded.cells().get(0).unwrap_or_default();
    let labels = labels(data);
    match labels {
        Some(labels) if !data.is_empty() => assert_eq!(text, labels.join(&b'.')),
        Some(_) => assert_eq!(text, b"."),
        None => assert_eq!(text, data),
    }
}

/// Of a name: length, text, and so on to the end. None: a label runs past it.
fn labels(mut rest: &[u8]) -> Option<Vec<&[u8]>> {
    let mut labels = Vec::new();
    while let Some((length, after)) = rest.split_first() {
        let (label, after) = after.split_at_checked(usize::from(*length))?;
        labels.push(label);
        rest = after;
    }
    Some(labels)
}

/// Any other decoder: a byte that says which, a line of options, and the cell.
pub fn decoders(data: &[u8]) {
    let Some((which, options, cell)) = parts(data) else {
        return;
    };
    match which % 21 {
        0 => run::<standard::Cgroup>(options, cell),
        1 => run::<standard::Errno>(options, cell),
        2 => run::<standard::Hex>(options, cell),
        3 => run::<standard::Ifname>(options, cell),
        4 => run::<standard::InetIp>(options, cell),
        5 => run::<standard::Kstack>(options, cell),
        6 => run::<standard::Ksym>(options, cell),
        7 => run::<standard::MajorMinor>(options, cell),
        8 => run::<standard::PciClass>(options, cell),
        9 => run::<standard::PciDevice>(options, cell),
        10 => run::<standard::PciSubclass>(options, cell),
        11 => run::<standard::PciVendor>(options, cell),
        12 => run::<standard::Regexp>(options, cell),
        13 => run::<standard::StaticMap>(options, cell),
        14 => run::<standard::Syscall>(options, cell),
        15 => run::<standard::Text>(options, cell),
        16 => run::<standard::Uint>(options, cell),
        17 => run::<Network>(options, cell),
        18 => run::<ContainerOf>(options, cell),
        19 => inet_ip(cell),
        _ => run::<standard::Int>(options, cell),
    }
}

/// Any shaper, in the same way; the cell is the last label of the first row, and half of it that of
/// the second.
pub fn shapers(data: &[u8]) {
    let Some((which, options, cell)) = parts(data) else {
        return;
    };
    match which % 7 {
        0 => shape::<standard::Counter>(options, cell),
        1 => shape::<standard::Exp2>(options, cell),
        2 => shape::<standard::Exp2Zero>(options, cell),
        3 => shape::<standard::Fixed>(options, cell),
        4 => shape::<standard::Gauge>(options, cell),
        5 => shape::<standard::Linear>(options, cell),
        _ => shape::<Fields>(options, cell),
    }
}

fn parts(data: &[u8]) -> Option<(u8, &str, &[u8])> {
    let (which, rest) = data.split_first()?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let options = std::str::from_utf8(rest.get(..end)?).ok()?;
    Some((*which, options, rest.get(end + 1..)?))
}

fn kernel() -> FakeKernel {
    FakeKernel {
        symbols: vec![(0x1000, "first"), (0x2000, "second\t[module]")],
        cgroups: [(1, "/sys/fs/cgroup"), (2, "/sys/fs/cgroup/a.slice")].into(),
        interfaces: [(1, "lo"), (2, "eth0")].into(),
        block_devices: [(8 << 20, "sda")].into(),
        pci: Some(
            [(
                (exporter_guest_sdk::kernel::PciKind::Vendor, 0x8086),
                "Intel",
            )]
            .into(),
        ),
        ..FakeKernel::default()
    }
}

/// Each row has one answer, which is the same whatever other rows there are.
fn run<D: BatchDecoder>(options: &str, cell: &[u8]) {
    let opened = open::<D>(options);
    take_log();
    let Ok(decoder) = opened else {
        return;
    };
    let (front, back) = cell.split_at(cell.len() / 2);
    let column = [cell, front, back, cell];
    let kernel = kernel();
    let together = decode(&decoder, &kernel, &column).into_parts();
    assert_eq!(together.0.len(), column.len());
    for (row, cell) in (0_u32..).zip(column) {
        let single = decode(&decoder, &kernel, &[cell]).into_parts();
        assert_eq!(single.0.get(0), together.0.get(row as usize));
        let same = |single: &[u32], rows: &[u32]| single.is_empty() != rows.contains(&row);
        assert!(same(&single.1, &together.1) && same(&single.2, &together.2));
        let error = together.3.iter().find(|error| error.row == row);
        let messages = (
            single.3.first().map(|error| &error.message),
            error.map(|error| &error.message),
        );
        assert_eq!(messages.0, messages.1);
        // A row is one thing at most.
        let others = usize::from(together.1.contains(&row)) + usize::from(error.is_some());
        assert!(others < 2);
    }
    take_log();
}

/// As the standard library prints it.
fn inet_ip(cell: &[u8]) {
    let Ok(decoder) = open::<standard::InetIp>("{}") else {
        return;
    };
    let decoded = decode(&decoder, &FakeKernel::default(), &[cell]);
    let text = decoded.cells().get(0).unwrap_or_default();
    let expected = if let Ok(address) = <[u8; 4]>::try_from(cell) {
        std::net::Ipv4Addr::from(address).to_string()
    } else if let Ok(address) = <[u8; 16]>::try_from(cell) {
        std::net::Ipv6Addr::from(address).to_canonical().to_string()
    } else {
        return;
    };
    assert_eq!(String::from_utf8_lossy(text), expected);
}

/// Placements are of the shape.
fn shape<S: Shaper>(options: &str, cell: &[u8]) {
    let opened = open_shaper::<S>(options);
    // Kept for tests to look at.
    take_log();
    let Ok((shaper, shape)) = opened else {
        return;
    };
    assert!(!shape.families.is_empty());
    for family in &shape.families {
        assert!(family.bounds.iter().all(|bound| bound.is_finite()));
        assert!(family.bounds.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(family.bounds.is_empty() || family.kind == Kind::Histogram);
    }
    let half: Cells = [cell, &cell[..cell.len() / 2]].into_iter().collect();
    // The bucket is the last of the labels: in any column it is found.
    for columns in 0..4 {
        let labels = vec![half.clone(); columns];
        let placed = place(&shaper, 2, &labels);
        for placement in placed.placements() {
            let family = &shape.families[placement.family as usize];
            assert!(placement.row < 2);
            assert!((placement.number as usize) < shape.numbers.len().max(1));
            match placement.slot {
                Slot::Bucket(bucket) => assert!(bucket as usize <= family.bounds.len()),
                Slot::Sum => assert_eq!(family.kind, Kind::Histogram),
                Slot::Value => assert_ne!(family.kind, Kind::Histogram),
                Slot::None => {}
            }
        }
        assert!(placed.errors().iter().all(|error| error.row < 2));
    }
    take_log();
}
