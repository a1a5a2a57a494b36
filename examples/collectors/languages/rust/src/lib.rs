//! The collector load_average: the three numbers of /proc/loadavg, which the sidecar grants.

use exporter_guest_sdk::{Collector, Error, Failure, Families, Host, NoOptions, Request};

const NAME: &str = "load_average";
const PATH: &str = "/proc/loadavg";

/// The collector.
#[derive(Debug)]
pub struct LoadAverage;

impl Collector for LoadAverage {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str = "the load average over 1, 5 and 15 minutes";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn collect(
        &self,
        host: &impl Host,
        _: &Request,
        families: &mut Families,
    ) -> Result<(), Failure> {
        let text = host.read_to_string(PATH)?;
        let mut numbers = text.split(' ');
        let mut family = families.gauge(NAME, "Runnable tasks, averaged over a window.");
        for window in ["1m", "5m", "15m"] {
            let number: f64 = numbers
                .next()
                .and_then(|number| number.parse().ok())
                .ok_or_else(|| format!("{PATH}: expected three numbers, found {text:?}"))?;
            family.sample(&[("window", window)], number);
        }
        Ok(())
    }
}

exporter_guest_sdk::export_plugin! { collectors: [LoadAverage] }

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::{FakeHost, collect};

    use super::*;

    fn answer(content: &str) -> Result<String, Failure> {
        let mut host = FakeHost::default();
        host.files.add(PATH, content);
        collect(&LoadAverage, &host, &Request::default())
    }

    #[test]
    fn three_numbers() {
        let text = answer("0.25 0.5 1.00 2/345 6789\n").unwrap();
        for line in ["{window=\"1m\"} 0.25\n", "{window=\"15m\"} 1\n"] {
            assert!(text.contains(&format!("{NAME}{line}")), "{text}");
        }
    }

    #[test]
    fn a_file_that_says_something_else() {
        assert!(matches!(answer("0.25 x\n"), Err(Failure::Invalid(_))));
    }

    #[test]
    fn a_file_that_is_not_granted() {
        assert!(collect(&LoadAverage, &FakeHost::default(), &Request::default()).is_err());
    }
}
