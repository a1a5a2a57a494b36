//! One GET request to a host, as little of HTTP as that takes: no TLS, no redirects, no proxies.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
/// Far more than any answer that is asked for.
const MAX_BYTES: u64 = 64 << 20;

/// The body of `path` at `url`, which is `http://HOST[:PORT]`, perhaps with a path of its own.
pub(super) fn get(url: &str, path: &str) -> io::Result<String> {
    let other = |what: &str| io::Error::other(what.to_owned());
    let rest = url.strip_prefix("http://").ok_or_else(|| {
        other("expected a URL such as `http://127.0.0.1:9435` (no https: ask on the host itself)")
    })?;
    let (authority, prefix) = match rest.split_once('/') {
        Some((authority, prefix)) => (authority, prefix.trim_end_matches('/')),
        None => (rest, ""),
    };
    let slash = if prefix.is_empty() { "" } else { "/" };
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let address = if port.is_some_and(|port| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let mut last = other("the name has no address");
    let mut stream = None;
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(connected) => {
                stream = Some(connected);
                break;
            }
            Err(error) => last = error,
        }
    }
    let Some(mut stream) = stream else {
        return Err(last);
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // 1.0: the answer comes in one piece and ends with the connection.
    let request = format!(
        "GET {slash}{prefix}{path} HTTP/1.0\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
    );
    // In one piece, as in `healthcheck`.
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut answer)?;
    let answer = String::from_utf8(answer).map_err(io::Error::other)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| other("the answer is not HTTP"))?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "200" {
        Ok(body.to_owned())
    } else {
        let line = head.lines().next().unwrap_or_default();
        Err(io::Error::other(format!(
            "{path} is answered with `{line}`"
        )))
    }
}
