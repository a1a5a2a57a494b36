//! Maps of other versions, and pinned ones, that an object goes on with.

use std::collections::HashMap;
use std::os::fd::AsFd as _;
use std::time::SystemTime;

use libbpf_rs::MapHandle;

use super::{ObjectError, OpenObject, find_map};
use crate::bpf::attach::is_usdt_map;
use crate::bpf::layout::{BegunMap, MapLayout};
use crate::bpf::map::MapInfo;
use crate::bpf::types::EntryTypes;
use crate::bpf::{errno, pins, sys};

/// Maps of a version, for the next one.
#[derive(Debug)]
pub(crate) struct SharedMaps {
    /// With what their entries are, kept alive whatever becomes of their object.
    pub(super) maps: Vec<(MapLayout, MapHandle)>,
    /// When each was made, by name. None: before this process.
    pub(super) created: HashMap<String, Option<SystemTime>>,
}

impl OpenObject {
    /// Takes over maps of a loaded object: those of the same name whose entries mean the same.
    /// Gives the others, whose entries begin anew.
    pub(crate) fn reuse_maps(&mut self, shared: &SharedMaps) -> Vec<BegunMap> {
        let (mut anew, path) = (Vec::new(), &self.path);
        for mut map in self.object.maps_mut() {
            let Some(wanted) = self
                .maps
                .iter()
                .find(|known| *known.name == *map.name() && !known.internal)
                // What is in them is about one version's links.
                .filter(|known| !is_usdt_map(&known.name))
            else {
                continue;
            };
            let wanted = layout(path, &self.maps, &self.types.maps, &wanted.name);
            let Ok(wanted) = wanted else { continue };
            let name = &wanted.info.name;
            let same = shared.maps.iter().find(|(old, _)| old.info.name == *name);
            let taken = match same {
                None => Err("the version before has no such map".to_owned()),
                Some((old, handle)) => match old.unshareable(&wanted) {
                    Some(why) => Err(why),
                    None => map
                        .reuse_fd(handle.as_fd())
                        .map_err(|error| errno::text(errno::of(&error))),
                },
            };
            match taken {
                Ok(()) => {
                    let created = shared.created.get(name).copied().flatten();
                    self.created.insert(name.clone(), created);
                }
                Err(why) => anew.push(BegunMap {
                    name: name.clone(),
                    why,
                }),
            }
        }
        anew
    }

    /// The maps that a version which runs with maps of these layouts would not be followed in.
    pub(crate) fn begun_maps(&self, before: &[MapLayout]) -> Vec<BegunMap> {
        let mut begun = Vec::new();
        for wanted in self.layouts() {
            if is_usdt_map(&wanted.info.name) {
                continue;
            }
            let old = before
                .iter()
                .find(|old| old.info.name == wanted.info.name)
                .and_then(|old| old.unshareable(&wanted));
            begun.extend(old.map(|why| BegunMap {
                name: wanted.info.name,
                why,
            }));
        }
        begun
    }

    fn layouts(&self) -> Vec<MapLayout> {
        let names = self.map_names();
        names.filter_map(|name| self.layout(name).ok()).collect()
    }

    /// What a map's entries are.
    pub(crate) fn layout(&self, name: &str) -> Result<MapLayout, ObjectError> {
        layout(&self.path, &self.maps, &self.types.maps, name)
    }

    /// Takes over a map that is pinned, if its entries mean the same. Gives the reason if they do
    /// not; or why that is not known, in a map that is taken over. `known`: what its entries are.
    pub(crate) fn reuse_pinned(
        &mut self,
        name: &str,
        pinned: &MapHandle,
        known: Option<MapLayout>,
    ) -> Result<Option<String>, String> {
        let wanted = self.layout(name).map_err(|error| error.to_string())?;
        let (found, unknown) = match known {
            Some(known) => (known, None),
            None => pins::layout(pinned)?,
        };
        if let Some(why) = found.difference(&wanted) {
            return Err(why);
        }
        let map = self.object.maps_mut().find(|map| map.name() == name);
        let Some(mut map) = map else {
            return Err("the object has no such map".to_owned());
        };
        map.reuse_fd(pinned.as_fd())
            .map_err(|error| error.to_string())?;
        self.created.insert(name.to_owned(), None);
        Ok(unknown)
    }

    /// Where an object pins maps itself (`LIBBPF_PIN_BY_NAME`), libbpf takes up what is pinned if
    /// the sizes are the same.
    pub(super) fn check_own_pins(&self) -> Result<(), ObjectError> {
        for map in self.object.maps() {
            let Some(pin) = sys::pin_path(&map).filter(|pin| pin.exists()) else {
                continue;
            };
            let Ok(pinned) = MapHandle::from_pinned_path(&pin) else {
                continue;
            };
            let wanted = self.layout(&map.name().to_string_lossy())?;
            let differs = pins::layout(&pinned).map(|(found, _)| found.difference(&wanted));
            if let Ok(Some(why)) | Err(why) = differs {
                return Err(ObjectError::OwnPin {
                    path: self.path.clone(),
                    map: wanted.info.name,
                    pin,
                    why,
                });
            }
        }
        Ok(())
    }
}

/// Takes out pins of the object itself (`LIBBPF_PIN_BY_NAME`) of maps that must not be shared.
pub(super) fn forget_wrong_pins(path: &str, object: &mut libbpf_rs::OpenObject) {
    for mut map in object.maps_mut() {
        // libbpf would share it between versions, and fill it in for one that is refused.
        let unpinnable = pins::unpinnable_reason(sys::declared_map_type(&map));
        if let (Some(why), Some(_)) = (unpinnable, sys::pin_path(&map)) {
            tracing::warn!(
                object = path,
                map = %map.name().display(),
                "LIBBPF_PIN_BY_NAME is left out: {why}"
            );
            sys::forget_pin_path(&mut map);
        }
    }
}

/// Of the map of that name.
pub(super) fn layout(
    path: &str,
    maps: &[MapInfo],
    types: &HashMap<String, EntryTypes>,
    name: &str,
) -> Result<MapLayout, ObjectError> {
    Ok(MapLayout {
        info: find_map(path, maps, name)?.clone(),
        types: types.get(name).cloned().unwrap_or_default(),
    })
}
