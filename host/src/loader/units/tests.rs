//! A unit's life as its audience hears of it, without a kernel.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::*;
use crate::config::{Strictness, read_unit};
use crate::link::UnitPhase;

#[derive(Default)]
struct Heard(Mutex<Vec<UnitStatus>>);

impl Audience for Heard {
    fn status(&self, status: UnitStatus) {
        self.0.lock().push(status);
    }
}

impl Heard {
    /// What was said since the last time, phases only.
    fn phases(&self) -> Vec<UnitPhase> {
        let heard = std::mem::take(&mut *self.0.lock());
        heard.into_iter().map(|status| status.phase).collect()
    }

    fn last(&self) -> UnitStatus {
        self.0.lock().last().cloned().unwrap()
    }
}

fn units() -> (Units, Arc<Heard>) {
    let heard = Arc::<Heard>::default();
    let units = Units::new(Arc::clone(&heard) as _, Duration::from_secs(60));
    (units, heard)
}

fn config(yaml: &str) -> UnitConfig {
    let file = Arc::new(PathBuf::from("unit.yaml"));
    read_unit("unit", &file, yaml.as_bytes(), Strictness::default())
        .unwrap()
        .config
}

fn on_demand() -> UnitConfig {
    config("{lifecycle: on-demand, collectors: [{name: c}]}")
}

fn version(config: &UnitConfig) -> Version {
    Version {
        config: config.clone(),
        metrics: Vec::new(),
        kernel: None,
        plugins: Vec::new(),
        left_out: LeftOut::default(),
    }
}

#[test]
fn a_unit_on_demand_from_its_first_request_to_its_rest() {
    use UnitPhase::{Running, Starting, Stopped, Stopping};
    let (mut units, heard) = units();
    let config = on_demand();
    units.enter("unit").wait(config.clone());
    assert_eq!(heard.phases(), [Stopped]);
    let began = Instant::now();
    units.enter("unit").begin();
    assert_eq!(heard.phases(), [Starting, Starting]);
    assert!(units.enter("unit").serve(version(&config), began).is_none());
    let status = heard.last();
    assert_eq!(status.config, Some(config.digest));
    assert_eq!(status.load.successful, Some(true));
    let keepalive = status.on_demand.map(|demand| demand.keepalive);
    assert_eq!(keepalive, Some(Duration::from_secs(60)));
    assert_eq!(heard.phases(), [Running]);
    {
        let mut unit = units.enter("unit");
        assert!(unit.stop().is_some());
        assert!(unit.stop().is_none(), "there is nothing left");
        unit.rest(config);
    }
    assert_eq!(heard.phases(), [Stopping, Stopped]);
    assert_eq!(units.count().waiting, 1);
}

#[test]
fn what_is_refused_leaves_what_is_in_service() {
    let (mut units, heard) = units();
    let config = config("collectors: [{name: c}]");
    let failure = UnitFailure::retryable("no".to_owned());
    let began = Instant::now();
    {
        let mut unit = units.enter("unit");
        unit.begin();
        unit.refuse("no", Duration::ZERO);
        unit.try_version_later(&config, None, &failure, None);
    }
    let status = heard.last();
    assert_eq!(
        (status.phase, status.diagnostic.as_deref()),
        (UnitPhase::Failed, Some("no"))
    );
    assert!(status.next_try.unwrap() <= Duration::from_secs(1));
    let first = units.next_try().unwrap();
    // The same version again, by a reload: the pace stays.
    {
        let mut unit = units.enter("unit");
        unit.refuse("no", Duration::ZERO);
        unit.try_version_later(&config, None, &failure, None);
    }
    assert_eq!(units.next_try(), Some(first));
    // Its time has come, and it fails again.
    assert_eq!(units.due(first), ["unit"]);
    {
        let mut unit = units.enter("unit");
        let (retry, again, _) = unit.take_retry().unwrap();
        assert_eq!(again.map(|again| again.digest), Some(config.digest));
        unit.begin();
        unit.refuse("no", Duration::ZERO);
        unit.try_version_later(&config, None, &failure, Some(retry));
    }
    assert!(units.next_try().unwrap() > first + Duration::from_secs(1));
    {
        let mut unit = units.enter("unit");
        unit.begin();
        unit.serve(version(&config), began);
    }
    assert_eq!(units.next_try(), None);
    assert_eq!(units.count().running, 1);
    // A newer one that fails: the version before goes on.
    {
        let mut unit = units.enter("unit");
        assert!(unit.begin());
        assert_eq!(unit.state(), State::Replacing);
        unit.refuse("worse", Duration::ZERO);
        assert!(unit.is_running() && unit.serving().is_some());
        assert!(unit.clear_problem());
    }
    let status = heard.last();
    assert_eq!(
        (status.phase, status.diagnostic),
        (UnitPhase::Running, None)
    );
}

/// What must not happen is said, and changes nothing.
#[test]
fn an_event_that_cannot_happen_changes_nothing() {
    let (mut units, _heard) = units();
    let mut unit = units.enter("unit");
    unit.begin();
    assert!(!unit.begin());
    assert_eq!(unit.state(), State::Starting);
    drop(unit);
    assert!(units.enter_known("other").is_none());
    assert!(units.remove("unit").is_none());
    assert!(units.names().is_empty());
}

#[test]
fn looking_at_a_unit_says_nothing() {
    let (mut units, heard) = units();
    units.enter("unit").wait(on_demand());
    heard.phases();
    for name in units.names() {
        let unit = units.enter(&name);
        assert!(!unit.is_running() && unit.is_on_demand());
    }
    units.refresh();
    assert_eq!(heard.phases(), []);
}
