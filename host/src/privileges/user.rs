//! `--user`: going on as somebody else, with the capabilities that are to be kept.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use caps::Capability;
use rustix::fs::{Access as Permission, access};
use rustix::process::{getegid, geteuid};
use rustix::thread::{
    Gid, Uid, set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::access::Access;
use super::drop::set_own;
use super::status::Privileges;
use crate::kernel::read_text;

pub(super) const PASSWD: &str = "/etc/passwd";
pub(super) const GROUP: &str = "/etc/group";

/// Whom to become. Read from /etc/passwd and /etc/group: an image without a shell has no other user
/// database either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
    /// Supplementary ones.
    groups: Vec<u32>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum UserParseError {
    #[error("expected `USER` or `USER:GROUP`, names or numbers, found {0:?}")]
    Form(String),
    #[error("there is no {what} {name:?} in {file}: give its number, or make it")]
    Unknown {
        what: &'static str,
        name: String,
        file: &'static str,
    },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    #[error(
        "--user={user}: changing to another user needs CAP_SETUID and CAP_SETGID, this process has {found}: start it as root, or as that user"
    )]
    NotAllowed { user: String, found: String },
    #[error("--user={user}: cannot {step}: {source}")]
    Step {
        user: String,
        step: &'static str,
        source: io::Error,
    },
    #[error("{} has to be writable for user {uid}: chown {uid} {}", path.display(), path.display())]
    NotWritable { uid: u32, path: PathBuf },
}

pub(super) fn effective_uid() -> u32 {
    geteuid().as_raw()
}

fn effective_gid() -> u32 {
    getegid().as_raw()
}

// === impl User ===

impl User {
    pub(super) fn parse(text: &str, passwd: &str, group: &str) -> Result<Self, UserParseError> {
        let (user, wanted_group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        if user.is_empty() || wanted_group.is_some_and(str::is_empty) {
            return Err(UserParseError::Form(text.to_owned()));
        }
        let known = find(passwd, user);
        let uid = match known {
            Some(Entry { id, .. }) => id,
            None => number(user).ok_or_else(|| unknown("user", user, PASSWD))?,
        };
        let Some(wanted_group) = wanted_group else {
            // A number that is nobody's has a group of the same number, as in a container.
            let gid = known.and_then(|entry| entry.group).unwrap_or(uid);
            let groups = known.map_or_else(Vec::new, |entry| memberships(group, entry.name));
            return Ok(Self { uid, gid, groups });
        };
        let gid = match find(group, wanted_group) {
            Some(Entry { id, .. }) => id,
            None => number(wanted_group).ok_or_else(|| unknown("group", wanted_group, GROUP))?,
        };
        Ok(Self {
            uid,
            gid,
            groups: Vec::new(),
        })
    }

    /// Whether this process may become that user. To be asked before anything is loaded.
    pub(crate) fn check_allowed(&self) -> Result<(), UserError> {
        let now = Privileges::current().map_err(|source| UserError::Step {
            user: self.to_string(),
            step: "read this process' privileges",
            source,
        })?;
        self.is_allowed(&now).map(drop)
    }

    /// False: there is nothing to change.
    fn is_allowed(&self, now: &Privileges) -> Result<bool, UserError> {
        let needed = [Capability::CAP_SETUID, Capability::CAP_SETGID];
        if needed.iter().all(|one| now.permitted.contains(*one)) {
            return Ok(true);
        }
        // Somebody else may have made it that user already.
        if effective_uid() == self.uid && effective_gid() == self.gid {
            return Ok(false);
        }
        Err(UserError::NotAllowed {
            user: self.to_string(),
            found: now.permitted.to_string(),
        })
    }

    /// Changes all ids of this thread and its successors. The permitted and effective capabilities
    /// stay.
    pub(super) fn switch(&self) -> Result<(), UserError> {
        let failed = |step| {
            move |source| UserError::Step {
                user: self.to_string(),
                step,
                source,
            }
        };
        let before = Privileges::current().map_err(failed("read this process' privileges"))?;
        if !self.is_allowed(&before)? {
            return Ok(());
        }
        let raise = |step| {
            set_own(before.permitted, before.permitted, before.inheritable).map_err(failed(step))
        };
        let keep = |keep, step| {
            set_keep_capabilities(keep)
                .map_err(io::Error::from)
                .map_err(failed(step))
        };
        raise("make the capabilities effective")?;
        keep(true, "keep capabilities over the change")?;
        self.set_ids()
            .map_err(failed("change the user and its groups"))?;
        keep(false, "end keeping capabilities")?;
        raise("make the capabilities effective again")
    }

    /// Groups first: once it is another user, it may not change them. The C library changes the ids
    /// of all threads, rustix those of the calling one; there is one thread, which whoever calls
    /// this has looked at.
    pub(super) fn set_ids(&self) -> io::Result<()> {
        let groups: Vec<Gid> = self.groups.iter().map(|id| Gid::from_raw(*id)).collect();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        Ok(())
    }

    /// Once it is us: what has to be written can be.
    pub(super) fn check(&self, paths: &Access) -> Result<(), UserError> {
        let refused = |path: &&PathBuf| {
            path.is_dir() && access(*path, Permission::WRITE_OK | Permission::EXEC_OK).is_err()
        };
        match paths.write.iter().find(refused) {
            Some(path) => Err(UserError::NotWritable {
                uid: self.uid,
                path: path.clone(),
            }),
            None => Ok(()),
        }
    }

    /// User and group.
    pub(crate) fn ids(&self) -> (u32, u32) {
        (self.uid, self.gid)
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    pub(super) fn gid(&self) -> u32 {
        self.gid
    }
}

impl FromStr for User {
    type Err = UserParseError;

    fn from_str(text: &str) -> Result<Self, UserParseError> {
        let file = |path| read_text(path).unwrap_or_default();
        Self::parse(text, &file(PASSWD), &file(GROUP))
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

/// A line of passwd(5) or group(5).
#[derive(Clone, Copy)]
struct Entry<'a> {
    name: &'a str,
    id: u32,
    /// The fourth field: a user's group. A group has its members there.
    group: Option<u32>,
}

fn entries(file: &str) -> impl Iterator<Item = (Entry<'_>, &str)> {
    file.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id = fields.nth(1)?.parse().ok()?;
        let fourth = fields.next().unwrap_or_default();
        let group = fourth.parse().ok();
        Some((Entry { name, id, group }, fourth))
    })
}

/// By name, or by number.
fn find<'a>(file: &'a str, wanted: &str) -> Option<Entry<'a>> {
    let by_name = entries(file).find(|(entry, _)| entry.name == wanted);
    let number = number(wanted);
    by_name
        .or_else(|| entries(file).find(|(entry, _)| Some(entry.id) == number))
        .map(|(entry, _)| entry)
}

