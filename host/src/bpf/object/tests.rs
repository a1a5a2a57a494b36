//! Objects compiled on the spot, loaded into the real kernel.

use super::*;
use crate::bpf::testing;

const COUNTER: &str = "struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 128); __type(key, u64); __type(value, u64); } a_map_with_a_long_name SEC(\".maps\");\n\
    const volatile u64 kaddr_jiffies = 0; const volatile u64 kaddr_two = 0; const volatile u32 kaddr_small = 0; volatile u64 seen = 0;\n\
    SEC(\"raw_tp/sys_enter\") int count(void *ctx) { u64 one = 1, key = kaddr_jiffies + kaddr_two + kaddr_small; seen += 1;\n\
        bpf_map_update_elem(&a_map_with_a_long_name, &key, &one, BPF_ANY); return 0; }\n\
    SEC(\"?raw_tp/sys_exit\") int off(void *ctx) { return 0; }";

fn open(path: &Path) -> Result<OpenObject, ObjectError> {
    OpenObject::open(path, &OpenOptions::default())
}

#[test]
fn what_is_in_an_object() {
    let compiled = testing::compile(COUNTER);
    let object = open(&compiled.path).unwrap();
    let map = object.map("a_map_with_a_long_name").unwrap();
    assert_eq!(
        (
            map.kind,
            map.key_size,
            map.value_size,
            map.max_entries,
            map.internal
        ),
        (MapType::Hash, 8, 8, 128, false)
    );
    let internal: Vec<&str> = object
        .maps()
        .iter()
        .filter(|map| map.internal)
        .map(|map| map.name.as_str())
        .collect();
    assert_eq!(internal, ["test.rodata", "test.bss"]);
    let programs: Vec<_> = object
        .programs()
        .map(|p| (p.name.as_str(), p.section.as_str(), p.autoload))
        .collect();
    assert_eq!(
        programs,
        [
            ("count", "raw_tp/sys_enter", true),
            ("off", "raw_tp/sys_exit", false)
        ]
    );
    let error = object.map("amap").unwrap_err().to_string();
    assert!(
        error.ends_with("has no map `amap`: it has `a_map_with_a_long_name`"),
        "{error}"
    );
}

#[test]
fn kaddrs_reach_the_program_root() {
    let compiled = testing::compile(COUNTER);
    let mut object = open(&compiled.path).unwrap();
    object.set_kaddr("two", 5).unwrap();
    object.set_kaddr("jiffies", 0xffff_8000_0000_0000).unwrap();
    let missing = object.set_kaddr("jiffy", 1).unwrap_err().to_string();
    assert!(
        missing.contains("const volatile u64 kaddr_jiffy = 0;")
            && missing.contains("`kaddr_jiffies`"),
        "{missing}"
    );
    let small = object.set_kaddr("small", 1).unwrap_err().to_string();
    assert!(small.contains("has 4 bytes"), "{small}");
    let mut loaded = object.load().unwrap();
    let map = loaded.map("a_map_with_a_long_name").unwrap();
    assert_eq!(map.info().name, "a_map_with_a_long_name");
    let status = loaded.attach();
    assert!(
        status
            .iter()
            .all(|program| !matches!(program.attached, crate::bpf::Attached::Failed(_))),
        "{status:?}"
    );
    fs::metadata("/").unwrap();
    assert!(
        map.lookup(&0xffff_8000_0000_0005_u64.to_ne_bytes())
            .unwrap()
            .is_some()
    );
}

#[test]
fn files_that_are_no_objects() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text.bpf.o");
    fs::write(&text, "metrics:\n").unwrap();
    let compiled = testing::compile("int unused;");
    let broken = dir.path().join("broken.bpf.o");
    fs::write(&broken, &fs::read(&compiled.path).unwrap()[..200]).unwrap();
    for (path, expected) in [
        (dir.path().join("none.bpf.o"), "there is no BPF object"),
        (dir.path().to_owned(), "expected a regular file"),
        (text, "is not an ELF file"),
        (PathBuf::from("/bin/ls"), "compiled for another machine"),
        (broken, "cannot open the BPF object"),
        (compiled.path.clone(), "neither maps nor programs"),
    ] {
        let error = open(&path).unwrap_err().to_string();
        assert!(
            error.contains(expected) && error.contains(&path.display().to_string()),
            "{error}"
        );
    }
    let options = OpenOptions {
        btf: Some(dir.path().join("no.btf")),
        debug: false,
    };
    let error = OpenObject::open(&compiled.path, &options)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no.btf") && error.contains("--btf.path"),
        "{error}"
    );
}

