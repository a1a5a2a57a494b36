//! Real programs on the real kernel; each looks at its own only.

use std::time::Duration;
use std::time::Instant;

use super::*;
use crate::bpf::LoadedObject;
use crate::bpf::OpenObject;
use crate::bpf::OpenOptions;
use crate::bpf::testing;

const MAP: &str = "struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 16); __type(key, u32); __type(value, u64); } hits SEC(\".maps\");\n\
    static __always_inline int hit(u32 slot) { u64 *n = bpf_map_lookup_elem(&hits, &slot); if (n) __sync_fetch_and_add(n, 1); return 0; }\n";

fn load(source: &str) -> LoadedObject {
    let compiled = testing::compile(&format!("{MAP}{source}"));
    OpenObject::open(&compiled.path, &OpenOptions::default())
        .unwrap()
        .load()
        .unwrap()
}

fn hits(object: &LoadedObject, slot: u32) -> u64 {
    let value = object
        .map("hits")
        .unwrap()
        .lookup(&slot.to_ne_bytes())
        .unwrap()
        .unwrap();
    u64::from_ne_bytes(value.try_into().unwrap())
}

/// Does `act` until the slot counts, for some seconds at most.
fn until_hit(object: &LoadedObject, slot: u32, mut act: impl FnMut()) {
    let before = hits(object, slot);
    let deadline = Instant::now() + Duration::from_secs(10);
    while hits(object, slot) == before {
        assert!(Instant::now() < deadline, "slot {slot} was never hit");
        act();
    }
}

fn status<'a>(all: &'a [ProgramStatus], name: &str) -> &'a ProgramStatus {
    all.iter().find(|program| program.name == name).unwrap()
}

