//! A collector that does what its options say, and one with families of all kinds. Source of a
//! plugin: see `super::lab`.

use exporter_guest_sdk::families::{Histogram, Summary};
use exporter_guest_sdk::net::TcpStream;
use exporter_guest_sdk::{
    Collector, Error, Failure, Families, Host, NoOptions, Request, log,
};

struct Kinds;

impl Collector for Kinds {
    const NAME: &'static str = "kinds";
    const SUMMARY: &'static str = "families of all kinds";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn collect(&self, _: &impl Host, _: &Request, families: &mut Families) -> Result<(), Failure> {
        families
            .counter("kinds_events_total", "Events.")
            .sample(&[("kind", "odd \"\\\n")], 7_u64)
            .sample(&[("kind", "even")], 2_000_000_u64);
        families.counter("kinds_bare", "A counter without the suffix.").sample(&[], 3_u64);
        families.gauge("kinds_level_celsius", "Level.").unit("celsius").sample(&[], -1.5);
        families.info("kinds_build_info", "Build.").sample(&[("version", "1.2")], 1_u64);
        families.unknown("kinds_unknown", "Who knows.").sample(&[], 4_u64);
        let mut sizes = Histogram::new(&[0.5, 1.0, 1000.0]);
        for size in [0.25, 0.75, 0.75, 5000.0] {
            sizes.observe(size);
        }
        families.histogram("kinds_size_bytes", "Sizes.").unit("bytes").sample(&[("disk", "a")], sizes);
        let times = Summary {
            quantiles: vec![(0.5, 0.25), (0.99, 2.0)],
            sum: 10.5,
            count: 12,
        };
        families.summary("kinds_time_seconds", "Times.").unit("seconds").sample(&[], times);
        Ok(())
    }
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    does: String,
    text: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            does: "answer".to_owned(),
            text: String::new(),
        }
    }
}

struct Lab(Options);

impl Collector for Lab {
    const NAME: &'static str = "lab";
    const SUMMARY: &'static str = "what its options say";
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        if options.does == "refuse" {
            return Err("`does` is refused".into());
        }
        Ok(Self(options))
    }

    fn collect(&self, host: &impl Host, request: &Request, families: &mut Families) -> Result<(), Failure> {
        log::debug(&format!("asked about {:?}", request.target));
        let mut heard = String::new();
        match self.0.does.as_str() {
            "loop" => loop {
                std::hint::black_box(());
            },
            "trap" => core::arch::wasm32::unreachable(),
            "memory" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
                }
            }
            "series" => {
                let mut many = families.gauge("lab_many", "Many.");
                for number in 0..25_000 {
                    many.sample(&[("number", &number.to_string())], 1_u64);
                }
            }
            "lie" => {
                families.counter("lab_lie_total", "Goes down.").sample(&[], -1.0);
            }
            "twice" => {
                let mut twice = families.gauge("lab_twice", "Twice.");
                twice.sample(&[("a", "1")], 1_u64).sample(&[("a", "1")], 2_u64);
            }
            "names" => {
                families.gauge("lab name 1\n# TYPE x", "No name.").sample(&[], 1_u64);
            }
            "fail" => return Err(Failure::Unreachable("nobody is there".to_owned())),
            // Says its text, and gives what it hears until the other side closes.
            "ask" => {
                let mut stream = host.connect(request.target()?, request.timeout)?;
                stream.write_all(format!("{}\n", self.0.text).as_bytes(), request.timeout)?;
                loop {
                    let chunk = stream.read(1024, request.timeout)?;
                    if chunk.is_empty() {
                        break;
                    }
                    heard.push_str(&String::from_utf8_lossy(&chunk));
                }
            }
            _ => {}
        }
        let params: Vec<String> = request
            .params
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        families.gauge("lab_answer", "What the lab was asked.").sample(
            &[("params", &params.join("&")), ("said", &heard), ("text", &self.0.text)],
            1_u64,
        );
        Ok(())
    }
}

exporter_guest_sdk::export_plugin! { collectors: [Kinds, Lab] }
