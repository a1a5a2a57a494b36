//! Who the server is where the host is started as root.

use std::fmt;
use std::fs;
use std::io;

use caps::Capability;

use super::status::Privileges;
use super::user::{GROUP, PASSWD, User, effective_uid};

/// The user that an operator may make for it, with the groups whose files plugins are to read.
const NAME: &str = "exporter-host";
/// Where there is no such user: a number that systemd's table of users calls unused. `nobody` would
/// share signals, limits and files with others.
const NUMBER: u32 = 60943;

/// The user of server, starter and compilers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUser(User);

// === impl ServerUser ===

impl ServerUser {
    /// The user `exporter-host` with its groups, else the number 60943 without any. `None`: this
    /// process is not root, or may not become that user (it lacks CAP_SETUID or CAP_SETGID, or its
    /// user namespace has no such user): the server stays who it is.
    pub(crate) fn choose() -> Option<Self> {
        let needed = [Capability::CAP_SETUID, Capability::CAP_SETGID];
        let held = Privileges::current().ok()?.permitted;
        if effective_uid() != 0 || !needed.iter().all(|one| held.contains(*one)) {
            return None;
        }
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let user = Self::of(&read(PASSWD), &read(GROUP))?;
        let mapped = |file, id| {
            // Without user namespaces there is no such file, and all are there.
            fs::read_to_string(file).map_or(true, |map| is_mapped(&map, id))
        };
        let groups_allowed =
            fs::read_to_string("/proc/self/setgroups").map_or(true, |text| text.trim() == "allow");
        (groups_allowed
            && mapped("/proc/self/uid_map", user.uid())
            && mapped("/proc/self/gid_map", user.0.gid()))
        .then_some(user)
    }

    fn of(passwd: &str, group: &str) -> Option<Self> {
        let named = User::parse(NAME, passwd, group);
        // One that is root under another name is of no use.
        let named = named.ok().filter(|user| user.uid() != 0);
        named
            .or_else(|| User::parse(&format!("{NUMBER}:{NUMBER}"), "", "").ok())
            .map(Self)
    }

    pub(crate) fn uid(&self) -> u32 {
        self.0.uid()
    }

    /// Becomes it for good, this thread alone.
    pub(super) fn set_ids(&self) -> io::Result<()> {
        self.0.set_ids()
    }
}

impl fmt::Display for ServerUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether an id of this user namespace is in user_namespaces(7)'s uid_map or gid_map: lines of
/// first id, first id outside, count.
fn is_mapped(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line
            .split_ascii_whitespace()
            .map_while(|field| field.parse::<u64>().ok());
        let (first, count) = (numbers.next(), numbers.nth(1));
        matches!((first, count), (Some(first), Some(count))
            if (first..first.saturating_add(count)).contains(&id.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_of_that_name_comes_first_unless_it_is_root() {
        let groups = "exporter-host:x:990:\nadm:x:4:exporter-host\n";
        let user = ServerUser::of("exporter-host:x:991:990::/:/bin/false\n", groups).unwrap();
        assert_eq!(user.to_string(), "991:990");
        assert_eq!(
            user.0,
            User::parse("991", "exporter-host:x:991:990::\n", groups).unwrap()
        );
        for passwd in ["", "exporter-host:x:0:0::/:/bin/false\n"] {
            let user = ServerUser::of(passwd, groups).unwrap();
            assert_eq!(user.to_string(), "60943:60943");
        }
    }

    #[test]
    fn namespaces_have_users_of_their_own() {
        assert!(is_mapped("         0          0 4294967295\n", NUMBER));
        assert!(!is_mapped("0 1000 1\n", NUMBER));
        assert!(is_mapped("0 1000 1\n1 100000 65536\n", NUMBER));
        assert!(!is_mapped("", 0));
    }
}
