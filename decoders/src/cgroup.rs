//! `cgroup`: control groups by id.

use exporter_guest_sdk::kernel::Answers;
use exporter_guest_sdk::text::{parse_signed, push_number};
use exporter_guest_sdk::{Answer, BatchDecoder, Cells, Decoded, Error, Kernel, NoOptions};

/// A decimal id, as `uint` leaves it, becomes the cgroup's path.
#[derive(Debug)]
pub struct Cgroup;

impl BatchDecoder for Cgroup {
    const NAME: &'static str = "cgroup";
    const SUMMARY: &'static str = "a decimal cgroup id (after uint): the cgroup's path";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode_batch(&self, kernel: &impl Kernel, input: &Cells, out: &mut Decoded) {
        let ids = input
            .iter()
            .filter_map(parse_signed)
            .map(i64::cast_unsigned);
        let paths = Answers::ask(ids, |ids| kernel.cgroup_paths(ids));
        for cell in input.iter() {
            out.row(|text| {
                let id = parse_signed(cell).ok_or_else(|| {
                    format!(
                        "cgroup wants a decimal id, got `{}`",
                        String::from_utf8_lossy(cell)
                    )
                })?;
                if let Some(path) = paths.get(id.cast_unsigned()) {
                    text.extend_from_slice(path.as_bytes());
                    return Ok(Answer::Known);
                }
                text.extend_from_slice(b"unknown_cgroup_id:");
                push_number(text, id);
                Ok(Answer::Provisional)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::FakeKernel;

    use super::*;
    use crate::testing::say;

    #[test]
    fn paths_by_id() {
        let path = "/sys/fs/cgroup/system.slice/ssh.service";
        let kernel = FakeKernel {
            cgroups: [(42, path)].into(),
            ..FakeKernel::default()
        };
        let say = |input: &str| say(&Cgroup, &kernel, input.as_bytes());
        assert_eq!(say("42"), path);
        assert_eq!(say("1"), "~ unknown_cgroup_id:1");
        assert_eq!(say("-1"), "~ unknown_cgroup_id:-1");
        assert_eq!(
            say("9223372036854775807"),
            "~ unknown_cgroup_id:9223372036854775807"
        );
        assert_eq!(
            say("9223372036854775808"),
            "! cgroup wants a decimal id, got `9223372036854775808`"
        );
        assert_eq!(say(""), "! cgroup wants a decimal id, got ``");
        assert_eq!(say("4x"), "! cgroup wants a decimal id, got `4x`");
    }
}
