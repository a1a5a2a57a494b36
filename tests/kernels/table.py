"""Prints the matrix of tests/kernels.sh: table.py EXPECTED CACHE KERNEL…  Exits with 1 where a kernel did something else than is expected."""

import sys

KINDS = (
    "kprobe kretprobe kprobe.multi fentry fexit tp_btf raw_tp tracepoint uprobe uretprobe uprobe.multi usdt perf_event ringbuf iter xdp tcx "
    "cgroup_skb lsm"
).split()
# Column: the tests that have to pass for it.
TESTS = {
    "privilege drop": ["capabilities::bpf_and_perfmon_are_kept_by_default"],
    "reload after the drop": ["reload::replace::a_good_version_goes_on_counting_in_the_same_map", "reload::asked::by_signal"],
    "all map types": ["map_types::hash", "map_types::lru_hash", "map_types::array", "map_types::array_that_can_be_mapped", "map_types::per_cpu_hash", "map_types::per_cpu_lru_hash", "map_types::per_cpu_array"],
    "reading after dropping everything": ["capabilities::none"],
    "two halves": ["halves::identity::what_the_server_keeps_is_said"],
    "server without capabilities": ["halves::identity::the_server_has_no_capability_at_all"],
}


def read(path):
    """The results of one kernel: what each kind of program did, and whether each test passed."""
    results = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            name, _, value = line.rstrip("\n").partition("\t")
            results[name] = value
    return results


def word(result):
    """A cell: the result in a word, the whole of a refusal goes below the table."""
    if result is None:
        return "?"
    return {"counts": "yes", "attached": "yes"}.get(result, "no" if result.startswith("refused") else result)


def expectations(path):
    """`KERNEL COLUMN no`: everything else is expected to be `yes`. `#` begins a comment."""
    exceptions = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            fields = line.split("#")[0].split()
            if fields:
                exceptions[fields[0], " ".join(fields[1:-1])] = fields[-1].replace("-", " ")
    return exceptions


def main(expected, cache, *kernels):
    expected = expectations(expected)
    columns = {}
    notes, wrong, failed = [], [], []
    for kernel in kernels:
        try:
            results = read(f"{cache}/{kernel}/results")
        except FileNotFoundError:
            results = {}
        cells = {kind: word(results.get(kind)) for kind in KINDS}
        for name, tests in TESTS.items():
            outcomes = [results.get(test) for test in tests]
            cells[name] = "yes" if all(o == "ok" for o in outcomes) else "?" if None in outcomes else "no"
        for name, cell in cells.items():
            want = expected.get((kernel, name), "yes")
            if cell != want:
                wrong.append(f"Linux {kernel}: {name}: expected {want}, found {cell}: {results.get(name, 'no result')}")
        explained = {test for name, tests in TESTS.items() if expected.get((kernel, name)) == "no" for test in tests}
        explained |= {name for (which, name), result in expected.items() if which == kernel and result == "no"}
        failed += [f"Linux {kernel}: {test}" for test, outcome in results.items() if outcome == "FAILED" and test not in explained]
        notes += [f"{kernel}: {kind}: {results[kind]}" for kind in KINDS if results.get(kind, "").startswith("refused")]
        with open(f"{cache}/{kernel}/cpu-seconds", encoding="utf-8") as seconds:
            cells["CPU seconds of the run"] = seconds.read().strip()
        columns[results.get("release", kernel)] = cells
    print("| | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name in [*KINDS, *TESTS, "CPU seconds of the run"]:
        print(f"| {name} | " + " | ".join(cells[name] for cells in columns.values()) + " |")
    print("\nWhat the host said where it did not attach:")
    print("\n".join(notes) or "nothing")
    if wrong or failed:
        print("\nNot as expected (tests/kernels/expected), or failed:", *wrong, *failed, sep="\n")
    return 1 if wrong or failed else 0


sys.exit(main(*sys.argv[1:]))
