//! Families as text format 0.0.4, so that a test can say what it expects as an operator would see
//! it.

use std::fmt::{Display, Write};

use crate::families::{Family, Kind, Sample, Value};

/// Writes families in the order given. For tests: the host writes its own text.
pub fn render(families: &[Family]) -> String {
    let mut out = String::new();
    for family in families {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge | Kind::Info => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
            Kind::Unknown => "untyped",
        };
        let help = family.help.replace('\\', r"\\").replace('\n', r"\n");
        line(&mut out, format_args!("# HELP {} {help}", family.name));
        line(&mut out, format_args!("# TYPE {} {kind}", family.name));
        for sample in &family.samples {
            samples(&mut out, family, sample);
        }
    }
    out
}

fn samples(out: &mut String, family: &Family, sample: &Sample) {
    let mut one = |suffix: &str, extra: Option<(&str, String)>, value: &dyn Display| {
        let name = &family.name;
        let labels = labels(family, sample, extra);
        line(out, format_args!("{name}{suffix}{labels} {value}"));
    };
    match &sample.value {
        Value::Unsigned(number) => one("", None, number),
        Value::Signed(number) => one("", None, number),
        Value::Real(number) => one("", None, &real(*number)),
        Value::Histogram(histogram) => {
            for (bound, count) in &histogram.buckets {
                one("_bucket", Some(("le", real(*bound))), count);
            }
            one("_bucket", Some(("le", "+Inf".to_owned())), &histogram.count);
            one("_sum", None, &real(histogram.sum));
            one("_count", None, &histogram.count);
        }
        Value::Summary(summary) => {
            for (quantile, value) in &summary.quantiles {
                one("", Some(("quantile", real(*quantile))), &real(*value));
            }
            one("_sum", None, &real(summary.sum));
            one("_count", None, &summary.count);
        }
    }
}

/// `{a="b"}`, or nothing; empty values are left out as they are the same as absent ones.
fn labels(family: &Family, sample: &Sample, extra: Option<(&str, String)>) -> String {
    let names = family.label_names.iter().map(String::as_str);
    let values = sample.label_values.iter().map(String::as_str);
    let extra = extra.as_ref().map(|(name, value)| (*name, value.as_str()));
    let pairs: Vec<String> = names
        .zip(values)
        .chain(extra)
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| {
            let value = value.replace('\\', r"\\").replace('"', "\\\"");
            format!("{name}=\"{}\"", value.replace('\n', r"\n"))
        })
        .collect();
    match pairs.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", pairs.join(",")),
    }
}

fn real(number: f64) -> String {
    match number {
        _ if number == f64::INFINITY => "+Inf".to_owned(),
        _ if number == f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => number.to_string(),
    }
}

fn line(out: &mut String, content: impl Display) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{content}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::{Families, Histogram, Summary};

    #[test]
    fn every_kind_of_family_is_written() {
        let mut families = Families::default();
        families
            .info("b_info", "Two\nlines.")
            .sample(&[("v", "a\"\\\n")], 1_u64);
        let mut histogram = Histogram::new(&[0.5]);
        histogram.observe(0.25);
        histogram.observe(f64::INFINITY);
        families.histogram("h", "H.").sample(&[], histogram);
        let summary = Summary {
            quantiles: vec![(0.5, 2.0)],
            sum: 4.0,
            count: 2,
        };
        families.summary("s", "S.").sample(&[("x", "")], summary);
        families.unknown("u", "U.").sample(&[], -1_i64);
        assert_eq!(
            render(families.families()),
            concat!(
                "# HELP b_info Two\\nlines.\n# TYPE b_info gauge\nb_info{v=\"a\\\"\\\\\\n\"} 1\n",
                "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum +Inf\nh_count 2\n",
                "# HELP s S.\n# TYPE s summary\ns{quantile=\"0.5\"} 2\ns_sum 4\ns_count 2\n",
                "# HELP u U.\n# TYPE u untyped\nu -1\n",
            )
        );
    }
}
