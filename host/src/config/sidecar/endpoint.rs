//! Patterns over network endpoints: what a plugin may connect to or send to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

use crate::config::yaml::shorten;

/// `192.168.1.0/24:65001`, `10.0.0.5:*`, `hdhr.lan:65001`, `[fd00::]/8:80`, `[fd00::1]:80`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndpointPattern {
    pub(crate) host: HostPattern,
    /// None: every port.
    pub(crate) port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostPattern {
    /// IPv4 addresses are never in their IPv6 form here.
    Net(IpNet),
    /// In lower case, without the full stop at the end.
    Name(String),
}

// === impl EndpointPattern ===

impl EndpointPattern {
    /// `Err`: what is wrong with it, as a sentence that names it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected an address, a network or a name with a port, such as `192.168.1.0/24:65001`, `[fd00::]/8:80`, `device.lan:*`";
        let wrong = |why: String| format!("the endpoint `{}` {why}", shorten(text));
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| wrong(format!("has no port: {EXPECTED}")))?;
        // An IPv6 address without brackets, whose last group is no port.
        if host.contains(':') && !host.starts_with('[') {
            return Err(wrong(
                "has an IPv6 address without brackets: write `[address]:port`".to_owned(),
            ));
        }
        if text.ends_with(']') {
            return Err(wrong(format!("has no port: {EXPECTED}")));
        }
        let port = match port {
            "*" => None,
            digits => match digits.parse::<u16>() {
                Ok(port) if port > 0 && !digits.starts_with('+') => Some(port),
                _ => {
                    return Err(wrong(format!(
                        "has the port `{}`: expected 1 to 65535, or `*` for all of them",
                        shorten(digits)
                    )));
                }
            },
        };
        let host = HostPattern::parse(host).map_err(wrong)?;
        Ok(Self { host, port })
    }

    /// Whether an address is covered. An address that reaches more than one machine, or whatever
    /// machine this is, is only covered by itself. IPv4 addresses in their IPv6 form have to be
    /// converted before.
    pub(crate) fn covers(&self, address: SocketAddr) -> bool {
        let HostPattern::Net(net) = &self.host else {
            return false;
        };
        let reaches = net.contains(&address.ip());
        let own = net.prefix_len() == net.max_prefix_len();
        self.covers_port(address.port()) && reaches && (own || !is_special(address.ip()))
    }

    /// Whether exactly this address is granted, not a network around it.
    pub(crate) fn is_exactly(&self, address: SocketAddr) -> bool {
        let HostPattern::Net(net) = &self.host else {
            return false;
        };
        net.prefix_len() == net.max_prefix_len() && self.covers(address)
    }

    /// Whether a name is granted. `name`: as `host_name` gives it.
    pub(crate) fn covers_name(&self, name: &str, port: u16) -> bool {
        matches!(&self.host, HostPattern::Name(own) if own == name) && self.covers_port(port)
    }

    fn covers_port(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

impl fmt::Display for EndpointPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostPattern::Name(name) => f.write_str(name)?,
            HostPattern::Net(net) => {
                match net.network() {
                    IpAddr::V4(address) => write!(f, "{address}")?,
                    IpAddr::V6(address) => write!(f, "[{address}]")?,
                }
                if net.prefix_len() < net.max_prefix_len() {
                    write!(f, "/{}", net.prefix_len())?;
                }
            }
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => f.write_str(":*"),
        }
    }
}

// === impl HostPattern ===

impl HostPattern {
    /// `Err`: the rest of a sentence.
    fn parse(text: &str) -> Result<Self, String> {
        let (address, length) = match text.rsplit_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let bare = address
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'));
        let parsed = bare.unwrap_or(address).parse::<IpAddr>();
        let address = match (parsed, bare) {
            (Ok(address @ IpAddr::V4(_)), None) | (Ok(address @ IpAddr::V6(_)), Some(_)) => address,
            (_, Some(inner)) => {
                return Err(format!(
                    "has `{}` in brackets, which is no IPv6 address",
                    shorten(inner)
                ));
            }
            _ if length.is_some() => {
                return Err(format!(
                    "has a network of `{}`, which is no address",
                    shorten(address)
                ));
            }
            _ => {
                return host_name(text)
                    .map(Self::Name)
                    .map_err(|why| format!("has the host `{}`, {why}", shorten(text)));
            }
        };
        let net = match length {
            None => IpNet::from(address),
            Some(length) => {
                let net = length
                    .parse::<u8>()
                    .ok()
                    .and_then(|length| IpNet::new(address, length).ok());
                net.ok_or_else(|| {
                    format!("has the prefix length `{}`, which is none", shorten(length))
                })?
            }
        };
        if net.addr() != net.network() {
            return Err(format!(
                "has bits of a host in its network: write `{}`",
                Self::shown(net.trunc())
            ));
        }
        Ok(Self::Net(canonical(net)))
    }

