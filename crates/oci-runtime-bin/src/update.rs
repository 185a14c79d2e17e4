//! `update`: other limits for a running container, from flags or from a file.

use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use oci_runtime::cgroups::{BlockIo, Cpu, Memory, Pids, Resources};
use oci_runtime::spec::parse_as;

use crate::arguments::{Arguments, string};
use crate::blame;
use crate::call::Call;
use crate::failure::{Failure, Misuse};
use crate::size;

/// `update [--resources FILE] [--memory SIZE] ... ID`. What a flag says goes before what the file says.
pub(crate) fn update(call: &Call) -> Result<u8, Failure> {
    let arguments = &call.arguments;
    let mut resources = match arguments.text("resources") {
        Some(path) => read(Path::new(path))?,
        None => Resources::default(),
    };
    for (name, _, set) in FLAGS {
        if let Some(value) = arguments.text(name) {
            let value = string(name, value)?;
            set(&mut resources, &value).map_err(|reason| Misuse::BadValue {
                flag: name,
                value,
                reason,
            })?;
        }
    }
    warn_about_kernel_memory(arguments)?;
    let id = arguments.id();
    let schemata = schemata(arguments)?;
    if !schemata.is_empty() {
        oci_runtime::update_schemata(&call.root, &id, &schemata).map_err(|error| {
            let [one, other] = SCHEMATA;
            blame::value(blame::value(error.into(), one, arguments), other, arguments)
        })?;
    }
    if schemata.is_empty() || resources != Resources::default() {
        let properties: Vec<_> = FLAGS
            .iter()
            .map(|(flag, place, _)| (*place, *flag))
            .collect();
        oci_runtime::update(&call.root, &id, &resources)
            .map_err(|error| blame::property(error.into(), &properties, arguments))?;
    }
    Ok(0)
}

/// Whose values are lines of schemata.
const SCHEMATA: [&str; 2] = ["l3-cache-schema", "mem-bw-schema"];

/// Lines for resctrl.
fn schemata(arguments: &Arguments) -> Result<Vec<String>, Misuse> {
    let given = SCHEMATA.map(|flag| arguments.strings(flag));
    let given = given.into_iter().collect::<Result<Vec<_>, _>>()?;
    let last = given.iter().filter_map(|values| values.last());
    Ok(last.filter(|line| !line.is_empty()).cloned().collect())
}

/// The JSON of `linux.resources`; `-` is standard input.
fn read(path: &Path) -> Result<Resources, Failure> {
    let fail = |source| Failure::File {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().read_to_end(&mut bytes).map_err(fail)?;
    } else {
        bytes = std::fs::read(path).map_err(fail)?;
    }
    parse_as(&bytes).map_err(|source| Failure::Parse {
        path: path.to_owned(),
        source,
    })
}

type Set = fn(&mut Resources, &str) -> Result<(), &'static str>;

/// What each flag sets.
const FLAGS: &[(&str, &str, Set)] = &[
    (
        "blkio-weight",
        "/linux/resources/blockIO/weight",
        |r, text| number(&mut block_io(r).weight, text),
    ),
    ("cpu-period", "/linux/resources/cpu/period", |r, text| {
        number(&mut cpu(r).period, text)
    }),
    ("cpu-quota", "/linux/resources/cpu/quota", |r, text| {
        number(&mut cpu(r).quota, text)
    }),
    ("cpu-burst", "/linux/resources/cpu/burst", |r, text| {
        number(&mut cpu(r).burst, text)
    }),
    ("cpu-share", "/linux/resources/cpu/shares", |r, text| {
        number(&mut cpu(r).shares, text)
    }),
    (
        "cpu-rt-period",
        "/linux/resources/cpu/realtimePeriod",
        |r, text| number(&mut cpu(r).realtime_period, text),
    ),
    (
        "cpu-rt-runtime",
        "/linux/resources/cpu/realtimeRuntime",
        |r, text| number(&mut cpu(r).realtime_runtime, text),
    ),
    ("cpuset-cpus", "/linux/resources/cpu/cpus", |r, text| {
        list(&mut cpu(r).cpus, text)
    }),
    ("cpuset-mems", "/linux/resources/cpu/mems", |r, text| {
        list(&mut cpu(r).mems, text)
    }),
    ("cpu-idle", "/linux/resources/cpu/idle", |r, text| {
        number(&mut cpu(r).idle, text)
    }),
    ("memory", "/linux/resources/memory/limit", |r, text| {
        size(&mut memory(r).limit, text)
    }),
    (
        "memory-reservation",
        "/linux/resources/memory/reservation",
        |r, text| size(&mut memory(r).reservation, text),
    ),
    ("memory-swap", "/linux/resources/memory/swap", |r, text| {
        size(&mut memory(r).swap, text)
    }),
    ("pids-limit", "/linux/resources/pids/limit", |r, text| {
        number(&mut pids(r).limit, text)
    }),
];

fn block_io(resources: &mut Resources) -> &mut BlockIo {
    resources.block_io.get_or_insert_default()
}

fn cpu(resources: &mut Resources) -> &mut Cpu {
    resources.cpu.get_or_insert_default()
}

fn memory(resources: &mut Resources) -> &mut Memory {
    resources.memory.get_or_insert_default()
}

fn pids(resources: &mut Resources) -> &mut Pids {
    resources.pids.get_or_insert_default()
}

fn number<T: FromStr>(place: &mut Option<T>, text: &str) -> Result<(), &'static str> {
    let number = text
        .parse()
        .map_err(|_| "it is no number that this can be")?;
    *place = Some(number);
    Ok(())
}

fn size(place: &mut Option<i64>, text: &str) -> Result<(), &'static str> {
    *place = Some(size::parse(text)?);
    Ok(())
}

fn list(place: &mut Option<String>, text: &str) -> Result<(), &'static str> {
    let numbers = |byte: u8| byte.is_ascii_digit() || b",- \n".contains(&byte);
    if !text.bytes().all(numbers) {
        return Err("it is no list of numbers, such as 0-3,7");
    }
    *place = Some(text.to_owned());
    Ok(())
}

/// The kernel has no such limit any more; engines still pass the flags.
fn warn_about_kernel_memory(arguments: &Arguments) -> Result<(), Misuse> {
    for flag in ["kernel-memory", "kernel-memory-tcp"] {
        if let Some(value) = arguments.text(flag) {
            let text = string(flag, value)?;
            size::parse(&text).map_err(|reason| Misuse::bad(flag, value, reason))?;
            log::warn!("--{flag}: the kernel has no separate limit of kernel memory any more");
        }
    }
    Ok(())
}
