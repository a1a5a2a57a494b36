//! One line of /proc/stat: `cpu0 178422 0 39617 1538043 …`, see proc_stat(5).

use exporter_guest_sdk::text::parse_unsigned;

/// The columns after the name, in the order in which kernels have added them.
const MODES: [&str; 10] = [
    "user",
    "nice",
    "system",
    "idle",
    "iowait",
    "irq",
    "softirq",
    "steal",
    "guest",
    "guest_nice",
];

/// A line about one CPU.
#[derive(Debug)]
pub(crate) struct Cpu<'a> {
    /// `cpu0`.
    pub(crate) name: &'a str,
    columns: &'a str,
}

impl<'a> Cpu<'a> {
    /// None: the line is about something else; the sum of all CPUs is, too.
    pub(crate) fn of_line(line: &'a str) -> Option<Self> {
        let (name, columns) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let number = name.strip_prefix("cpu")?;
        parse_unsigned(number.as_bytes())?;
        Some(Self { name, columns })
    }

    /// Ticks by mode, as many as the kernel has. Columns that newer kernels add are not looked at.
    pub(crate) fn ticks(&self) -> Result<Vec<(&'static str, u64)>, String> {
        let columns = self.columns.split_whitespace();
        let ticks: Vec<(&str, u64)> = MODES
            .into_iter()
            .zip(columns)
            .map(|(mode, column)| {
                let ticks = parse_unsigned(column.as_bytes());
                let ticks = ticks.ok_or_else(|| format!("{}: {mode} is `{column}`", self.name))?;
                Ok((mode, ticks))
            })
            .collect::<Result<_, String>>()?;
        match ticks.is_empty() {
            true => Err(format!("{} has no columns", self.name)),
            false => Ok(ticks),
        }
    }
}