fn memberships(group: &str, user: &str) -> Vec<u32> {
    entries(group)
        .filter(|(_, members)| members.split(',').any(|member| member == user))
        .map(|(entry, _)| entry.id)
        .collect()
}

/// All ones means "leave as it is" to the kernel.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX)
}

fn unknown(what: &'static str, name: &str, file: &'static str) -> UserParseError {
    let name = name.to_owned();
    UserParseError::Unknown { what, name, file }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nprom:x:900:901::/:/bin/false\nbroken\n";
    const GROUPS: &str = "root:x:0:\nprom:x:901:\ndisk:x:6:prom,other\nadm:x:4:other\n";

    fn parse(text: &str) -> Result<User, UserParseError> {
        User::parse(text, USERS, GROUPS)
    }

    #[test]
    fn names_and_numbers() {
        let user = |uid, gid, groups: &[u32]| {
            Ok(User {
                uid,
                gid,
                groups: groups.to_vec(),
            })
        };
        assert_eq!(parse("prom"), user(900, 901, &[6]));
        assert_eq!(parse("900"), user(900, 901, &[6]));
        assert_eq!(parse("prom:adm"), user(900, 4, &[]));
        assert_eq!(parse("4000"), user(4000, 4000, &[]));
        assert_eq!(parse("4000:5000"), user(4000, 5000, &[]));
    }

    #[test]
    fn what_is_nobody_is_refused() {
        let message = |text| parse(text).unwrap_err().to_string();
        assert!(message("promm").contains("no user \"promm\" in /etc/passwd"));
        assert!(message("prom:x").contains("no group \"x\" in /etc/group"));
        for text in ["", ":", "prom:", ":prom"] {
            assert!(message(text).starts_with("expected `USER`"), "{text}");
        }
        assert!(parse("4294967295").is_err());
    }
}
