use super::parse::*;
use super::v2::with_swap;
use super::*;
use proptest::prelude::*;

#[test]
fn numbers_and_lists_are_read() {
    assert_eq!(number("42\n"), Some(42));
    assert_eq!(number("max\n"), Some(u64::MAX));
    assert_eq!((number("x\n"), number("")), (None, None));
    assert_eq!(signed("-1\n"), Some(-1));
    assert_eq!(numbers("1 2 3 \n"), Some(vec![1, 2, 3]));
    assert_eq!(list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
    assert_eq!(list("\n"), Some(vec![]));
    assert_eq!((list("3-1"), list("a"), list("70000")), (None, None, None));
    let both = pairs("user 7\nsystem 8\n").expect("two lines");
    assert_eq!((both["user"], both["system"]), (7, 8));
    assert_eq!(pairs("alone\n"), None);
}

#[test]
fn times_by_cpu_are_read() {
    let text = "cpu user system\n0 10 20\n1 30 40\n";
    assert_eq!(usage_all(text), Some((vec![10, 30], vec![20, 40])));
    assert_eq!(usage_all("cpu sys user\n"), None);
    assert_eq!(usage_all("cpu user system\n0 1\n"), None);
}

fn entry(minor: u64, op: &str, value: u64) -> BlkioEntry {
    BlkioEntry {
        major: 8,
        minor,
        op: op.to_owned(),
        value,
    }
}

#[test]
fn block_io_is_read_from_both_generations() {
    let v1 = "8:0 Read 100\n8:0 Write 200\n8:0 Discard 0\n8:0 Total 300\nTotal 300\n";
    let expected = [
        entry(0, "Read", 100),
        entry(0, "Write", 200),
        entry(0, "Discard", 0),
        entry(0, "Total", 300),
    ];
    assert_eq!(blkio(v1), Some(expected.to_vec()));
    assert_eq!(blkio("8:16 77\n"), Some(vec![entry(16, "", 77)]));
    assert_eq!(blkio("Total 0\n"), Some(vec![]));
    assert_eq!(blkio("8 Read 1\n"), None);

    let v2 = "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=7\n8:16 \n(unknown) rbytes=9\n";
    let (bytes, operations) = io_stat(v2).expect("io.stat");
    assert_eq!(bytes, [entry(0, "Read", 1), entry(0, "Write", 2)]);
    assert_eq!(operations, [entry(0, "Read", 3), entry(0, "Write", 4)]);
    assert_eq!(io_stat("8:0 rbytes=x\n"), None);
}

#[test]
fn pressure_is_read() {
    let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.10 total=8\n";
    let psi = psi(text).expect("pressure");
    let some = PsiData {
        avg10: 1.5,
        avg60: 0.25,
        avg300: 0.0,
        total: 9,
    };
    assert_eq!(psi.some, some);
    assert_eq!((psi.full.avg300, psi.full.total), (0.1, 8));
    assert_eq!(super::parse::psi("some avg10=x\n"), None);
    let only_some = super::parse::psi("some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");
    assert_eq!(
        only_some.map(|psi| (psi.some.total, psi.full.total)),
        Some((1, 0))
    );
}

#[test]
fn swap_is_told_together_with_memory() {
    let memory = MemoryEntry {
        limit: 100,
        usage: 10,
        max: 50,
        failcnt: 0,
    };
    let swap = MemoryEntry {
        limit: 30,
        usage: 3,
        max: 9,
        failcnt: 0,
    };
    let both = with_swap(memory, swap);
    assert_eq!((both.limit, both.usage, both.max), (130, 13, 0));
    let unlimited = MemoryEntry {
        limit: u64::MAX,
        ..swap
    };
    assert_eq!(with_swap(memory, unlimited).limit, u64::MAX);
}

/// The names of runc's `events`, and what is left out there when it is zero.
#[test]
fn the_json_is_that_of_events() {
    let nothing = serde_json::to_value(Stats::default()).expect("JSON");
    let entry = serde_json::json!({"limit": 0, "failcnt": 0});
    assert_eq!(
        nothing,
        serde_json::json!({
            "cpu": {"usage": {"kernel": 0, "user": 0}, "throttling": {}},
            "cpuset": {"cpu_exclusive": 0, "mem_hardwall": 0, "mem_exclusive": 0, "memory_migrate": 0,
                "memory_spread_page": 0, "memory_spread_slab": 0, "memory_pressure": 0, "sched_load_balance": 0,
                "sched_relax_domain_level": 0},
            "memory": {"usage": entry, "swap": entry, "kernel": entry, "kernelTCP": entry},
            "pids": {}, "blkio": {}, "hugetlb": {}
        })
    );
    let full = r#"{"cpu":{"usage":{"total":1,"percpu":[2],"percpu_kernel":[3],"percpu_user":[4],"kernel":5,"user":6},
        "throttling":{"periods":1,"throttledPeriods":2,"throttledTime":3},"psi":{"some":{"avg10":0.5,"avg60":0.0,"avg300":0.0,"total":1},
        "full":{"avg10":0.0,"avg60":0.0,"avg300":0.0,"total":2}}},
        "cpuset":{"cpus":[0,1],"cpu_exclusive":1,"mems":[0],"mem_hardwall":1,"mem_exclusive":1,"memory_migrate":1,
        "memory_spread_page":1,"memory_spread_slab":1,"memory_pressure":1,"sched_load_balance":1,"sched_relax_domain_level":-1},
        "memory":{"cache":1,"usage":{"limit":1,"usage":2,"max":3,"failcnt":4},"swap":{"limit":1,"failcnt":0},
        "kernel":{"limit":1,"failcnt":0},"kernelTCP":{"limit":1,"failcnt":0},"raw":{"anon":1},"psi":null},
        "pids":{"current":1,"limit":2},
        "blkio":{"ioServiceBytesRecursive":[{"major":8,"op":"Read","value":1}],"ioServicedRecursive":[{"minor":1}],
        "ioQueueRecursive":[{"minor":1}],"ioServiceTimeRecursive":[{"minor":1}],"ioWaitTimeRecursive":[{"minor":1}],
        "ioMergedRecursive":[{"minor":1}],"ioTimeRecursive":[{"minor":1}],"sectorsRecursive":[{"minor":1}]},
        "hugetlb":{"2MB":{"usage":1,"max":2,"failcnt":3}}}"#;
    let stats: Stats = serde_json::from_str(full).expect("every name is known");
    let mut expected: serde_json::Value = serde_json::from_str(full).expect("JSON");
    expected["memory"]
        .as_object_mut()
        .expect("an object")
        .remove("psi");
    assert_eq!(serde_json::to_value(&stats).expect("JSON"), expected);
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,80}(\n\\PC{0,80}){0,3}") {
        let _ = (number(&text), signed(&text), numbers(&text), pairs(&text), list(&text));
        let _ = (usage_all(&text), blkio(&text), io_stat(&text), psi(&text));
    }
}
