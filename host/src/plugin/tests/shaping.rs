//! Answers of shapers: what is believed and what is not.

use crate::exposition::Kind;
use crate::plugin::CallError;
use crate::plugin::bindings::exporter::plugin::types;
use crate::plugin::bindings::exports::exporter::plugin::shaping;
use crate::plugin::world::{self, Placed, SeriesPart, ShapeLimits, opened, placed};

fn family(kind: types::Kind, bounds: &[f64]) -> shaping::Family {
    shaping::Family {
        name: "calls".into(),
        help: String::new(),
        unit: String::new(),
        kind,
        labels: vec!["a".into()],
        bounds: bounds.to_vec(),
    }
}

fn open(families: Vec<shaping::Family>) -> Result<(), String> {
    opened(shaping::Opened {
        shaper: 1,
        families,
        numbers: Vec::new(),
    })
    .map(drop)
    .map_err(|error| error.to_string())
}

#[test]
fn families_are_checked() {
    use types::Kind::{Counter, Histogram};
    assert_eq!(open(vec![family(Histogram, &[0.5, 1.0])]), Ok(()));
    assert!(open(Vec::new()).unwrap_err().contains("found 0"));
    assert!(
        open(vec![family(Counter, &[]); 65])
            .unwrap_err()
            .contains("expected 1 to 64 families, found 65")
    );
    assert!(
        open(vec![family(Counter, &[1.0])])
            .unwrap_err()
            .contains("only a histogram has bounds")
    );
    for bounds in [&[1.0, 1.0][..], &[2.0, 1.0], &[f64::NAN], &[f64::INFINITY]] {
        let error = open(vec![family(Histogram, bounds)]).unwrap_err();
        assert!(error.contains("strictly ascending"), "{bounds:?}: {error}");
    }
    let many: Vec<f64> = (0..5000).map(f64::from).collect();
    assert!(
        open(vec![family(Histogram, &many)])
            .unwrap_err()
            .contains("5000 bounds")
    );
    let mut twice = family(Counter, &[]);
    twice.labels.push("a".into());
    assert!(
        open(vec![twice])
            .unwrap_err()
            .contains("the label `a` is named twice")
    );
}

#[test]
fn without_numbers_there_is_the_one_at_offset_0() {
    let (_, _, numbers) = opened(shaping::Opened {
        shaper: 1,
        families: vec![family(types::Kind::Gauge, &[])],
        numbers: Vec::new(),
    })
    .unwrap();
    assert_eq!(
        numbers
            .iter()
            .map(|number| number.offset)
            .collect::<Vec<_>>(),
        [0]
    );
}

const LIMITS: fn() -> ShapeLimits = || ShapeLimits {
    families: vec![(Kind::Counter, 0), (Kind::Histogram, 3)],
    numbers: 1,
    new_labels: 1,
};

fn placement(row: u32, family: u32, slot: shaping::Slot) -> shaping::Placement {
    shaping::Placement {
        row,
        family,
        slot,
        number: 0,
        scale: 1.0,
    }
}

fn check_placements(placements: Vec<shaping::Placement>, columns: usize) -> Result<Placed, String> {
    let column = shaping::CellsResult {
        bytes: b"xy".to_vec(),
        ends: vec![1, 2],
    };
    let answer = shaping::Placed {
        placements,
        labels: vec![column; columns],
        errors: Vec::new(),
    };
    placed(answer, 2, &LIMITS()).map_err(|error| match error {
        CallError::Malformed(message) => message,
        other => panic!("{other:?}"),
    })
}

#[test]
fn placements_are_checked() {
    use shaping::Slot::{Bucket, None, Sum, Value};
    let good = check_placements(
        vec![
            placement(0, 0, Value),
            placement(1, 1, Bucket(3)),
            placement(1, 1, Sum),
            placement(1, 0, None),
        ],
        1,
    )
    .unwrap();
    let parts: Vec<SeriesPart> = good.placements.iter().map(|placed| placed.part).collect();
    assert_eq!(
        parts,
        [
            SeriesPart::Value,
            SeriesPart::Bucket(3),
            SeriesPart::Sum,
            SeriesPart::None
        ]
    );

    let bad = |placement| check_placements(vec![placement], 1).unwrap_err();
    assert_eq!(
        bad(placement(2, 0, Value)),
        "it names row 2 of a batch of 2"
    );
    assert_eq!(
        bad(placement(0, 2, Value)),
        "a placement names family 2, there are 2"
    );
    for (family, slot) in [
        (0, Bucket(0)),
        (0, Sum),
        (1, Value),
        (1, Bucket(4)),
        (1, Bucket(u32::MAX)),
    ] {
        assert!(
            bad(placement(0, family, slot)).starts_with("a placement puts"),
            "{family} {slot:?}"
        );
    }
    let number = shaping::Placement {
        number: 1,
        ..placement(0, 0, Value)
    };
    assert_eq!(bad(number), "a placement names number 1, there are 1");
    for scale in [f64::NAN, f64::INFINITY] {
        let scaled = shaping::Placement {
            scale,
            ..placement(0, 0, Value)
        };
        assert!(bad(scaled).contains("the scale"));
    }
    assert_eq!(
        check_placements(Vec::new(), 0).unwrap_err(),
        "expected 1 new label columns, found 0"
    );
    assert_eq!(
        check_placements(Vec::new(), 2).unwrap_err(),
        "expected 1 new label columns, found 2"
    );
}

#[test]
fn placements_of_all_keys_are_checked_too() {
    use shaping::Slot::{Sum, Value};
    let uniform = |placement, new_labels| {
        let limits = ShapeLimits {
            new_labels,
            ..LIMITS()
        };
        let checked = world::uniform(vec![placement], &limits);
        checked.map_err(|error| error.to_string())
    };
    let good = uniform(placement(0, 0, Value), 0).unwrap();
    assert_eq!((good[0].family, good[0].part), (0, SeriesPart::Value));
    let bad = |placement, new_labels| uniform(placement, new_labels).unwrap_err();
    assert!(bad(placement(0, 0, Sum), 0).contains("a placement puts"));
    assert!(bad(placement(1, 0, Value), 0).contains("row 1"));
    assert!(bad(placement(0, 0, Value), 1).contains("1 labels of its own"));
    assert_eq!(world::uniform(Vec::new(), &LIMITS()).unwrap(), []);
}
