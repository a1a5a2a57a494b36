use std::path::Path;

use crate::listen::Address;
use crate::privileges::{Keep, Mode};
use crate::telemetry::{LogFormat, LogLevel};
use std::num::NonZeroUsize;
use std::time::Duration;

use super::*;

fn parsed(args: &str) -> Result<Command, clap::Error> {
    parse(
        format!("exporter-host {args}")
            .split_whitespace()
            .map(OsString::from),
    )
}

fn settings(args: &str) -> Settings {
    match parsed(args).unwrap() {
        Command::Serve(settings) => *settings,
        other => panic!("expected to serve, found {other:?}"),
    }
}

/// The error's first line.
fn error(args: &str) -> String {
    let error = parsed(args).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn the_flags_are_consistent() {
    Flags::command().debug_assert();
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let settings = settings("--config.dir conf.d");
    assert_eq!(settings.config.dir, Path::new("conf.d"));
    assert_eq!(settings.config.names, None);
    assert_eq!(settings.web.listen, [Address::Any { port: 9435 }]);
    assert_eq!(settings.web.options.telemetry_path, "/metrics");
    assert_eq!(settings.web.options.max_requests, NonZeroUsize::new(40));
    assert_eq!(settings.web.options.scrape_timeout, Duration::from_secs(10));
    assert!(settings.web.exporter_metrics);
    assert_eq!(settings.hardening.keep, Keep::default());
    assert_eq!(settings.hardening.user, None);
    assert_eq!(settings.hardening.landlock, Mode::Auto);
    assert_eq!(settings.hardening.seccomp, Mode::Auto);
    assert_eq!(
        (
            settings.log.level,
            settings.log.format,
            settings.log.timestamps
        ),
        (LogLevel::Info, LogFormat::Logfmt, true)
    );
    assert!(!settings.debug && !settings.check && !settings.strict && !settings.config.strict_keys);
    assert!(
        settings.plugin_dirs.is_empty()
            && settings.btf_path.is_none()
            && settings.remarks.is_empty()
    );
}

#[test]
fn every_flag_of_ebpf_exporter_is_taken_with_and_without_equals() {
    let settings = settings(
        "--config.dir=conf.d --config.names a,b/c --config.check --config.strict --config.skip-cache-size=10 --debug --log.no-timestamps \
         --web.listen-address=127.0.0.1:1 --web.listen-address fd://0 --web.telemetry-path=/m --capabilities.keep none --btf.path /proc/self/exe",
    );
    assert_eq!(settings.config.names.as_deref(), Some("a,b/c"));
    assert!(settings.check && settings.strict && settings.debug && !settings.log.timestamps);
    let listen: Vec<String> = settings
        .web
        .listen
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(listen, ["127.0.0.1:1", "fd://0"]);
    assert_eq!(settings.web.options.telemetry_path, "/m");
    assert_eq!(settings.hardening.keep, "none".parse::<Keep>().unwrap());
    assert_eq!(
        settings.btf_path.as_deref(),
        Some(Path::new("/proc/self/exe"))
    );
    assert_eq!(settings.remarks.len(), 1);
}

#[test]
fn switches_can_be_turned_off_and_the_last_one_counts() {
    assert!(!settings("--config.dir x --debug --no-debug").debug);
    assert!(settings("--config.dir x --no-debug --debug").debug);
    assert!(
        settings("--config.dir x --no-log.no-timestamps")
            .log
            .timestamps
    );
    // A switch takes no value of the next argument.
    assert_eq!(
        settings("--debug --config.dir x").config.dir,
        Path::new("x")
    );
}

/// `expand` and the table of flags must know the same switches.
#[test]
fn every_switch_has_its_opposite() {
    for arg in Flags::command()
        .get_arguments()
        .filter(|arg| matches!(arg.get_action(), clap::ArgAction::SetTrue))
    {
        let name = arg.get_long().unwrap();
        assert!(
            parsed(&format!("--config.dir x --{name} --no-{name}")).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn our_flags_are_taken() {
    let settings = settings(
        "--config.dir x --config.strict-keys --plugin.dir p --plugin.dir q --log.level debug --log.format json --web.max-requests 0 \
         --web.disable-exporter-metrics --web.scrape-timeout 1m30s",
    );
    assert!(settings.config.strict_keys && !settings.web.exporter_metrics);
    assert_eq!(settings.plugin_dirs, [Path::new("p"), Path::new("q")]);
    assert_eq!(
        (settings.log.level, settings.log.format),
        (LogLevel::Debug, LogFormat::Json)
    );
    assert_eq!(settings.web.options.max_requests, None);
    assert_eq!(settings.web.options.scrape_timeout, Duration::from_secs(90));
}

#[test]
fn usage_errors_say_what_and_exit_with_2() {
    assert_eq!(
        error(""),
        "error: the following required arguments were not provided:"
    );
    assert_eq!(
        error("--config.dir="),
        "error: a value is required for '--config.dir <DIR>' but none was supplied"
    );
    assert_eq!(
        error("--config.dir x --config.name a"),
        "error: unexpected argument '--config.name' found"
    );
    assert_eq!(
        error("--config.dir x --web.listen-address 9435"),
        "error: invalid value '9435' for '--web.listen-address <ADDRESS>': expected `:port`, `host:port`, `[ipv6]:port` or `fd://n`: write `:9435`"
    );
    assert_eq!(
        error("--config.dir x --web.listen-address :1 --web.listen-address :1"),
        "error: --web.listen-address :1 is given twice"
    );
    assert_eq!(
        error("--config.dir x --web.telemetry-path=/probe"),
        "error: invalid value '/probe' for '--web.telemetry-path <PATH>': this path is a page of the exporter's own: choose another"
    );
    assert_eq!(
        error("--config.dir x --btf.path /no"),
        "error: --btf.path: there is no file /no"
    );
    assert_eq!(
        error("@/no"),
        "error: cannot read the arguments in `@/no`: No such file or directory (os error 2)"
    );
    assert_eq!(
        error("--config.dir x check y"),
        "error: the subcommand 'check' cannot be used with '--config.dir <DIR>'"
    );
}

#[test]
fn check_needs_a_directory_and_no_flags_of_serving() {
    assert!(matches!(
        parsed("check conf.d --strict --format json"),
        Ok(Command::Check(_))
    ));
    assert_eq!(
        error("check"),
        "error: the following required arguments were not provided:"
    );
}

#[test]
fn version_and_help_are_no_errors() {
    let version = parsed("--version").unwrap_err();
    assert_eq!(version.exit_code(), 0);
    assert!(
        version
            .to_string()
            .starts_with(&format!("exporter-host {} (", version::VERSION)),
        "{version}"
    );
    let help = parsed("-h").unwrap_err();
    assert_eq!(help.exit_code(), 0);
    assert!(help.to_string().contains("--config.skip-cache-size"));
}
