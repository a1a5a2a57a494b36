//! The one error of the SDK: a sentence for the operator.

use std::borrow::Cow;
use std::fmt;

/// Why a plugin cannot be opened, or why a row got no answer: one sentence, shown to the operator
/// as it is.
///
/// House style: lower case, no full stop; what was expected, what was found, what to do.
///
/// ```
/// use exporter_guest_sdk::Error;
///
/// fn port(input: &[u8]) -> Result<u16, Error> {
///     let bytes = input.try_into().map_err(|_| format!("a port is 2 bytes, got {}", input.len()))?;
///     Ok(u16::from_be_bytes(bytes))
/// }
/// assert_eq!(port(b"abc").unwrap_err().to_string(), "a port is 2 bytes, got 3");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Cow<'static, str>);

impl Error {
    /// An error that says `message`.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<&'static str> for Error {
    fn from(message: &'static str) -> Self {
        Self::new(message)
    }
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.0.into_owned()
    }
}
