//! One event as one line. Field values may come from anywhere (process names, paths): no value can
//! break its line or fake a field.

use std::fmt;
use std::fmt::Write;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;

#[derive(Debug, Clone, Copy)]
pub(super) struct LineFormat {
    pub(super) format: LogFormat,
    pub(super) timestamps: bool,
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line {
            format: self.format,
            text: String::with_capacity(160),
        };
        if self.timestamps {
            let mut time = String::with_capacity(32);
            SystemTime.format_time(&mut Writer::new(&mut time))?;
            line.text_field("time", &time);
        }
        line.text_field("level", level(*event.metadata().level()));
        event.record(&mut Message(&mut line));
        event.record(&mut line);
        writeln!(writer, "{}", line.finish())
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// tracing's name of what `msg` is called here.
const MESSAGE: &str = "message";

/// A line being written.
struct Line {
    format: LogFormat,
    text: String,
}

impl Line {
    fn key(&mut self, key: &str) {
        let key = key.strip_prefix("r#").unwrap_or(key);
        match self.format {
            LogFormat::Logfmt => {
                if !self.text.is_empty() {
                    self.text.push(' ');
                }
                self.text.push_str(key);
                self.text.push('=');
            }
            LogFormat::Json => {
                self.text.push(if self.text.is_empty() { '{' } else { ',' });
                json_text(&mut self.text, key);
                self.text.push(':');
            }
        }
    }

    fn text_field(&mut self, key: &str, value: &str) {
        self.key(key);
        match self.format {
            LogFormat::Json => json_text(&mut self.text, value),
            LogFormat::Logfmt if plain(value) => self.text.push_str(value),
            LogFormat::Logfmt => json_text(&mut self.text, value),
        }
    }

    /// A number or a boolean, which both formats write bare.
    fn bare_field(&mut self, key: &str, value: impl fmt::Display) {
        self.key(key);
        // Writing to a string does not fail.
        let _ = write!(self.text, "{value}");
    }

    fn finish(mut self) -> String {
        if self.format == LogFormat::Json {
            self.text.push('}');
        }
        self.text
    }
}

/// Whether logfmt needs no quotes.
fn plain(value: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '=' | '\\');
    !value.is_empty() && !value.contains(odd)
}

/// JSON's string form, which logfmt readers take as well. Control characters beyond ASCII are
/// escaped too: some terminals obey them.
fn json_text(out: &mut String, value: &str) {
    out.push('"');
    for char in value.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// The message, which stands before the other fields wherever it is in the event.
struct Message<'a>(&'a mut Line);

impl Visit for Message<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE {
            self.0.text_field("msg", value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == MESSAGE {
            self.0.text_field("msg", &format!("{value:?}"));
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != MESSAGE {
            self.text_field(field.name(), value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != MESSAGE {
            self.text_field(field.name(), &format!("{value:?}"));
        }
    }

    /// The whole chain of causes.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.text_field(field.name(), &text);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare_field(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare_field(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare_field(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.bare_field(field.name(), value);
        } else {
            self.text_field(field.name(), &value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, timestamps: bool, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(LineFormat { format, timestamps })
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        String::from_utf8(sink.0.lock().clone()).unwrap()
    }

    fn event() {
        tracing::warn!(
            unit = "net/drops",
            comm = "a\"b\\ c\n\u{9b}",
            rows = 3,
            ratio = 0.5,
            ok = true,
            "row left out"
        );
    }

    #[test]
    fn logfmt_is_one_line_whatever_the_values_are() {
        assert_eq!(
            logged(LogFormat::Logfmt, false, event),
            "level=warn msg=\"row left out\" unit=net/drops comm=\"a\\\"b\\\\ c\\n\\u009b\" rows=3 ratio=0.5 ok=true\n"
        );
    }

    #[test]
    fn json_can_be_read() {
        let line = logged(LogFormat::Json, true, event);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["msg"], "row left out");
        assert_eq!(value["comm"], "a\"b\\ c\n\u{9b}");
        assert_eq!(value["rows"], 3);
        assert!(value["time"].as_str().unwrap().starts_with("20"));
    }

    #[test]
    fn errors_are_logged_with_their_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("inner"));
        let error: &dyn std::error::Error = &error;
        let line = logged(LogFormat::Logfmt, false, || {
            tracing::error!(error, "failed")
        });
        assert_eq!(line, "level=error msg=failed error=\"outer: inner\"\n");
    }
}
