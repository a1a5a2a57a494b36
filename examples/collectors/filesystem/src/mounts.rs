//! /proc/PID/mounts: one mount a line, `device mountpoint fstype options 0 0`, see fstab(5).
//!
//! Not procfs-core's MountEntry, which leaves `\040`, a space, as it is, and refuses the whole file
//! for one bad line.

/// One mount.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) device: String,
    pub(crate) mount_point: String,
    pub(crate) fs_type: String,
    pub(crate) read_only: bool,
}

impl Mount {
    /// None: the line is none of these.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        // Not by white space: the device may be empty.
        let mut fields = line.split(' ');
        let mount = Self {
            device: unescape(fields.next()?),
            mount_point: unescape(fields.next()?),
            fs_type: unescape(fields.next()?),
            read_only: fields.next()?.split(',').any(|option| option == "ro"),
        };
        mount.mount_point.starts_with('/').then_some(mount)
    }
}

/// The kernel writes space, tab, newline, backslash and hash as `\` and three octal digits
/// (seq_file.c: mangle_path).
fn unescape(field: &str) -> String {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [byte, tail @ ..] = rest {
        match rest {
            [
                b'\\',
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                tail @ ..,
            ] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let mount = Mount::of_line(r"/dev/sda1 /mnt/a\040b\134c ext4 ro,relatime 0 0").unwrap();
        assert_eq!(
            mount,
            Mount {
                device: "/dev/sda1".to_owned(),
                mount_point: r"/mnt/a b\c".to_owned(),
                fs_type: "ext4".to_owned(),
                read_only: true,
            }
        );
        let nameless = Mount::of_line(" / tmpfs rw,nosuid 0 0").unwrap();
        assert_eq!((&*nameless.device, nameless.read_only), ("", false));
        for bad in ["", "a", "a /b", "a /b c", "a b c d 0 0"] {
            assert_eq!(Mount::of_line(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_octal_escapes_are_undone() {
        assert_eq!(unescape(r"\011\999\04é\"), "\t\\999\\04é\\");
    }
}
