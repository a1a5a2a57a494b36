//! One source does not take its siblings with it: many devices, hung mounts, odd lines, a log that
//! nobody reads, few addresses.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::collectors::lab;
use crate::harness::host::program;
use crate::harness::http;
use crate::harness::network::in_own_namespace;
use crate::harness::sys::{SIGTERM, kill, unshare_mounts};
use crate::harness::{Host, Setup, eventually, within};

const SUCCESS: &str = "exporter_host_collector_success";

fn run(program: &str, arguments: &[&OsStr]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {message}"
    );
}

/// Puts a file of the test's in the place of one of /proc, for this thread's mount namespace.
fn cover(path: &str, content: &str, directory: &Path) {
    let file = directory.join(path.replace('/', "-"));
    fs::write(&file, content).unwrap();
    let bind = [OsStr::new("--bind"), file.as_os_str(), OsStr::new(path)];
    run("mount", &bind);
}

/// More disks than there may be series: the other parts are whole.
#[test]
fn a_class_of_devices_is_cut_and_the_rest_stays() {
    in_own_namespace(|| {
        unshare_mounts().expect("a new mount namespace (as root)");
        let directory = tempfile::tempdir().unwrap();
        // /proc/1/net/dev cannot be covered: the kernel makes its names anew.
        let disks: String = (0..5000)
            .map(|number| {
                format!("8 {number} sd{number}x 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n")
            })
            .collect();
        cover("/proc/diskstats", &disks, directory.path());
        let host = Setup::new()
            .example("procfs")
            .argument("--hardening.landlock=off")
            .start();
        let body = host.text();
        let own = [("collector", "procfs")];
        assert_eq!(body.value(SUCCESS, &own), Some(1.0), "{}", host.log());
        assert!(body.value("node_load1", &[]).is_some());
        assert!(body.value("node_memory_MemTotal_bytes", &[]).is_some());
        assert!(!body.series("node_network_receive_bytes_total").is_empty());
        let served = body.series("node_disk_reads_completed_total").len();
        assert!((500..5000).contains(&served), "{served}");
        let left_out = |class| body.value("procfs_devices_left_out", &[("class", class)]);
        assert_eq!(left_out("disk"), Some((5000 - served) as f64));
        assert_eq!(left_out("network"), Some(0.0));
        assert!(host.log().contains("max_series"), "{}", host.log());
    });
}

#[test]
fn odd_lines_cost_themselves_and_are_told_once() {
    in_own_namespace(|| {
        unshare_mounts().expect("a new mount namespace (as root)");
        let directory = tempfile::tempdir().unwrap();
        let disk = "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n";
        cover(
            "/proc/diskstats",
            &format!("{disk}8 x\n{disk}"),
            directory.path(),
        );
        let memory = "MemTotal: 8 kB\nnonsense\nMemTotal: 9 kB\nMemFree: 4 kB\n";
        cover("/proc/meminfo", memory, directory.path());
        let host = Setup::new()
            .example("procfs")
            .argument("--hardening.landlock=off")
            .start();
        let body = host.text();
        let own = [("collector", "procfs")];
        assert_eq!(body.value(SUCCESS, &own), Some(1.0), "{}", host.log());
        let value = |name| body.value(name, &[]);
        assert_eq!(value("node_memory_MemTotal_bytes"), Some(8192.0));
        assert_eq!(value("node_memory_MemFree_bytes"), Some(4096.0));
        let sda = [("device", "sda")];
        assert_eq!(
            body.value("node_disk_reads_completed_total", &sda),
            Some(1.0)
        );
        for _ in 0..4 {
            host.text();
        }
        let log = host.log();
        for text in [
            "`sda` is there twice",
            "`MemTotal_bytes` is there twice",
            "nonsense",
        ] {
            assert_eq!(log.matches(text).count(), 1, "{text}:\n{log}");
        }
        let suppressed = "exporter_host_plugin_log_lines_suppressed_total";
        let counted = host.text().series(suppressed).values().sum::<f64>();
        assert!(counted >= 12.0, "{counted}");
    });
}

/// A FUSE file system that answers nothing after its first message.
struct HungMount(Child);

