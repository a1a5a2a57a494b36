//! A small HTTP/1.1 client: one request a connection, everything that comes back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    fn parse(answer: &[u8], has_body: bool) -> Option<Self> {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&answer[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(':').expect("a header has a colon"))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut response = Self {
            status,
            headers,
            body: answer[end + 4..].to_vec(),
        };
        if response
            .header("transfer-encoding")
            .is_some_and(|coding| coding == "chunked")
        {
            response.body = unchunk(&response.body);
        } else if let Some(length) = response.header("content-length").filter(|_| has_body) {
            assert_eq!(
                length.parse::<usize>().unwrap(),
                response.body.len(),
                "Content-Length"
            );
        }
        Some(response)
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = rest
            .windows(2)
            .position(|two| two == b"\r\n")
            .expect("a chunk has a size");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 4 + size..];
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the host accepts connections");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream
}

/// The same for an answer that may be cut short, as by the death of the process that gives it:
/// `None` then.
pub(crate) fn whole(address: SocketAddr, path: &str) -> Option<Response> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let is_whole = match length {
        Some(length) => length.trim().parse() == Ok(answer.len() - end),
        None => answer.ends_with(b"0\r\n\r\n"),
    };
    is_whole.then(|| Response::parse(&answer, true))?
}

/// Sends these bytes; `None` if the host closes the connection without an answer.
pub(crate) fn raw(address: SocketAddr, request: &[u8]) -> Option<Response> {
    let mut stream = connect(address);
    // The host may answer and close before it has read all of a request that it refuses.
    let _sent = stream.write_all(request);
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer);
    Response::parse(&answer, !request.starts_with(b"HEAD"))
}

pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Response {
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    raw(address, request.as_bytes()).unwrap_or_else(|| panic!("{method} {path} is answered"))
}
