//! The operator's word about one plugin.

use std::path::Path;
use std::sync::Arc;

use super::Limits;
use crate::config::sidecar::{self, Grants, KernelFact, Sidecar};
use crate::digest::Digest;
use crate::plugin::error::LoadError;

/// Under which a plugin runs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct PluginPolicy {
    pub(in crate::plugin) grants: Arc<Grants>,
    pub(in crate::plugin) limits: Limits,
    /// Of the sidecar, where there is one: terms with the same one are the same.
    pub(in crate::plugin) sidecar: Option<Digest>,
    /// What the plugin's file has to be.
    sha256: Option<Digest>,
}

impl PluginPolicy {
    /// Nothing granted, the usual limits.
    pub(crate) fn none() -> Self {
        Self::from_grants(Grants::default())
    }

    /// The standard plugin's: all facts about the kernel.
    pub(crate) fn standard() -> Self {
        Self::from_grants(Grants {
            kernel: KernelFact::ALL.into(),
            ..Grants::default()
        })
    }

    /// Those that stand beside a plugin's file in `NAME.plugin.yaml`, wherever it is; without that
    /// file `none`.
    pub(crate) fn load_for(plugin: &Path) -> Result<Self, LoadError> {
        let text = sidecar::read_text(plugin).map_err(LoadError::Sidecar)?;
        Self::read(plugin, text.as_deref())
    }

    /// Those of the sidecar of the plugin's file `plugin` with this text; without one `none`.
    pub(in crate::plugin) fn read(plugin: &Path, text: Option<&[u8]>) -> Result<Self, LoadError> {
        match text.map(|text| sidecar::parse(plugin, text)) {
            Some(Ok(sidecar)) => Ok(Self::of(sidecar)),
            None => Ok(Self::none()),
            Some(Err(diagnostics)) => Err(LoadError::Sidecar(diagnostics)),
        }
    }

    pub(in crate::plugin) fn of(sidecar: Sidecar) -> Self {
        Self {
            limits: Limits::of(&sidecar.limits),
            sidecar: Some(sidecar.digest),
            sha256: sidecar.sha256,
            ..Self::from_grants(sidecar.grants)
        }
    }

    fn from_grants(grants: Grants) -> Self {
        Self {
            grants: Arc::new(grants),
            limits: Limits::default(),
            sidecar: None,
            sha256: None,
        }
    }

    /// Refuses a plugin's file that is not the one that the sidecar names.
    pub(in crate::plugin) fn check(&self, found: Digest) -> Result<(), LoadError> {
        match self.sha256 {
            Some(expected) if expected != found => Err(LoadError::OtherBytes { expected, found }),
            _ => Ok(()),
        }
    }

    /// What is granted, one thing a line, such as `read: /proc/stat`. Empty: nothing is.
    pub(crate) fn grant_lines(&self) -> Vec<String> {
        let Grants {
            read,
            file_systems,
            tcp,
            udp,
            dns,
            kernel,
            env,
            clock,
        } = &*self.grants;
        let mut lines = Vec::new();
        lines.extend(read.iter().map(|path| format!("read: {path}")));
        lines.extend(
            file_systems
                .iter()
                .map(|path| format!("file_systems: {path}")),
        );
        lines.extend(tcp.iter().map(|endpoint| format!("tcp: {endpoint}")));
        lines.extend(udp.iter().map(|endpoint| format!("udp: {endpoint}")));
        lines.extend(dns.iter().map(|name| format!("dns: {name}")));
        lines.extend(
            kernel
                .iter()
                .map(|fact| format!("kernel: {}", fact.as_str())),
        );
        lines.extend(
            env.iter()
                .map(|(name, value)| format!("env: {name}={value}")),
        );
        lines.extend(clock.then(|| "clock".to_owned()));
        lines
    }

    /// The limits, one a line, such as `memory: 64 MiB`.
    pub(crate) fn limit_lines(&self) -> Vec<String> {
        self.limits.lines()
    }
}
