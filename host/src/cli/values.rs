//! Flag values that are more than a text: addresses, paths, durations. Each parser's error is the
//! rest of clap's `invalid value '…' for '--flag': …`.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::config::parse_duration;
use crate::listen::{self, Address};
use crate::paths::is_page;

pub(super) fn listen_address(text: &str) -> Result<Address, String> {
    const FORMS: &str = "expected `:port`, `host:port`, `[ipv6]:port` or `fd://n`";
    if let Some(index) = text.strip_prefix("fd://") {
        let index = digits(index).ok_or("expected the number of a socket handed over by systemd after `fd://`, the first one is 0")?;
        return Ok(Address::Activated { index });
    }
    if digits::<u16>(text).is_some() {
        return Err(format!("{FORMS}: write `:{text}`"));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("{FORMS}: write `[{text}]:9435`"));
    }
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("{FORMS}: there is no port"))?;
    let port = digits(port).or_else(|| listen::service_port(port)).ok_or(
        "expected a port from 0 to 65535, or a TCP service of /etc/services, after the colon",
    )?;
    if host.is_empty() {
        return Ok(Address::Any { port });
    }
    let host = match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        // With a scope, as in fe80::1%eth0, which the resolver understands.
        Some(v6)
            if v6
                .split('%')
                .next()
                .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()) =>
        {
            v6
        }
        Some(_) => return Err("expected an IPv6 address in the brackets".to_owned()),
        None if host.contains(':') => {
            return Err(format!("{FORMS}: an IPv6 address needs brackets"));
        }
        None => host,
    };
    if host
        .chars()
        .any(|c| c.is_whitespace() || matches!(c, '/' | '[' | ']'))
    {
        return Err(FORMS.to_owned());
    }
    Ok(Address::Host {
        host: host.to_owned(),
        port,
    })
}

/// A path, which may be empty: what that means is for the flag to say.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Rust's own parser would take a `+`.
fn digits<N: std::str::FromStr>(text: &str) -> Option<N> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// Only characters that mean themselves, both in a URL and to the router.
pub(super) fn telemetry_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("expected a path that starts with `/`, e.g. `/metrics`".to_owned());
    }
    if is_page(text) {
        return Err("this path is a page of the exporter's own: choose another".to_owned());
    }
    match text
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~')))
    {
        Some(bad) => Err(format!(
            "expected letters, digits, `/`, `-`, `_`, `.` and `~` only, found {bad:?}"
        )),
        None => Ok(text.to_owned()),
    }
}

/// Zero included.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// More than nothing.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("expected a duration longer than 0, such as `10s`".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        let tcp = |host: &str, port| Address::Host {
            host: host.to_owned(),
            port,
        };
        for (text, address) in [
            (":9435", Address::Any { port: 9435 }),
            ("127.0.0.1:0", tcp("127.0.0.1", 0)),
            ("localhost:80", tcp("localhost", 80)),
            ("[::1]:9435", tcp("::1", 9435)),
            ("[fe80::1%eth0]:1", tcp("fe80::1%eth0", 1)),
            ("fd://2", Address::Activated { index: 2 }),
        ] {
            assert_eq!(listen_address(text).as_ref(), Ok(&address));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn addresses_that_are_none_say_why() {
        for (text, message) in [
            (
                "9435",
                "expected `:port`, `host:port`, `[ipv6]:port` or `fd://n`: write `:9435`",
            ),
            (
                "::1",
                "expected `:port`, `host:port`, `[ipv6]:port` or `fd://n`: write `[::1]:9435`",
            ),
            (
                "fe80::1%eth0:80",
                "expected `:port`, `host:port`, `[ipv6]:port` or `fd://n`: an IPv6 address needs brackets",
            ),
            (
                "localhost",
                "expected `:port`, `host:port`, `[ipv6]:port` or `fd://n`: there is no port",
            ),
            (
                ":99999",
                "expected a port from 0 to 65535, or a TCP service of /etc/services, after the colon",
            ),
            (
                ":+80",
                "expected a port from 0 to 65535, or a TCP service of /etc/services, after the colon",
            ),
            ("[x]:80", "expected an IPv6 address in the brackets"),
            (
                "a/b:80",
                "expected `:port`, `host:port`, `[ipv6]:port` or `fd://n`",
            ),
            (
                "fd://x",
                "expected the number of a socket handed over by systemd after `fd://`, the first one is 0",
            ),
        ] {
            assert_eq!(listen_address(text).unwrap_err(), message, "{text}");
        }
    }

    #[test]
    fn the_telemetry_path_is_a_plain_path_of_its_own() {
        assert_eq!(telemetry_path("/a/b.c"), Ok("/a/b.c".to_owned()));
        for text in [
            "metrics",
            "/",
            "/probe",
            "/maps",
            "/-/reload",
            "/{x}",
            "/a?b",
            "/ä",
        ] {
            assert!(telemetry_path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_timeout_of_nothing_is_none() {
        assert_eq!(timeout("1.5s"), Ok(Duration::from_millis(1500)));
        assert!(timeout("0").is_err());
    }
}