    fn shown(net: IpNet) -> String {
        match net {
            IpNet::V4(net) => net.to_string(),
            IpNet::V6(net) => format!("[{}]/{}", net.network(), net.prefix_len()),
        }
    }
}

/// A network of IPv4 addresses in their IPv6 form as what it is.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let v4 = v6
        .network()
        .to_ipv4_mapped()
        .zip(v6.prefix_len().checked_sub(96))
        .and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    v4.map_or(net, IpNet::V4)
}

/// Everyone in a network, or this machine whatever it is.
fn is_special(address: IpAddr) -> bool {
    address.is_multicast()
        || address.is_unspecified()
        || matches!(address, IpAddr::V4(address) if address.is_broadcast())
}

/// A name as the DNS compares it. `Err`: why it is none, as the rest of a sentence.
pub(crate) fn host_name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.is_empty() || name.len() > 253 || !name.split('.').all(is_label) {
        return Err("which is neither an address nor a host's name".to_owned());
    }
    // 127.1 and 0x7f.1 are addresses to the system's resolver.
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.starts_with(|first: char| first.is_ascii_digit()) {
        return Err("which looks like an address and is none: write all four numbers".to_owned());
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> EndpointPattern {
        EndpointPattern::parse(text).unwrap()
    }

    fn covers(text: &str, address: &str) -> bool {
        pattern(text).covers(address.parse().unwrap())
    }

    #[test]
    fn patterns_are_written_as_they_are_read() {
        for text in [
            "192.168.1.0/24:65001",
            "10.0.0.5:*",
            "hdhr.lan:65001",
            "[fd00::]/8:80",
            "[fd00::1]:80",
            "0.0.0.0/0:443",
        ] {
            assert_eq!(pattern(text).to_string(), text);
        }
        assert_eq!(pattern("HDHR.Lan.:1").to_string(), "hdhr.lan:1");
        assert_eq!(
            pattern("[::ffff:10.0.0.0]/104:80").to_string(),
            "10.0.0.0/8:80"
        );
    }

    #[test]
    fn an_address_is_covered_with_its_port() {
        assert!(covers("192.168.1.0/24:65001", "192.168.1.20:65001"));
        assert!(!covers("192.168.1.0/24:65001", "192.168.1.20:65002"));
        assert!(!covers("192.168.1.0/24:65001", "192.168.2.20:65001"));
        assert!(covers("10.0.0.5:*", "10.0.0.5:1"));
        assert!(covers("[fd00::]/8:80", "[fd12::1]:80"));
        assert!(!covers("[::]/0:80", "10.0.0.1:80"));
        assert!(!covers("hdhr.lan:80", "10.0.0.1:80"));
        assert!(pattern("hdhr.lan:80").covers_name("hdhr.lan", 80));
        assert!(!pattern("hdhr.lan:80").covers_name("hdhr.lan", 81));
    }

    #[test]
    fn everyone_is_only_covered_by_name() {
        for everyone in ["255.255.255.255:9", "239.255.255.250:9", "0.0.0.0:9"] {
            assert!(!covers("0.0.0.0/0:9", everyone), "{everyone}");
            assert!(covers(everyone, everyone), "{everyone}");
        }
        assert!(!covers("[ff02::]/16:9", "[ff02::1]:9"));
        assert!(covers("[ff02::1]:9", "[ff02::1]:9"));
        assert!(pattern("10.1.2.255:9").is_exactly("10.1.2.255:9".parse().unwrap()));
        assert!(!pattern("10.1.2.0/24:9").is_exactly("10.1.2.255:9".parse().unwrap()));
    }

    #[test]
    fn what_is_no_endpoint_is_a_sentence() {
        for (text, why) in [
            ("10.0.0.1", "has no port"),
            ("[fd00::1]", "has no port"),
            ("fd00::1", "an IPv6 address without brackets"),
            ("10.0.0.1:0", "has the port `0`"),
            ("10.0.0.1:65536", "has the port `65536`"),
            ("10.0.0.1:+80", "has the port `+80`"),
            ("10.0.0.1:http", "has the port `http`"),
            (
                "10.0.0.5/24:80",
                "has bits of a host in its network: write `10.0.0.0/24`",
            ),
            ("[fd00::1]/8:80", "write `[fd00::]/8`"),
            ("10.0.0.0/33:80", "has the prefix length `33`"),
            ("[10.0.0.1]:80", "which is no IPv6 address"),
            ("[zz]:80", "which is no IPv6 address"),
            ("hdhr.lan/24:80", "which is no address"),
            ("*:80", "neither an address nor a host's name"),
            ("a b:80", "neither an address nor a host's name"),
            ("127.1:80", "looks like an address"),
            ("0x7f.0x1:80", "looks like an address"),
            (":80", "neither an address nor a host's name"),
        ] {
            let message = EndpointPattern::parse(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
    }
}
