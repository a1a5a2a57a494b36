//! What an author implements to collect: families when asked, from files, from the network, from
//! the kernel.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::families::Families;
use crate::files::Files;
use crate::kernel::Kernel;
use crate::net::Net;

/// Produces families when asked.
///
/// ```
/// use exporter_guest_sdk::{Collector, Error, Failure, Families, Host, NoOptions, Request};
///
/// struct Load;
///
/// impl Collector for Load {
///     const NAME: &'static str = "load";
///     const SUMMARY: &'static str = "the load average, from /proc/loadavg";
///     type Options = NoOptions;
///
///     fn open(_: NoOptions) -> Result<Self, Error> {
///         Ok(Self)
///     }
///
///     fn collect(&self, host: &impl Host, _: &Request, families: &mut Families) -> Result<(), Failure> {
///         let text = host.read_to_string("/proc/loadavg")?;
///         let load: f64 = text.split(' ').next().and_then(|load| load.parse().ok())
///             .ok_or("/proc/loadavg starts with no number")?;
///         families.gauge("node_load1", "1m load average.").sample(&[], load);
///         Ok(())
///     }
/// }
///
/// use exporter_guest_sdk::testing::{FakeHost, collect};
/// let mut host = FakeHost::default();
/// host.files.add("/proc/loadavg", "0.25 0.5 1 2/345 6789\n");
/// let text = collect(&Load, &host, &Request::default()).unwrap();
/// assert_eq!(text, "# HELP node_load1 1m load average.\n# TYPE node_load1 gauge\nnode_load1 0.25\n");
/// ```
///
/// Trouble that leaves most of the answer intact goes to [`log::warn`](crate::log::warn): the host
/// tags and rate-limits the line. A [`Failure`] fails the whole answer: none of its families is
/// served.
pub trait Collector: Sized + 'static {
    /// The name in the YAML.
    const NAME: &'static str;
    /// One line for the catalogue.
    const SUMMARY: &'static str;
    /// A JSON schema of the options; empty: there are none.
    const OPTIONS_SCHEMA: &'static str = "";
    /// The collector's options. A field that this type does not name is an error that the SDK
    /// reports.
    type Options: DeserializeOwned;

    /// Called once per use in a config. An error is shown to the operator beside the place in the
    /// YAML.
    fn open(options: Self::Options) -> Result<Self, Error>;

    /// Adds to `families`, which come empty. Each scrape and each probe is a call, and each call
    /// has an instance of the plugin to itself, opened for it: what one leaves in `self` is not
    /// there in the next. So a counter has to come from where it is counted.
    ///
    /// `host` is a type parameter and no trait object so that a plugin imports only the interfaces
    /// that it uses.
    fn collect(
        &self,
        host: &impl Host,
        request: &Request,
        families: &mut Families,
    ) -> Result<(), Failure>;
}

/// What a collector may ask of the host: granted [`Files`], the [`Net`], facts of the [`Kernel`].
pub trait Host: Files + Net + Kernel {}

impl<H: Files + Net + Kernel> Host for H {}

/// One call's circumstances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Of the probe, or one of those listed in the config.
    pub target: Option<String>,
    /// A probe's other query parameters.
    pub params: Vec<(String, String)>,
    /// What is left until the call's deadline.
    pub timeout: Duration,
}

/// Why there is no answer; the sentence is shown to the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// What is asked isn't there: no such file, connection refused.
    Unreachable(String),
    /// Nothing came in time.
    Timeout(String),
    /// Something came and makes no sense, or the request does not.
    Invalid(String),
    /// The operator did not grant it.
    Denied(String),
}

// === impl Request ===

impl Request {
    /// For a target; other things as in `default`.
    pub fn of(target: &str) -> Self {
        Self {
            target: Some(target.to_owned()),
            ..Self::default()
        }
    }

    /// The target, for a collector that cannot do without.
    pub fn target(&self) -> Result<&str, Failure> {
        self.target.as_deref().ok_or_else(|| {
            Failure::Invalid(
                "a target is missing: list `targets:` in the config or probe with target=…"
                    .to_owned(),
            )
        })
    }

    /// The first query parameter of this name.
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.params.iter();
        params
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Default for Request {
    /// No target, no parameters, 10 s.
    fn default() -> Self {
        Self {
            target: None,
            params: Vec::new(),
            timeout: Duration::from_secs(10),
        }
    }
}

// === impl Failure ===

impl Failure {
    /// The sentence.
    pub fn message(&self) -> &str {
        match self {
            Self::Unreachable(message)
            | Self::Timeout(message)
            | Self::Invalid(message)
            | Self::Denied(message) => message,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Failure {}

/// A sentence alone is about what was read: [`Failure::Invalid`].
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Invalid(error.into())
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Invalid(message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self::Invalid(message.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{FileError, FileProblem};
    use crate::net::{NetError, NetProblem};

    #[test]
    fn errors_become_failures_of_their_sort() {
        let file = |problem| Failure::from(FileError::new("/x", problem));
        assert_eq!(
            file(FileProblem::NotFound),
            Failure::Unreachable("/x: no such file or directory".to_owned())
        );
        assert_eq!(
            file(FileProblem::Denied("/x is not granted".to_owned())),
            Failure::Denied("/x is not granted".to_owned())
        );
        assert!(matches!(
            file(FileProblem::TooLarge(5)),
            Failure::Invalid(_)
        ));
        let net = |problem| Failure::from(NetError::new("h:1", problem));
        assert_eq!(
            net(NetProblem::Timeout),
            Failure::Timeout("h:1: no answer in time".to_owned())
        );
        assert_eq!(
            net(NetProblem::Refused),
            Failure::Unreachable("h:1: connection refused".to_owned())
        );
        assert_eq!(
            net(NetProblem::Denied("no".to_owned())),
            Failure::Denied("h:1: no".to_owned())
        );
        assert_eq!(Failure::from("odd"), Failure::Invalid("odd".to_owned()));
    }

    #[test]
    fn a_request_is_asked_by_name() {
        let request = Request {
            params: vec![("a".to_owned(), "1".to_owned())],
            ..Request::of("t:1")
        };
        assert_eq!(
            (request.target().unwrap(), request.param("a")),
            ("t:1", Some("1"))
        );
        assert_eq!(request.param("b"), None);
        let error = Request::default().target().unwrap_err();
        assert!(error.message().starts_with("a target is missing"));
    }
}
