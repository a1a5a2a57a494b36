//! The starter forks, and only a process with one thread may: not one that runs tests. So each test
//! starts this binary once more, and that process plays its part ([`PARTS`]) before `main` and so
//! before the threads of the test harness. Its output ends when the last process of its tree does.

mod parts;
mod support;

use std::env;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::sys;

const PART: &str = "EXPORTER_HOST_STARTER_TEST";

type Part = (&'static str, fn());

const PARTS: &[Part] = &[
    ("servers", parts::servers_come_and_go),
    ("confined", parts::servers_are_confined),
    ("codes", parts::exit_codes_are_told),
    ("compiler", parts::a_compiler_answers),
    ("many", parts::nothing_leaks),
    ("concurrent", parts::threads_may_ask_at_once),
    ("slow", parts::a_late_server_is_killed),
    ("loader dies", parts::a_loader_dies),
    (
        "loader dies before use",
        parts::a_loader_dies_before_its_first_request,
    ),
    ("starter dies", parts::the_starter_dies),
    ("lifeline", parts::a_server_leaves_with_its_lifeline),
    ("two threads", parts::two_threads_are_refused),
    ("orphans", parts::orphans_are_reaped),
];

#[expect(unsafe_code, reason = "std has nothing that runs before main")]
// SAFETY: the C library calls what stands there, once, with one thread and its environment set up.
// std may be used there on Linux. It returns at once in a process that is not asked for a part.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = play;

extern "C" fn play() {
    let Ok(name) = env::var(PART) else { return };
    let part = PARTS.iter().find(|(known, _)| *known == name);
    support::log();
    // A panic ends the process, as it cannot leave a C function.
    part.unwrap().1();
    sys::exit_now(0);
}

/// Waits until all processes of the part are gone, or have let go of stdout and stderr.
fn run(part: &str) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(PART, part).stdin(Stdio::null());
    command.output().unwrap()
}

fn succeeds(part: &str) {
    let output = run(part);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {log}", output.status);
}

/// The part kills itself once its processes are there.
fn ends_soon_after_its_death(part: &str) {
    let began = Instant::now();
    let output = run(part);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), None, "{log}");
    // A second on a machine at rest.
    assert!(began.elapsed() < Duration::from_secs(5), "{log}");
}

#[test]
fn a_killed_server_is_told_and_another_can_follow() {
    succeeds("servers");
}

#[test]
fn with_the_default_hardening_too() {
    succeeds("confined");
}

#[test]
fn exit_codes_panics_and_signals_are_told_apart() {
    succeeds("codes");
}

#[test]
fn a_compiler_gets_its_component_and_answers() {
    succeeds("compiler");
}

#[test]
fn two_hundred_servers_leave_no_descriptor_and_no_process() {
    succeeds("many");
}

#[test]
fn several_threads_each_get_their_own_server() {
    succeeds("concurrent");
}

#[test]
fn a_starter_that_hangs_is_waited_for_ten_seconds() {
    succeeds("slow");
}

#[test]
fn everything_ends_with_the_loader() {
    ends_soon_after_its_death("loader dies");
    ends_soon_after_its_death("loader dies before use");
}

#[test]
fn everything_ends_with_the_starter() {
    succeeds("starter dies");
}

#[test]
fn a_server_leaves_when_its_lifeline_is_closed() {
    succeeds("lifeline");
}

#[test]
fn a_process_with_two_threads_is_refused() {
    succeeds("two threads");
}

#[test]
fn root_a_loader_that_is_pid_1_reaps_what_is_handed_to_it() {
    succeeds("orphans");
}
