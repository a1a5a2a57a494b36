//! `SEC("uprobe/FILE:FUNCTION")` attached through a multi link (kernel 6.6 and newer): it needs
//! CAP_BPF and CAP_PERFMON, the perf event that libbpf would open needs CAP_SYS_ADMIN. So such a
//! unit can be reloaded after the capabilities have been dropped.

use libbpf_rs::Link;
use libbpf_rs::ProgramMut;
use libbpf_rs::UprobeMultiOpts;

/// A probe at the beginning (or return) of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bpf) struct MultiUprobe {
    file: String,
    function: String,
    retprobe: bool,
}

impl MultiUprobe {
    /// `None` for other sections, and for the forms a multi link cannot say the same way: offsets,
    /// symbol versions, members of archives.
    pub(super) fn parse(section: &str) -> Option<Self> {
        let (kind, target) = section.split_once('/')?;
        let retprobe = match kind {
            "uprobe" | "uprobe.s" => false,
            "uretprobe" | "uretprobe.s" => true,
            _ => return None,
        };
        let (file, function) = target.split_once(':')?;
        // libbpf takes the function for a pattern here.
        let plain = !function.is_empty() && !function.contains(['+', '@', '*', '?', '[', '\\']);
        (plain && !file.is_empty() && !file.contains("!/")).then(|| Self {
            file: file.to_owned(),
            function: function.to_owned(),
            retprobe,
        })
    }

    /// For all processes, those to come included.
    pub(super) fn attach(&self, program: &ProgramMut<'_>) -> libbpf_rs::Result<Link> {
        let options = UprobeMultiOpts {
            retprobe: self.retprobe,
            ..UprobeMultiOpts::default()
        };
        program.attach_uprobe_multi_with_opts(-1, &self.file, &self.function, options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections() {
        let probe = MultiUprobe::parse("uretprobe//lib/libc.so.6:malloc").unwrap();
        assert_eq!(
            probe,
            MultiUprobe {
                file: "/lib/libc.so.6".into(),
                function: "malloc".into(),
                retprobe: true
            }
        );
        assert_eq!(
            MultiUprobe::parse("uprobe.s/libc.so.6:free").unwrap().file,
            "libc.so.6"
        );
        for other in [
            "uprobe",
            "uprobe/libc.so.6",
            "uprobe/libc.so.6:memcpy@GLIBC_2.14",
            "uprobe//bin/a:f+0x4",
            "uprobe.multi//bin/a:f*",
            "uprobe/a.apk!/b.so:f",
            "kprobe/f",
            "uprobe//bin/a:",
        ] {
            assert_eq!(MultiUprobe::parse(other), None, "{other}");
        }
    }
}
