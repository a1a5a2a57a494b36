//! The machine this process runs on.

/// The architecture in the kernel's words (`uname -m`): `x86_64`, `aarch64`. That of the build,
/// which is the machine's: a 64-bit binary runs on no other, and map keys have the layout of the
/// 64-bit kernel.
pub(crate) const fn machine() -> &'static str {
    std::env::consts::ARCH
}