impl HungMount {
    fn at(path: &Path) -> Self {
        const PROGRAM: &str = "\
import ctypes, os, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open('/dev/fuse', os.O_RDWR)
options = f'fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other'.encode()
if libc.mount(b'dead:/export', sys.argv[1].encode(), b'fuse.dead', 0, options):
    sys.exit(os.strerror(ctypes.get_errno()))
unique = struct.unpack_from('<IIQ', os.read(fd, 135168))[2]
out = struct.pack('<IIIIHHI', 7, 31, 131072, 0, 12, 10, 131072).ljust(64, b'\\0')
os.write(fd, struct.pack('<IiQ', 16 + len(out), 0, unique) + out)
print('mounted', flush=True)
time.sleep(3600)
";
        let mut child = Command::new("python3")
            .args(["-c", PROGRAM])
            .arg(path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut message = [0; 7];
        let out = child.stdout.as_mut().unwrap();
        out.read_exact(&mut message).expect("it is mounted");
        Self(child)
    }
}

impl Drop for HungMount {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}

/// No mount point and no file system is left out.
const ALL_MOUNTS: &str =
    "collectors: [{name: filesystem, options: {mount_points_exclude: ^$, fs_types_exclude: ^$}}]\n";

/// A YAML of which each reload has much to say.
fn much_wrong() -> String {
    let keys = (0..300).map(|key| format!("unknown_key_{key}: 1\n"));
    keys.collect::<String>() + "metrics: 7\n"
}

#[test]
fn a_mount_that_hangs_is_one_mount() {
    in_own_namespace(|| {
        unshare_mounts().expect("a new mount namespace (as root)");
        let directory = tempfile::tempdir().unwrap();
        let hung = directory.path().join("hung");
        fs::create_dir(&hung).unwrap();
        let mount = HungMount::at(&hung);
        let shown = format!(
            "tmpfs {0} tmpfs rw 0 0\ndead:/export {0}/hung fuse.dead rw 0 0\nproc /proc/sys x rw 0 0\n",
            directory.path().display()
        );
        cover("/proc/1/mounts", &shown, directory.path());
        let host = Setup::new()
            .component("filesystem")
            .file("filesystem.yaml", ALL_MOUNTS)
            .argument("--hardening.landlock=off")
            .start();
        let point = directory.path().display().to_string();
        let stuck = [("mountpoint", format!("{point}/hung"))];
        let stuck = [(stuck[0].0, stuck[0].1.as_str())];
        let sound = [("mountpoint", point.as_str())];
        let threads = || {
            let tasks = format!("/proc/{}/task", host.server());
            fs::read_dir(tasks).unwrap().count()
        };
        let scrape = || {
            let header = [("X-Prometheus-Scrape-Timeout-Seconds", "2")];
            let response = host.get("/metrics", &header);
            crate::harness::Body::parse(crate::harness::parser::Format::Text, response.text())
        };
        scrape();
        let before = threads();
        for _ in 0..20 {
            let body = scrape();
            let error = |labels| body.value("node_filesystem_device_error", labels);
            assert_eq!(error(&stuck), Some(1.0), "{}", host.log());
            assert_eq!(error(&sound), Some(0.0));
            assert!(body.value("node_filesystem_size_bytes", &sound).is_some());
        }
        assert!(
            threads() <= before + 4,
            "{before} threads became {}",
            threads()
        );
        // The kernel answers everybody when the file system ends.
        drop(mount);
        run("umount", &[OsStr::new("-l"), hung.as_os_str()]);
        eventually("the mount point is asked again", || {
            let error = scrape().value("node_filesystem_device_error", &stuck);
            (error == Some(0.0)).then_some(())
        });
    });
}

/// The log is a pipe that is full: requests and the end do not wait for it.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let yaml = "metrics: {counters: [{name: seen_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
    let setup = Setup::new().unit("unit", "attach", yaml);
    // Each reload says what is wrong with it.
    let setup = setup.file("bad.yaml", much_wrong());
    let (mut host, address, log) = unread(&setup, &[]);
    within(Duration::from_secs(120), "lines are dropped", || {
        for _ in 0..20 {
            http::request(address, "POST", "/-/reload", &[]);
        }
        let began = Instant::now();
        let response = http::request(address, "GET", "/metrics", &[]);
        assert!(began.elapsed() < Duration::from_secs(5));
        dropped(response.text()).filter(|dropped| *dropped > 0.0)
    });
    ends_in_time(&mut host);
    drop(log);
}

