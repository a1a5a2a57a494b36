//! Which format, escaping scheme and compression a scraper gets for its Accept and Accept-Encoding headers.
//!
//! As released client_golang does it: wildcards (curl) get text 0.0.4, unknown versions are passed over. Names are of the classic
//! character set, so no scheme but `dots` would change any; the answer repeats what was asked for.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text004,
    /// Asked for by servers from before 1.0; the body is the same.
    OpenMetrics001,
    OpenMetrics100,
}

/// The value of the Content-Type's `escaping` parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escaping {
    Underscores,
    AllowUtf8,
    Values,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub(crate) format: Format,
    pub(crate) escaping: Escaping,
    pub(crate) encoding: Encoding,
}

/// `accept` and `accept_encoding` are the headers' values; several headers of one name count as one list.
pub(crate) fn negotiate<'a>(
    accept: impl IntoIterator<Item = &'a str>,
    accept_encoding: impl IntoIterator<Item = &'a str>,
) -> Negotiated {
    let (format, escaping) = format(accept);
    Negotiated {
        format,
        escaping,
        encoding: encoding(accept_encoding),
    }
}

impl Negotiated {
    pub(crate) fn content_type(self) -> String {
        format!("{}; charset=utf-8; escaping={}", self.format, self.escaping)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text004 => "text/plain; version=0.0.4",
            Self::OpenMetrics001 => "application/openmetrics-text; version=0.0.1",
            Self::OpenMetrics100 => "application/openmetrics-text; version=1.0.0",
        })
    }
}

impl fmt::Display for Escaping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Underscores => "underscores",
            Self::AllowUtf8 => "allow-utf-8",
            Self::Values => "values",
        })
    }
}

/// One member of an Accept list.
struct Clause {
    format: Option<Format>,
    escaping: Option<Escaping>,
    quality: f32,
}

fn format<'a>(accept: impl IntoIterator<Item = &'a str>) -> (Format, Escaping) {
    let mut clauses: Vec<Clause> = members(accept).filter_map(Clause::parse).collect();
    // Stable: of equal quality the richer format first, then as the client wrote them.
    clauses.sort_by(|a, b| {
        b.quality
            .total_cmp(&a.quality)
            .then_with(|| rank(b.format).cmp(&rank(a.format)))
    });
    let mut escaping = Escaping::Underscores;
    for clause in clauses {
        // Also from clauses that cannot be served, as client_golang does: it says what the scraper can read.
        escaping = clause.escaping.unwrap_or(escaping);
        if let Some(format) = clause.format {
            return (format, escaping);
        }
    }
    (Format::Text004, escaping)
}

fn rank(format: Option<Format>) -> u8 {
    match format {
        None => 3,
        Some(Format::OpenMetrics100) => 2,
        Some(Format::OpenMetrics001) => 1,
        Some(Format::Text004) => 0,
    }
}

impl Clause {
    /// `None` for what the client refuses (`q=0`) or writes wrong.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next()?;
        let (mut version, mut escaping, mut quality) = (None, None, 1.0);
        for part in parts {
            let Some((name, value)) = part.split_once('=') else {
                continue;
            };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = parse_quality(value)?,
                "version" => version = Some(value),
                "escaping" => {
                    escaping = match value {
                        "allow-utf-8" => Some(Escaping::AllowUtf8),
                        "values" => Some(Escaping::Values),
                        // `dots` would rename every metric (`_` becomes `__`): not offered.
                        "underscores" | "dots" => Some(Escaping::Underscores),
                        _ => None,
                    }
                }
                _ => {}
            }
        }
        let format = match (media_type.to_ascii_lowercase().as_str(), version) {
            ("text/plain", None | Some("0.0.4")) => Some(Format::Text004),
            ("application/openmetrics-text", Some("1.0.0")) => Some(Format::OpenMetrics100),
            ("application/openmetrics-text", None | Some("0.0.1")) => Some(Format::OpenMetrics001),
            _ => None,
        };
        (quality > 0.0).then_some(Self {
            format,
            escaping,
            quality,
        })
    }
}

