use super::Section::{CableCard, Device, Filter, Network, TransportStream, Tuner};
use super::*;
use crate::testing::PRIME;

fn numbers(text: &str) -> Vec<(Section, &'static str, i64)> {
    let debug = Debug::parse(text);
    assert_eq!(debug.skipped, 0, "{text}");
    let numbers = debug.numbers.into_iter();
    numbers
        .map(|((section, name), number)| (section, name, number))
        .collect()
}

fn heads(text: &str) -> (Option<String>, Option<String>, bool) {
    let debug = Debug::parse(text);
    let has_card = debug.has_cable_card();
    (debug.channel, debug.lock, has_card)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn the_text_of_2009() {
    let text = "tun: ch=qam:33 lock=qam256 ss=84 snq=88 seq=100 dbg=22081-6930\n\
                dev: resync=0 overflow=0\n\
                ts:  bps=38809216 ut=94 te=0 miss=0 crc=0\n\
                flt: bps=38809216\n\
                net: pps=0 err=0 stop=0\n";
    assert_eq!(heads(text), (some("qam:33"), some("qam256"), false));
    assert_eq!(
        numbers(text),
        [
            (Tuner, "seq", 100),
            (Tuner, "snq", 88),
            (Tuner, "ss", 84),
            (Device, "overflow", 0),
            (Device, "resync", 0),
            (TransportStream, "bps", 38_809_216),
            (TransportStream, "crc", 0),
            (TransportStream, "miss", 0),
            (TransportStream, "te", 0),
            (TransportStream, "ut", 94),
            (Filter, "bps", 38_809_216),
            (Network, "err", 0),
            (Network, "pps", 0),
            (Network, "stop", 0),
        ]
    );
}

#[test]
fn the_text_of_hdhr3_and_4() {
    let text = "tun: ch=auto:21 lock=8vsb:515000000 ss=80 snq=76 seq=100 dbg=-514/13110\n\
                dev: bps=19394080 resync=0 overflow=0\n\
                ts:  bps=19394080 te=0 crc=0\n\
                net: pps=0 err=0 stop=0\n";
    assert_eq!(
        heads(text),
        (some("auto:21"), some("8vsb:515000000"), false)
    );
    let numbers = numbers(text);
    assert_eq!(numbers.len(), 12);
    assert!(numbers.contains(&(Device, "bps", 19_394_080)));
}

#[test]
fn the_text_of_a_cable_card_model() {
    assert_eq!(
        heads(PRIME),
        (some("qam:183000000"), some("qam256:183000000"), true)
    );
    let numbers = numbers(PRIME);
    for number in [
        (CableCard, "bps", 38_810_720),
        (CableCard, "resync", 0),
        (CableCard, "overflow", 0),
        (TransportStream, "bps", 12_514_784),
        (Network, "pps", 1192),
    ] {
        assert!(numbers.contains(&number), "{number:?}");
    }
}

#[test]
fn the_current_text() {
    let text = "tun: ch=8vsb:575000000 lock=8vsb:575000000 ss=100 snq=98 seq=100 dbg=-2875/9836\n\
                dev: bps=19466272 resync=0 overflow=0\n\
                ts:  bps=9366912 te=0 crc=0\n\
                net: bps=9367360 pps=802 err=0 stop=0\n";
    assert!(numbers(text).contains(&(Network, "bps", 9_367_360)));
    assert_eq!(Debug::parse(text).is_locked(), Some(true));
    // With the line ends of another system, blanks in front, tabs, a NUL at the end.
    let odd = format!(" \t{}\0", text.replace('\n', "\r\n ").replace(' ', "\t "));
    assert_eq!(Debug::parse(&odd), Debug::parse(text));
}

#[test]
fn an_idle_tuner_keeps_its_last_stop_reason() {
    let text = "tun: ch=none lock=none ss=0 snq=0 seq=0 dbg=0\n\
                dev: bps=0 resync=0 overflow=0\nts:  bps=0 te=0 crc=0\nnet: bps=0 pps=0 err=0 stop=9\n";
    let debug = Debug::parse(text);
    assert_eq!(
        (debug.is_locked(), debug.is_in_use()),
        (Some(false), Some(false))
    );
    assert_eq!(debug.number(Network, "stop"), Some(9));
}

#[test]
fn tuned_without_a_lock_and_with_one_that_is_of_no_use() {
    let debug = Debug::parse("tun: ch=auto:575000000 lock=none ss=40 snq=0 seq=0 dbg=0\n");
    assert_eq!(
        (debug.is_locked(), debug.is_in_use()),
        (Some(false), Some(true))
    );
    let debug = Debug::parse("tun: ch=auto:5 lock=(ntsc) ss=40\n");
    assert_eq!(
        (debug.is_locked(), debug.lock.as_deref()),
        (Some(false), Some("(ntsc)"))
    );
}

#[test]
fn atsc_3_in_both_forms() {
    let text = "tun: ch=atsc3:33:0+16 lock=atsc3 ss=62 snq=47 seq=0 dbg=0\n";
    assert_eq!(heads(text), (some("atsc3:33:0+16"), some("atsc3"), false));
    let status = "ch=auto:31 lock=atsc3 ss=62 snq=47 seq=0 bps=0 pps=0";
    assert_eq!(heads(status), (some("auto:31"), some("atsc3"), false));
    assert_eq!(
        numbers(status),
        [
            (Tuner, "seq", 0),
            (Tuner, "snq", 47),
            (Tuner, "ss", 62),
            (Device, "bps", 0),
            (Network, "pps", 0)
        ]
    );
}

#[test]
fn tech_models_say_decibels_too() {
    let debug = Debug::parse(
        "tun: ch=qam:33 lock=qam256 ss=83(-10dBmV) snq=90(29dB) seq=100 dbg=65-19/-1817",
    );
    assert_eq!(debug.number(Tuner, "ss"), Some(83));
    assert_eq!((debug.number(Tuner, "snq"), debug.skipped), (Some(90), 0));
}

#[test]
fn what_is_not_understood_is_skipped_and_counted_alone() {
    for (text, skipped) in [
        ("", 0),
        ("\n\n \r\n", 0),
        ("tun:ss=5", 0),
        ("net: pps=a=b err=1", 1),
        ("net: pps", 1),
        ("net: pps=", 1),
        ("net: pps=1.5", 1),
        ("net: pps=99999999999999999999", 1),
        ("net: new=1", 1),
        ("net: pps=5(five)", 1),
        ("tun: ss=5(x", 1),
        ("new: free text", 2),
        ("new: a=1", 1),
        ("nothing", 1),
        ("=", 1),
        (": a=1", 2),
        ("ch=x dbg=0", 0),
    ] {
        assert_eq!(Debug::parse(text).skipped, skipped, "{text:?}");
    }
    let debug =
        Debug::parse("net: pps=a=b err=7 stop=-1 ?\nnew: free text\n\u{fffd}\nts: te=3 crc=x\n");
    assert_eq!(debug.skipped, 6);
    assert_eq!(debug.number(Network, "pps"), None);
    assert_eq!(debug.number(Network, "err"), Some(7));
    assert_eq!(debug.number(Network, "stop"), Some(-1));
    assert_eq!(debug.number(TransportStream, "te"), Some(3));
    assert_eq!(debug.number(Tuner, "te"), None);
}

#[test]
fn percentages_beyond_their_range_pass_through() {
    let debug = Debug::parse("tun: ss=-5 snq=120 seq=+7");
    assert_eq!(debug.number(Tuner, "ss"), Some(-5));
    assert_eq!(debug.number(Tuner, "snq"), Some(120));
    assert_eq!(debug.number(Tuner, "seq"), Some(7));
}