/// A mount that hangs, collectors that loop and a log that is full, all at once: the server
/// answers at once, has no more threads than before, and ends in time.
#[test]
fn all_troubles_at_once() {
    in_own_namespace(|| {
        unshare_mounts().expect("a new mount namespace (as root)");
        let directory = tempfile::tempdir().unwrap();
        let hung = directory.path().join("hung");
        fs::create_dir(&hung).unwrap();
        let _mount = HungMount::at(&hung);
        let shown = format!("dead:/export {} fuse.dead rw 0 0\n", hung.display());
        cover("/proc/1/mounts", &shown, directory.path());
        let mut setup = Setup::new()
            .component("filesystem")
            .file("filesystem.yaml", ALL_MOUNTS)
            .file("lab.wasm", fs::read(lab()).unwrap())
            .file("bad.yaml", much_wrong());
        for unit in 0..6 {
            let yaml = "collectors: [{name: loop, plugin: lab, options: {does: loop}}]\n";
            setup = setup.file(&format!("loop{unit}.yaml"), yaml);
        }
        let (mut host, address, log) = unread(&setup, &["--hardening.landlock=off"]);
        within(Duration::from_secs(120), "lines are dropped", || {
            for _ in 0..60 {
                http::request(address, "POST", "/-/reload", &[]);
            }
            let began = Instant::now();
            let header = [("X-Prometheus-Scrape-Timeout-Seconds", "2")];
            let response = http::request(address, "GET", "/metrics", &header);
            assert!(began.elapsed() < Duration::from_secs(5));
            dropped(response.text()).filter(|dropped| *dropped > 0.0)
        });
        let before = threads(host.id());
        let done = AtomicBool::new(false);
        let mut waits = thread::scope(|scope| {
            let scrapers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let header = [("X-Prometheus-Scrape-Timeout-Seconds", "1")];
                        for _ in 0..4 {
                            http::request(address, "GET", "/metrics", &header);
                        }
                    })
                })
                .collect();
            let health = scope.spawn(|| {
                let mut waits = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let response = http::request(address, "GET", "/-/healthy", &[]);
                    assert_eq!(response.status, 200);
                    waits.push(began.elapsed());
                }
                waits
            });
            for scraper in scrapers {
                scraper.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
            health.join().unwrap()
        });
        waits.sort_unstable();
        // A machine that others use has a long one now and then.
        let usual = waits[waits.len() * 95 / 100];
        assert!(usual < Duration::from_millis(50), "{usual:?} of {waits:?}");
        let after = threads(host.id());
        assert!(after <= before + 4, "{before} threads became {after}");
        let scraper = thread::spawn(move || {
            // It is cut off.
            let _answer = std::panic::catch_unwind(|| {
                http::request(address, "GET", "/metrics", &[]);
            });
        });
        ends_in_time(&mut host);
        scraper.join().unwrap();
        drop(log);
    });
}

/// Threads of a host, of both halves.
fn threads(loader: u32) -> usize {
    let children = format!("/proc/{loader}/task/{loader}/children");
    let children = fs::read_to_string(children).unwrap();
    let halves = children.split_whitespace().map(str::to_owned);
    let halves = halves.chain([loader.to_string()]);
    halves
        .map(|process| {
            fs::read_dir(format!("/proc/{process}/task"))
                .unwrap()
                .count()
        })
        .sum()
}

/// Lines of the log that were dropped.
fn dropped(body: &str) -> Option<f64> {
    body.lines().find_map(|line| {
        let number = line.strip_prefix("exporter_host_log_lines_dropped_total ")?;
        number.parse().ok()
    })
}

/// A host that answers at the address, and its log, which is held and not read.
fn unread(setup: &Setup, arguments: &[&str]) -> (Child, SocketAddr, ChildStderr) {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut host = program()
        .arg(format!("--config.dir={}", setup.path().display()))
        .arg(format!("--web.listen-address={address}"))
        .args(["--log.level=debug", "--web.enable-lifecycle"])
        .args(arguments)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let log = host.stderr.take().unwrap();
    eventually("it answers", || {
        std::net::TcpStream::connect(address).ok()?;
        (http::request(address, "GET", "/-/healthy", &[]).status == 200).then_some(())
    });
    (host, address, log)
}

fn ends_in_time(host: &mut Child) {
    kill(host, SIGTERM).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    let status = loop {
        if let Some(status) = host.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            let _killed = host.kill();
            panic!("it ends within 5 seconds");
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(0));
}

/// `ulimit -v`: plugins have what addresses there are.
#[test]
fn an_address_space_limit_is_kept_to() {
    let null = fs::File::open("/dev/null").unwrap();
    let host: Host = Setup::new()
        .example("procfs")
        .wrapped(
            &["bash", "-c", "ulimit -v 4000000; exec \"$0\" \"$@\""],
            null.into(),
        )
        .start();
    let body = host.text();
    let own = [("collector", "procfs")];
    assert_eq!(body.value(SUCCESS, &own), Some(1.0), "{}", host.log());
    assert!(body.value("node_load1", &[]).is_some());
}