#[test]
fn the_verifier_is_quoted_root() {
    let compiled = testing::compile(
        "SEC(\"raw_tp/sys_enter\") int bad(void *ctx) { return *(int *)(long)bpf_get_prandom_u32(); }",
    );
    let error = open(&compiled.path)
        .unwrap()
        .load()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("bad") && error.contains("invalid mem access"),
        "{error}"
    );
    assert!(error.len() < 2500, "{error}");
}

#[test]
fn dropping_unloads_root() {
    let compiled = testing::compile(COUNTER);
    let mut loaded = open(&compiled.path).unwrap().load().unwrap();
    let ids: Vec<u32> = loaded
        .attach()
        .iter()
        .filter_map(|program| program.id)
        .collect();
    assert_eq!(ids.len(), 1);
    drop(loaded);
    // Freed after a grace period of RCU.
    let is_unloaded = |id: u32| libbpf_rs::Program::fd_from_id(id).is_err();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !ids.iter().all(|&id| is_unloaded(id)) {
        assert!(std::time::Instant::now() < deadline, "program still loaded");
        std::thread::yield_now();
    }
}

#[test]
fn objects_may_change_threads() {
    fn is_send<T: Send>() {}
    is_send::<OpenObject>();
    is_send::<LoadedObject>();
}

#[test]
fn a_symbol_of_any_size_is_no_danger() {
    let compiled = testing::compile(&format!(
        "const volatile u32 list[4] = {{ 1, 2 }};\n{COUNTER}"
    ));
    let mut object = open(&compiled.path).unwrap();
    let one = crate::object_input::GlobalScalar {
        text: "1".to_owned(),
        integer: Some(1),
        float: Some(1.0),
        boolean: None,
    };
    let value = crate::object_input::GlobalValue::List(vec![one]);
    assert_eq!(object.set_global("list", &value), Ok(()));
    for global in &mut object.globals {
        global.size = usize::MAX - 64;
    }
    let error = object.set_global("list", &value).unwrap_err();
    assert!(matches!(error, GlobalError::Variable(_)), "{error:?}");
}

/// Whoever has descriptors only knows what whoever has the object does.
#[test]
fn descriptors_of_programs_and_maps_root() {
    let compiled = testing::compile(COUNTER);
    let object = open(&compiled.path).unwrap().load().unwrap();
    let program = object.program_descriptor("count").unwrap();
    let (time, runs) = crate::bpf::program_counts(program).unwrap();
    // It is not attached.
    assert_eq!((time, runs), (0, 0));
    assert!(object.program_descriptor("off").is_none());
    assert!(object.program_descriptor("nosuch").is_none());
    let map = object.map_descriptor("a_map_with_a_long_name").unwrap();
    let map = crate::bpf::Map::new(map, "named", false).unwrap();
    assert_eq!(
        (map.info().key_size, map.info().name.as_str()),
        (8, "named")
    );
    assert!(object.map_descriptor("nosuch").is_err());
}

#[test]
fn what_versions_must_not_share_is_not_pinned_by_libbpf() {
    let object = testing::compile(
        "#define PINNED __uint(pinning, LIBBPF_PIN_BY_NAME)\n\
         struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1); \
         __uint(key_size, 4); __uint(value_size, 4); PINNED; } jumps SEC(\".maps\");\n\
         struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __type(key, u32); \
         __type(value, u64); PINNED; } counts SEC(\".maps\");\n\
         SEC(\"raw_tp/sched_switch\") int f(void *ctx) { return 0; }",
    );
    let open = OpenObject::open(&object.path, &OpenOptions::default()).unwrap();
    let pins: Vec<_> = open
        .object
        .maps()
        .map(|map| (map.name().to_owned(), super::sys::pin_path(&map).is_some()))
        .collect();
    assert_eq!(pins, [("jumps".into(), false), ("counts".into(), true)]);
}
