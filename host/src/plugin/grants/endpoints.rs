//! Which addresses a plugin may reach: names are resolved here, every address is checked, and what
//! is checked is what is connected to.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use crate::config::sidecar::{EndpointPattern, Grants, host_name};

/// More addresses of one name are not tried.
const MAX_ADDRESSES: usize = 16;

/// Which list of grants is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) enum Protocol {
    Tcp,
    Udp,
}

/// What a plugin asks to be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) enum Endpoint {
    Address(SocketAddr),
    Name(String, u16),
}

/// Why there is no address.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::plugin) enum Unreachable {
    /// Names what is not granted.
    Denied(String),
    Other(String),
}

impl Protocol {
    pub(in crate::plugin) fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    pub(in crate::plugin) fn granted(self, grants: &Grants) -> &[EndpointPattern] {
        match self {
            Self::Tcp => &grants.tcp,
            Self::Udp => &grants.udp,
        }
    }
}

impl Endpoint {
    /// `host:port`, where the host is a name, an IPv4 address or an IPv6 address in brackets.
    pub(in crate::plugin) fn parse(text: &str) -> Result<Self, Unreachable> {
        let wrong = || {
            let start: String = text.chars().take(256).collect();
            Unreachable::Other(format!(
                "expected host:port, where host is a name, an IPv4 address or an IPv6 address in brackets, found `{start}`"
            ))
        };
        if let Ok(address) = text.parse::<SocketAddr>() {
            let address = canonical(address);
            return if address.port() == 0 {
                Err(wrong())
            } else {
                Ok(Self::Address(address))
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port > 0);
        match (host_name(host), port) {
            (Ok(name), Some(port)) => Ok(Self::Name(name, port)),
            _ => Err(wrong()),
        }
    }

    /// Every granted address of it, at least one. A name may be resolved if it is granted as one,
    /// for whatever use. Blocks.
    pub(in crate::plugin) fn addresses(
        &self,
        grants: &Grants,
        protocol: Protocol,
    ) -> Result<Vec<SocketAddr>, Unreachable> {
        let granted = protocol.granted(grants);
        let denied =
            |what: String| Err(Unreachable::Denied(format!("{} {what}", protocol.as_str())));
        match self {
            Self::Address(address) if covers(granted, *address) => Ok(vec![*address]),
            Self::Address(address) => denied(address.to_string()),
            Self::Name(name, port) => {
                if !may_resolve(grants, name) {
                    return denied(format!("{name}:{port}"));
                }
                let resolved = (name.as_str(), *port).to_socket_addrs();
                let resolved =
                    resolved.map_err(|error| Unreachable::Other(format!("{name}: {error}")))?;
                let found: Vec<SocketAddr> = resolved.map(canonical).take(MAX_ADDRESSES).collect();
                self.permitted(granted, &found).or_else(|()| {
                    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                    denied(format!("{name}:{port} ({})", found.join(", ")))
                })
            }
        }
    }

    /// Those of a name's addresses that may be used for it.
    fn permitted(
        &self,
        granted: &[EndpointPattern],
        found: &[SocketAddr],
    ) -> Result<Vec<SocketAddr>, ()> {
        let (named, is_localhost) = match self {
            Self::Name(name, port) => {
                let named = granted.iter().any(|grant| grant.covers_name(name, *port));
                (named, name == "localhost")
            }
            Self::Address(_) => (false, false),
        };
        let by_name = |address: IpAddr| {
            reaches_one(address) && (!is_near(address) || (is_localhost && address.is_loopback()))
        };
        let may =
            |address: &&SocketAddr| covers(granted, **address) || (named && by_name(address.ip()));
        let permitted: Vec<SocketAddr> = found.iter().filter(may).copied().collect();
        if permitted.is_empty() {
            Err(())
        } else {
            Ok(permitted)
        }
    }
}

/// Whether an address is granted by itself or by a network around it.
pub(in crate::plugin) fn covers(granted: &[EndpointPattern], address: SocketAddr) -> bool {
    granted.iter().any(|grant| grant.covers(address))
}

/// IPv4 addresses as such, also where IPv6 was used to reach them.
pub(in crate::plugin) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        // With its scope.
        IpAddr::V6(_) => address,
    }
}

/// No name stands for everyone in a network.
fn reaches_one(address: IpAddr) -> bool {
    let everyone = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_multicast() && !address.is_unspecified() && !everyone
}

/// This machine, or what only it can reach, as a cloud's metadata: whoever answers for a name must
/// not lead there.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_loopback() || address.is_link_local() || address.octets()[0] == 0
        }
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    }
}

