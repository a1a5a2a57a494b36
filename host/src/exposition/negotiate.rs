//! Which format, escaping scheme and compression a scraper gets for its Accept and Accept-Encoding
//! headers.
//!
//! As released client_golang does it: wildcards (curl) get text 0.0.4, unknown versions are passed
//! over. Names are of the classic character set, so no scheme but `dots` would change any; the
//! answer repeats what was asked for.

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
    Zstd,
}

impl Encoding {
    /// In the order in which they are offered: of those that a client likes equally it gets the
    /// first.
    const OFFERED: [Self; 3] = [Self::Identity, Self::Gzip, Self::Zstd];

    /// As in Accept-Encoding and Content-Encoding.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub(crate) format: Format,
    pub(crate) escaping: Escaping,
    pub(crate) encoding: Encoding,
}

/// `accept` and `accept_encoding` are the headers' values; several headers of one name count as one
/// list.
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
        // Also from clauses that cannot be served, as client_golang does: it says what the scraper
        // can read.
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

/// The encoding of the highest quality among those the client lists, by name or with `*`. What it
/// doesn't list it does not get compressed.
fn encoding<'a>(accept_encoding: impl IntoIterator<Item = &'a str>) -> Encoding {
    let listed: Vec<(&str, f32)> = members(accept_encoding).map(coding).collect();
    let quality = |wanted: &str| {
        let found = listed
            .iter()
            .rfind(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, quality)| *quality)
    };
    let mut best = (Encoding::Identity, 0.0);
    for offer in Encoding::OFFERED {
        let quality = quality(offer.name())
            .or_else(|| quality("*"))
            .unwrap_or(0.0);
        if quality > best.1 {
            best = (offer, quality);
        }
    }
    best.0
}

/// The name and the quality of a member of an Accept-Encoding list. One that is written wrong is
/// not wanted.
fn coding(member: &str) -> (&str, f32) {
    let mut parts = member.split(';').map(str::trim);
    let name = parts.next().unwrap_or("");
    let quality = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .map_or(Some(1.0), |(_, value)| parse_quality(value.trim()))
        .unwrap_or(0.0);
    (name, quality)
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
    fn compressed_only_when_asked_for() {
        use Encoding::{Gzip, Identity, Zstd};
        for (header, encoding) in [
            ("gzip", Gzip),
            ("deflate, gzip;q=0.5, br", Gzip),
            ("GZIP;q=1.0", Gzip),
            ("gzip;q=0", Identity),
            ("gzip;q=nan", Identity),
            ("gzip;q=1.1", Identity),
            ("", Identity),
            ("br, deflate", Identity),
            ("zstd", Zstd),
            ("ZSTD ; Q=0.1", Zstd),
            ("zstd;q=0", Identity),
            // Of the same quality: the earlier offer, whatever the client's order.
            ("zstd, gzip", Gzip),
            ("gzip, deflate, br, zstd", Gzip),
            ("zstd, identity", Identity),
            ("gzip, identity", Identity),
            // Of another.
            ("gzip;q=0.5, zstd;q=0.7", Zstd),
            ("gzip;q=0.5, identity", Identity),
            ("identity;q=0.5, gzip;q=0.6", Gzip),
            // All that is not named.
            ("*", Identity),
            ("*;q=0", Identity),
            ("identity;q=0, *", Gzip),
            ("identity;q=0, gzip;q=0, *;q=0.1", Zstd),
            ("gzip;q=0, *;q=0.5", Identity),
            ("zstd, *;q=0.5", Zstd),
            ("gzip, *;q=0", Gzip),
            // Nothing is left: better plain than not at all.
            ("identity;q=0", Identity),
        ] {
            assert_eq!(negotiate([], [header]).encoding, encoding, "{header}");
        }
        assert_eq!(negotiate([], []).encoding, Identity);
        assert_eq!(negotiate([], ["gzip;q=0.5", "zstd"]).encoding, Zstd);
    }
}