fn failure<'a>(all: &'a [ProgramStatus], name: &str) -> &'a str {
    match &status(all, name).attached {
        Attached::Failed(why) => why,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn each_program_for_itself_root() {
    let mut object = load(
        "SEC(\"raw_tp/sys_enter\") int works(void *ctx) { return hit(0); }\n\
         SEC(\"?raw_tp/sys_exit\") int switched_off(void *ctx) { return hit(1); }\n\
         SEC(\"kprobe/no_such_function_anywhere\") int no_kprobe(void *ctx) { return hit(2); }\n\
         SEC(\"tp/nosuch/event\") int no_tracepoint(void *ctx) { return hit(3); }\n\
         SEC(\"raw_tp/a_program_with_quite_a_long_name\") int a_program_with_quite_a_long_name(void *ctx) { return hit(4); }\n\
         SEC(\"xdp/nosuchif0\") int no_interface(void *ctx) { return 2; }\n\
         SEC(\"xdp\") int plain_xdp(void *ctx) { return 2; }\n\
         SEC(\"perf_event/type=1,pid=3\") int bad_event(void *ctx) { return 0; }\n\
         SEC(\"socket\") int plain_socket(void *ctx) { return 0; }\n\
         SEC(\"nonsense/x\") int nonsense(void *ctx) { return 0; }",
    );
    assert!(
        object
            .programs()
            .iter()
            .all(|program| matches!(program.attached, Attached::No | Attached::Disabled))
    );
    let all = object.attach();
    assert_eq!(status(&all, "works").attached, Attached::Yes);
    assert_eq!(status(&all, "switched_off").attached, Attached::Disabled);
    assert_eq!(
        (
            status(&all, "switched_off").id,
            &status(&all, "switched_off").tag
        ),
        (None, &None)
    );
    assert!(
        failure(&all, "no_kprobe").contains("(os error 2)"),
        "{}",
        failure(&all, "no_kprobe")
    );
    assert!(failure(&all, "no_tracepoint").contains("no tracepoint `nosuch/event`"));
    assert!(failure(&all, "a_program_with_quite_a_long_name").contains("no tracepoint"));
    assert!(failure(&all, "no_interface").contains("no interface `nosuchif0`"));
    assert!(failure(&all, "plain_xdp").contains("use `xdp/<interface>`"));
    assert!(failure(&all, "bad_event").contains("unknown `pid`"));
    assert!(failure(&all, "plain_socket").contains("cannot be attached"));
    assert!(failure(&all, "nonsense").contains("neither libbpf nor exporter-host"));
    let works = status(&all, "works");
    assert!(works.id.unwrap() > 0);
    assert!(works.tag.as_ref().unwrap().len() == 16);
    assert_eq!(
        all.iter().filter(|program| program.id.is_some()).count(),
        8,
        "all but the one switched off and the one of unknown kind"
    );

    until_hit(&object, 0, std::thread::yield_now);
    object.detach();
    assert_eq!(status(&object.programs(), "works").attached, Attached::No);
    // Runs that had begun on other CPUs may finish; then it stands still, system calls or not.
    let deadline = Instant::now() + Duration::from_secs(10);
    while hits(&object, 0) != hits(&object, 0) {
        assert!(Instant::now() < deadline, "still counting after detach");
    }
    object.attach();
    until_hit(&object, 0, std::thread::yield_now);
}

#[test]
fn perf_events_on_every_cpu_root() {
    let mut object = load(
        "SEC(\"perf_event/type=1,config=0,frequency=997\") int tick(void *ctx) { return hit(bpf_get_smp_processor_id() & 15); }",
    );
    let all = object.attach();
    assert_eq!(status(&all, "tick").attached, Attached::Yes, "{all:?}");
    assert_eq!(
        object.link_count(),
        crate::bpf::cpus::online().unwrap().len()
    );
    until_hit(&object, 0, || std::hint::black_box(()));
    object.detach();
}

#[test]
fn perf_events_that_are_not_there_root() {
    let mut object =
        load("SEC(\"perf_event/type=77,config=1,frequency=1\") int tick(void *ctx) { return 0; }");
    let all = object.attach();
    assert!(
        failure(&all, "tick").contains("perf event type 77 config 1 on CPU 0"),
        "{}",
        failure(&all, "tick")
    );
    assert_eq!(object.link_count(), 0);
}

#[test]
fn xdp_on_the_loopback_root() {
    // Only packets to this test's own port count, and all pass.
    let mut object =
        load("SEC(\"xdp/l?\") int count(struct xdp_md *ctx) { hit(0); return XDP_PASS; }");
    let all = object.attach();
    if let Attached::Failed(why) = &status(&all, "count").attached {
        // Others may use the loopback at the same time.
        assert!(why.contains("another XDP program"), "{why}");
        return;
    }
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    until_hit(&object, 0, || drop(socket.send_to(b"x", address)));
}

#[test]
fn uprobes_and_the_mark_root() {
    let mut object = load(
        "SEC(\"uprobe//proc/self/exe:post_attach_mark\") int entered(void *ctx) { return hit(0); }\n\
         SEC(\"uretprobe//proc/self/exe:post_attach_mark\") int left(void *ctx) { return hit(1); }\n\
         SEC(\"uprobe/libc.so.6:getpid\") int in_libc(void *ctx) { return hit(2); }\n\
         SEC(\"uprobe//proc/self/exe:post_attach_mark+0\") int at_offset(void *ctx) { return hit(3); }\n\
         SEC(\"uprobe//proc/self/exe:no_such_function\") int no_function(void *ctx) { return hit(4); }\n\
         SEC(\"uprobe//no/such/file:main\") int no_file(void *ctx) { return hit(5); }",
    );
    let all = object.attach();
    for name in ["entered", "left", "in_libc", "at_offset"] {
        assert_eq!(status(&all, name).attached, Attached::Yes);
    }
    assert!(
        failure(&all, "no_function").contains("no such function"),
        "{}",
        failure(&all, "no_function")
    );
    assert!(
        failure(&all, "no_file").contains("no such file"),
        "{}",
        failure(&all, "no_file")
    );
    crate::bpf::post_attach_mark();
    for slot in [0, 1, 3] {
        // Other tests of this binary call it too.
        assert!(hits(&object, slot) >= 1, "slot {slot}");
    }
    until_hit(&object, 2, || {
        drop(std::hint::black_box(
            std::process::Command::new("/bin/sh")
                .args(["-c", "exit"])
                .status(),
        ))
    });
}

#[test]
fn usdt_root() {
    // libstdc++ has the probes libstdcxx:throw, catch and rethrow.
    let library = format!(
        "/usr/lib/{}-linux-gnu/libstdc++.so.6",
        std::env::consts::ARCH
    );
    if !std::path::Path::new(&library).exists() {
        return;
    }
    let mut object = load(&format!(
        "#include <bpf/usdt.bpf.h>\n\
         SEC(\"usdt/{library}:libstdcxx:throw\") int thrown(struct pt_regs *ctx) {{ return hit(0); }}\n\
         SEC(\"usdt/{library}:libstdcxx:nosuch\") int nosuch(struct pt_regs *ctx) {{ return hit(1); }}\n\
         SEC(\"usdt/{library}:libstdcxx:throw:more\") int more(struct pt_regs *ctx) {{ return hit(2); }}"
    ));
    let all = object.attach();
    assert!(failure(&all, "more").contains("expected `usdt/FILE:PROVIDER:NAME`"));
    assert_eq!(status(&all, "thrown").attached, Attached::Yes);
    assert!(
        failure(&all, "nosuch").contains("no such probe"),
        "{}",
        failure(&all, "nosuch")
    );
}