fn may_resolve(grants: &Grants, name: &str) -> bool {
    let names_it = |grant: &EndpointPattern| match &grant.host {
        crate::config::sidecar::endpoint::HostPattern::Name(own) => own == name,
        crate::config::sidecar::endpoint::HostPattern::Net(_) => false,
    };
    grants.dns.iter().any(|own| own == name)
        || grants.tcp.iter().any(names_it)
        || grants.udp.iter().any(names_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::tests::endpoints;

    fn addresses(endpoint: &str, grants: &Grants) -> Result<Vec<SocketAddr>, Unreachable> {
        Endpoint::parse(endpoint)?.addresses(grants, Protocol::Tcp)
    }

    fn tcp(patterns: &[&str]) -> Grants {
        Grants {
            tcp: endpoints(patterns),
            ..Grants::default()
        }
    }

    fn is_denied(endpoint: &str, grants: &Grants) -> bool {
        matches!(addresses(endpoint, grants), Err(Unreachable::Denied(_)))
    }

    #[test]
    fn addresses_are_compared_as_what_they_are() {
        let grants = tcp(&["10.0.0.0/8:80", "[fd00::1]:443"]);
        let ipv4: SocketAddr = "10.1.2.3:80".parse().unwrap();
        assert_eq!(addresses("10.1.2.3:80", &grants), Ok(vec![ipv4]));
        assert_eq!(addresses("[::ffff:10.1.2.3]:80", &grants), Ok(vec![ipv4]));
        assert!(addresses("[fd00::1]:443", &grants).is_ok());
        for other in [
            "10.1.2.3:81",
            "11.0.0.1:80",
            "[::ffff:11.0.0.1]:80",
            "[::ffff:127.0.0.1]:80",
            "[fd00::2]:443",
            "[::]:443",
            "0.0.0.0:80",
        ] {
            assert!(is_denied(other, &grants), "{other}");
        }
        assert_eq!(
            addresses("11.0.0.1:80", &grants),
            Err(Unreachable::Denied("tcp 11.0.0.1:80".into()))
        );
    }

    #[test]
    fn what_is_no_endpoint_is_no_way_around() {
        let grants = tcp(&["0.0.0.0/0:80"]);
        for text in [
            "",
            "10.0.0.1",
            "10.0.0.1:0",
            "127.1:80",
            "0x7f000001:80",
            "2130706433:80",
            "[10.0.0.1]:80",
            "a b:80",
            "10.0.0.1:80:80",
            "http://10.0.0.1:80",
        ] {
            assert!(
                matches!(addresses(text, &grants), Err(Unreachable::Other(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn names_are_resolved_only_if_they_are_granted() {
        assert!(is_denied(
            "localhost:80",
            &tcp(&["127.0.0.0/8:80", "[::1]:80"])
        ));
        // By its own name, whatever it leads to; by that name alone.
        let named = tcp(&["localhost:80"]);
        assert!(!addresses("LocalHost.:80", &named).unwrap().is_empty());
        assert!(is_denied("127.0.0.1:80", &named));
        assert!(is_denied("localhost:81", &named));
        // Resolved, but its addresses have to be granted.
        let dns = |tcp: &[&str]| Grants {
            tcp: endpoints(tcp),
            dns: vec!["localhost".into()],
            ..Grants::default()
        };
        assert!(is_denied("localhost:80", &dns(&["10.0.0.0/8:80"])));
        let found = addresses("localhost:80", &dns(&["127.0.0.0/8:80"])).unwrap();
        assert_eq!(found[0], "127.0.0.1:80".parse().unwrap());
        assert!(found.iter().all(SocketAddr::is_ipv4), "{found:?}");
    }

    /// Whoever answers for a name says where it leads.
    #[test]
    fn no_name_but_localhost_leads_to_this_machine() {
        let permitted = |name: &str, granted: &[&str], address: &str| {
            let endpoint = Endpoint::Name(name.into(), 80);
            let found = [address.parse().unwrap()];
            endpoint.permitted(&endpoints(granted), &found).is_ok()
        };
        for near in [
            "127.0.0.1:80",
            "127.8.9.10:80",
            "169.254.169.254:80",
            "0.0.0.1:80",
            "[::1]:80",
            "[fe80::1]:80",
        ] {
            assert!(!permitted("x.example", &["x.example:80"], near), "{near}");
            let by_number = ["x.example:80", near];
            assert!(permitted("x.example", &by_number, near), "{near}");
            let loopback = near.starts_with("127") || near.starts_with("[::1");
            let localhost = permitted("localhost", &["localhost:80"], near);
            assert_eq!(localhost, loopback, "{near}");
        }
        assert!(permitted("x.example", &["x.example:80"], "192.168.1.1:80"));
    }

    #[test]
    fn no_name_stands_for_everyone() {
        let endpoint = Endpoint::Name("evil.lan".into(), 9);
        let granted = endpoints(&["evil.lan:9"]);
        let permitted = |address: &str| endpoint.permitted(&granted, &[address.parse().unwrap()]);
        assert!(permitted("10.0.0.1:9").is_ok());
        for everyone in [
            "255.255.255.255:9",
            "224.0.0.1:9",
            "[ff02::1]:9",
            "0.0.0.0:9",
            "[::]:9",
        ] {
            assert!(permitted(everyone).is_err(), "{everyone}");
        }
    }
}
