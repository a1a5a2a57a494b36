//! Everything that touches the kernel's BPF side: objects, attached programs, maps read in batches,
//! perf event arrays, the cgroup id map.
//!
//! Owns file descriptors, links and nearly all `unsafe` code of the host. Does not know labels,
//! series or metrics: it hands out bytes (`MapBatch`) and sentences (errors).
//! Calls block (system calls, compilation in the kernel): from async code they belong into
//! `spawn_blocking`. Nothing here needs a runtime.

mod attach;
mod btf;
mod cgroup_id_map;
mod cpus;
mod errno;
mod host_topology;
mod layout;
mod log;
mod map;
mod mark;
mod object;
mod perf;
mod pin_directory;
mod pins;
mod probe;
mod program;
mod reader;
mod samples;
mod shared_memory;
mod symbols;
mod sys;
#[cfg(test)]
mod testing;
mod types;

pub(crate) use self::attach::Attached;
pub(crate) use self::attach::Cause;
pub(crate) use self::attach::ProgramStatus;
pub(crate) use self::attach::lacking;
pub(crate) use self::cgroup_id_map::CgroupIdKeeper;
pub(crate) use self::cgroup_id_map::KeeperError;
pub(crate) use self::cpus::cpu_numbers;
pub(crate) use self::host_topology::HostTopology;
pub(crate) use self::host_topology::MachineEvents;
pub(crate) use self::layout::BegunMap;
pub(crate) use self::layout::MapLayout;
pub(crate) use self::map::Map;
pub(crate) use self::map::MapInfo;
pub(crate) use self::mark::post_attach_mark;
pub(crate) use self::object::GlobalError;
pub(crate) use self::object::LoadedObject;
pub(crate) use self::object::ObjectError;
pub(crate) use self::object::OpenObject;
pub(crate) use self::object::OpenOptions;
pub(crate) use self::object::SharedMaps;
pub(crate) use self::object::read_object;
pub(crate) use self::pins::Pins;
pub(crate) use self::pins::UnitPins;
pub(crate) use self::pins::unpinnable_reason;
pub(crate) use self::probe::ProgramKind;
pub(crate) use self::probe::has_uprobe_multi;
pub(crate) use self::probe::probe_program;
pub(crate) use self::program::program_counts;
pub(crate) use self::reader::MapReader;
pub(crate) use self::reader::ReadError;
pub(crate) use self::reader::WalkStats;
pub(crate) use self::reader::check_readable;
pub(crate) use self::samples::PerfBuffers;
pub(crate) use self::samples::SampleChannel;
pub(crate) use self::samples::SampleCounter;
pub(crate) use self::samples::SampleError;
pub(crate) use self::samples::SampleOptions;
pub(crate) use self::samples::SampleStats;
pub(crate) use self::samples::check_sample_map;
pub(crate) use self::types::CType;
pub(crate) use self::types::EntryTypes;
pub(crate) use self::types::IntType;
