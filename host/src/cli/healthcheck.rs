//! `exporter-host healthcheck`: asks a running exporter whether it answers, for images that have no
//! other program to do it with.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::values;
use crate::paths::HEALTHY;

/// Ask a running exporter whether it is healthy: exit code 0 if it answers 200
#[derive(Debug, Args)]
pub(crate) struct HealthcheckFlags {
    /// What to GET, over plain HTTP
    #[arg(
        long,
        value_name = "URL",
        default_value_t = format!("http://127.0.0.1:9435{HEALTHY}")
    )]
    url: String,

    /// How long to wait for the connection, and then for the answer
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = values::timeout)]
    timeout: Duration,
}

/// `Err`: `out` could not be written to.
pub(crate) fn run(flags: &HealthcheckFlags, out: &mut impl Write) -> io::Result<ExitCode> {
    let (text, code) = match ask(&flags.url, flags.timeout) {
        Ok(200) => ("healthy".to_owned(), ExitCode::SUCCESS),
        Ok(status) => (
            format!("{}: expected status 200, found {status}", flags.url),
            ExitCode::FAILURE,
        ),
        Err(why) => (format!("{}: {why}", flags.url), ExitCode::FAILURE),
    };
    writeln!(out, "{text}")?;
    Ok(code)
}

/// The status of the answer.
fn ask(url: &str, timeout: Duration) -> Result<u16, String> {
    let rest = url.strip_prefix("http://").ok_or(
        "expected a URL that begins with http://; with TLS, listen on a second, local address without",
    )?;
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest, "/".to_owned()),
    };
    let address = if authority.ends_with(']') || !authority.contains(':') {
        format!("{authority}:80")
    } else {
        authority.to_owned()
    };
    let addresses = address
        .to_socket_addrs()
        .map_err(|error| error.to_string())?;
    let mut diagnostic = "the name has no address".to_owned();
    for address in addresses {
        match ask_at(&address, authority, &path, timeout) {
            Ok(status) => return Ok(status),
            Err(error) => diagnostic = error.to_string(),
        }
    }
    Err(diagnostic)
}

fn ask_at(
    address: &std::net::SocketAddr,
    authority: &str,
    path: &str,
    timeout: Duration,
) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    // In one piece: who answers and closes after the first of several resets the connection, and
    // the answer is lost.
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut line = Vec::new();
    let limit = 256;
    BufReader::new(io::Read::take(stream, limit)).read_until(b'\n', &mut line)?;
    status(&String::from_utf8_lossy(&line)).ok_or_else(|| {
        io::Error::other("expected a status line of HTTP/1.1, found something else or nothing")
    })
}

fn status(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("HTTP/1.")?;
    rest.split(' ').nth(1)?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn asked(answer: &'static str) -> (Result<u16, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/-/healthy", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let status = ask(&url, Duration::from_secs(5));
        (status, server.join().unwrap())
    }

    #[test]
    fn the_status_is_read() {
        let (status, request) = asked("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(status, Ok(200));
        assert!(request.starts_with("GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1:"));
        assert_eq!(asked("HTTP/1.0 503 No\r\n\r\n").0, Ok(503));
        assert!(
            asked("SSH-2.0-x\r\n")
                .0
                .unwrap_err()
                .contains("status line")
        );
        assert!(asked("").0.is_err());
    }

    #[test]
    fn what_cannot_be_asked_says_why() {
        let timeout = Duration::from_secs(1);
        assert!(
            ask("https://localhost/", timeout)
                .unwrap_err()
                .contains("http://")
        );
        assert!(ask("http://127.0.0.1:1/", timeout).is_err());
    }
}