/// gzip if it is named with a quality above 0 and uncompressed is not explicitly liked better.
fn encoding<'a>(accept_encoding: impl IntoIterator<Item = &'a str>) -> Encoding {
    let (mut gzip, mut identity) = (0.0, 0.0);
    for member in members(accept_encoding) {
        let mut parts = member.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let quality = parts
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(Some(1.0), |(_, value)| parse_quality(value.trim()))
            .unwrap_or(0.0);
        if name.eq_ignore_ascii_case("gzip") {
            gzip = quality;
        } else if name.eq_ignore_ascii_case("identity") {
            identity = quality;
        }
    }
    if gzip > 0.0 && gzip >= identity {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

fn members<'a>(headers: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    headers
        .into_iter()
        .flat_map(|header| header.split(','))
        .map(str::trim)
        .filter(|m| !m.is_empty())
}

/// A quality value, 0 to 1.
fn parse_quality(text: &str) -> Option<f32> {
    text.parse()
        .ok()
        .filter(|quality| (0.0..=1.0).contains(quality))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept: &str) -> String {
        negotiate([accept], []).content_type()
    }

    #[test]
    fn scrapers_get_what_they_like_best() {
        const OM: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=";
        const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=";
        let prometheus_2_42 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_2_42_native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3_5 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format, escaping) in [
            (prometheus_2_42, OM, "underscores"),
            (prometheus_2_42_native, OM, "underscores"),
            (prometheus_3_5, OM, "allow-utf-8"),
            (
                "text/plain;version=0.0.4;q=1,*/*;q=0.1",
                TEXT,
                "underscores",
            ),
            ("*/*", TEXT, "underscores"),
            ("", TEXT, "underscores"),
            ("text/html,application/json", TEXT, "underscores"),
            ("text/plain", TEXT, "underscores"),
            (
                "text/plain;version=0.0.4, application/openmetrics-text; version=1.0.0",
                OM,
                "underscores",
            ),
            (
                "text/plain;version=0.0.4;q=0.9, application/openmetrics-text;version=1.0.0;q=0.5",
                TEXT,
                "underscores",
            ),
            (
                "application/openmetrics-text; version=2.0.0, text/plain;q=0.1",
                TEXT,
                "underscores",
            ),
            (
                "application/openmetrics-text; version=1.0.0; q=0",
                TEXT,
                "underscores",
            ),
            (
                "application/openmetrics-text; version=1.0.0; q=x, ;;,=",
                TEXT,
                "underscores",
            ),
            (
                "text/plain;version=0.0.4;escaping=dots",
                TEXT,
                "underscores",
            ),
            (
                "text/plain;version=1.0.0;escaping=values;q=0.9,text/plain;version=0.0.4;q=0.3",
                TEXT,
                "values",
            ),
        ] {
            assert_eq!(accepted(accept), format!("{format}{escaping}"), "{accept}");
        }
        assert_eq!(
            accepted("application/openmetrics-text"),
            "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=underscores"
        );
    }

    #[test]
    fn gzip_only_when_asked_for() {
        for (header, encoding) in [
            ("gzip", Encoding::Gzip),
            ("deflate, gzip;q=0.5, br", Encoding::Gzip),
            ("GZIP;q=1.0", Encoding::Gzip),
            ("gzip, identity", Encoding::Gzip),
            ("gzip;q=0", Encoding::Identity),
            ("gzip;q=0.5, identity", Encoding::Identity),
            ("gzip;q=nan", Encoding::Identity),
            ("*", Encoding::Identity),
            ("zstd", Encoding::Identity),
            ("", Encoding::Identity),
        ] {
            assert_eq!(negotiate([], [header]).encoding, encoding, "{header}");
        }
        assert_eq!(negotiate([], []).encoding, Encoding::Identity);
    }
}
