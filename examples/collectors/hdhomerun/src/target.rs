//! Which device is meant: what people write, as an endpoint.

use std::net::Ipv6Addr;

/// Where devices listen, by UDP and TCP.
pub(crate) const PORT: u16 = 65001;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "target `{target}` {problem}; a target is a name, an IPv4 or an IPv6 address, with or without a port: 192.168.1.90, hdhr.lan:65001, \
     [fd00::1]:65001"
)]
pub(crate) struct TargetError {
    target: String,
    problem: &'static str,
}

/// The endpoint that `target` means: `host:port`, an IPv6 address in brackets.
pub(crate) fn endpoint(target: &str) -> Result<String, TargetError> {
    let error = |problem| TargetError {
        target: target.to_owned(),
        problem,
    };
    let trimmed = target.trim();
    if let Some(rest) = trimmed.strip_prefix('[') {
        let (address, port) = rest
            .split_once(']')
            .ok_or(error("has no closing bracket"))?;
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => PORT,
            None => return Err(error("has something other than a port after its bracket")),
            Some(port) => number(port).ok_or(error("has no port from 1 to 65535"))?,
        };
        let address = ipv6(address).ok_or(error("has no IPv6 address in its brackets"))?;
        return Ok(format!("[{address}]:{port}"));
    }
    if ipv6(trimmed).is_some() {
        return Ok(format!("[{trimmed}]:{PORT}"));
    }
    let (host, port) = match trimmed.split_once(':') {
        None => (trimmed, PORT),
        Some((_, port)) if port.contains(':') => return Err(error("is no IPv6 address")),
        Some((host, port)) => (
            host,
            number(port).ok_or(error("has no port from 1 to 65535"))?,
        ),
    };
    if host.is_empty() {
        return Err(error("has no host"));
    }
    // Names and IPv4 addresses; whether it is one is the resolver's to say.
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !host.chars().all(fits) {
        return Err(error("has a character that no name of a host has"));
    }
    Ok(format!("{host}:{port}"))
}

/// Digits only: `parse` alone would take a sign.
fn number(port: &str) -> Option<u16> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|&port| digits && port != 0)
}

/// An address, perhaps with a zone: `fe80::1%eth0`.
fn ipv6(text: &str) -> Option<&str> {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    let zone_fits = !zone.is_empty()
        && zone
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    (zone_fits && address.parse::<Ipv6Addr>().is_ok()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_people_write_is_an_endpoint() {
        for (target, wanted) in [
            ("192.168.1.90", "192.168.1.90:65001"),
            ("192.168.1.90:80", "192.168.1.90:80"),
            ("hdhr.lan", "hdhr.lan:65001"),
            ("hdhr-13252C05.local:65001", "hdhr-13252C05.local:65001"),
            (" tuner ", "tuner:65001"),
            ("::1", "[::1]:65001"),
            ("[::1]", "[::1]:65001"),
            ("[::1]:65002", "[::1]:65002"),
            ("fd00::90", "[fd00::90]:65001"),
            ("fe80::1%eth0", "[fe80::1%eth0]:65001"),
            ("[fe80::1%eth0]:1", "[fe80::1%eth0]:1"),
            ("::ffff:10.0.0.1", "[::ffff:10.0.0.1]:65001"),
        ] {
            assert_eq!(endpoint(target).as_deref(), Ok(wanted), "{target}");
        }
    }

    #[test]
    fn everything_else_says_why() {
        for (target, problem) in [
            ("", "has no host"),
            (":65001", "has no host"),
            ("host:", "has no port"),
            ("host:0", "has no port"),
            ("host:65536", "has no port"),
            ("host:+1", "has no port"),
            ("host:80:80", "is no IPv6 address"),
            ("[::1", "has no closing bracket"),
            ("[::1]65001", "has something other than a port"),
            ("[::1]:x", "has no port"),
            ("[host]:1", "has no IPv6 address in its brackets"),
            ("[]", "has no IPv6 address in its brackets"),
            ("fe80::1%", "is no IPv6 address"),
            ("a b", "has a character"),
            ("host/path", "has a character"),
            ("http://host", "has no port"),
            ("b\u{fc}cher.lan", "has a character"),
            ("host\n", "host"),
        ] {
            match endpoint(target) {
                Err(error) => assert!(error.to_string().contains(problem), "{error}"),
                // Blanks around it are taken off.
                Ok(found) => assert_eq!((target, &*found), ("host\n", "host:65001")),
            }
        }
        assert_eq!(
            endpoint("host:x").unwrap_err().to_string(),
            "target `host:x` has no port from 1 to 65535; a target is a name, an IPv4 or an IPv6 address, with or without a port: \
             192.168.1.90, hdhr.lan:65001, [fd00::1]:65001"
        );
    }
}
