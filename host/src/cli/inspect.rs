//! What of a directory's units and plugins would not work, found without a kernel and without
//! privileges: for `check`, `plan` and `doctor`.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Diagnostic, MetricConfig, Span, UnitConfig, sidecar};
use crate::exposition::StartTime;
use crate::kernel::KernelFacts;
use crate::loader::plugins::{CompileCache, PluginFiles};
use crate::loader::units::{ObjectCheck, check_object};
use crate::plugin::{Collector, Engine, InProcess, LoadError, Offer, Registry};
use crate::rows::{check_chain, check_decoders, open_metrics};

/// The plugins of a directory, opened.
pub(super) struct Inspector {
    registry: Registry,
}

/// What is wrong with a unit.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Keeps it from running.
    pub(super) fatal: Vec<Diagnostic>,
    /// Costs a metric each.
    pub(super) left_out: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
    /// Metrics that there would be.
    served: usize,
}

// === impl Inspector ===

impl Inspector {
    /// Opens the standard plugin and those of the directories; compiled code is taken from `cache`,
    /// or the user's own. Gives what is wrong with plugins and sidecars, too.
    pub(super) fn open(
        directories: &[PathBuf],
        cache: Option<&Path>,
    ) -> Result<(Self, Vec<Diagnostic>), LoadError> {
        let cache = match cache {
            Some(cache) => Some(CompileCache::open(cache)?),
            // Without one it takes longer.
            None => own_cache().and_then(|cache| CompileCache::open(&cache).ok()),
        };
        let engine = Engine::new()?;
        let facts = Arc::new(KernelFacts::open());
        let mut diagnostics = Vec::new();
        for directory in directories {
            diagnostics.extend(sidecar::check(directory).unwrap_or_default());
        }
        let mut files = PluginFiles::new(directories.to_vec(), cache);
        let scan = files.scan(&InProcess);
        let (registry, refused) = Registry::empty().rebuilt(&engine, &facts, scan.parts);
        let refused = refused
            .into_iter()
            .map(|(path, why)| (path, why.to_string()));
        let unreadable = scan.unreadable.into_iter().map(|(directory, error)| {
            (
                directory,
                format!("cannot read the plugin directory: {error}"),
            )
        });
        for (path, why) in scan.failed.into_iter().chain(refused).chain(unreadable) {
            // A sidecar has said it, with its line.
            let of_sidecar = sidecar::path_of(&path);
            let reported = |one: &Diagnostic| *one.at.file == of_sidecar && one.is_error();
            if !diagnostics.iter().any(reported) {
                let at = Span::whole(&Arc::new(path));
                diagnostics.push(Diagnostic::error(at, why));
            }
        }
        Ok((Self { registry }, diagnostics))
    }

    /// What a start would say of a unit. Runs plugins.
    pub(super) fn unit(&self, config: &UnitConfig) -> Findings {
        let ObjectCheck {
            fatal,
            mut left_out,
            warnings,
            metrics,
        } = check_object(config);
        let mut findings = Findings {
            fatal,
            left_out: config.left_out.clone(),
            warnings,
            served: 0,
        };
        for metric in &config.metrics {
            if metrics.iter().all(|spec| spec.name != metric.name) {
                left_out.extend(self.names(metric));
            }
            left_out.extend(self.chains(metric));
        }
        for metric in &config.wrong_metrics {
            left_out.extend(self.names(metric));
            left_out.extend(self.chains(metric));
        }
        let constants = &config.config_labels;
        let created = vec![StartTime::default(); metrics.len()];
        let opened = open_metrics(
            &config.namespace,
            constants,
            &metrics,
            &created,
            &self.registry,
        );
        findings.served = opened.metrics.iter().filter(|one| one.is_ok()).count();
        let refused = opened.metrics.into_iter().filter_map(Result::err);
        left_out.extend(refused.flatten());
        findings.left_out.append(&mut left_out);
        findings.fatal.extend(self.collectors(config));
        for list in [&mut findings.fatal, &mut findings.left_out] {
            list.sort_by_key(|one| (one.at.line, one.at.column));
            list.dedup();
        }
        findings
    }

    /// Decoders and the shaper of a metric whose map is not known.
    fn names(&self, metric: &MetricConfig) -> Vec<Diagnostic> {
        let decoders = metric
            .labels
            .iter()
            .filter_map(|label| label.decoders.clone());
        let decoders: Vec<_> = decoders.flatten().collect();
        let mut found = check_decoders(&decoders, &self.registry);
        if let Err(error) = self.registry.find(Offer::Shaper, &metric.shape.name) {
            found.push(Diagnostic::error(
                metric.shape.at.clone(),
                error.to_string(),
            ));
        }
        found
    }

    fn chains(&self, metric: &MetricConfig) -> Vec<Diagnostic> {
        let spelled_out = metric.labels.iter().filter_map(|label| {
            let (size, decoders) = label.spelled_out()?;
            check_chain(&label.name, size, decoders, &self.registry)
        });
        spelled_out.collect()
    }

    fn collectors(&self, config: &UnitConfig) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for wanted in &config.collectors {
            let message = match self
                .registry
                .find_collector(&wanted.plugin.name, &wanted.name)
            {
                Err(error) => error.to_string(),
                Ok((plugin, bare)) => {
                    let options = wanted.plugin.options.to_string();
                    match Collector::open(plugin, &bare, &options) {
                        Ok(_) => continue,
                        Err(error) => format!("collector `{}`: {error}", wanted.name),
                    }
                }
            };
            found.push(Diagnostic::error(wanted.plugin.at.clone(), message));
        }
        found
    }
}

impl Findings {
    /// Whether the unit would be one of nothing.
    pub(super) fn nothing_left(&self, config: &UnitConfig) -> bool {
        let left_out = !self.left_out.is_empty();
        left_out && config.collectors.is_empty() && self.served == 0
    }

    /// All errors.
    pub(super) fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.fatal.iter().chain(&self.left_out)
    }
}

/// A directory of this user for compiled code, made where it is missing.
fn own_cache() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    let directory = base.join("exporter-host/plugins");
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory);
    made.ok().map(|()| directory)
}
