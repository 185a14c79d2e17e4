//! `blockIO`: the controller blkio of v1, io of v2. The files of the BFQ scheduler are preferred for weights, those of
//! the older scheduler of v1 and of the cost model of v2 are the alternative.

use super::lowering::{Home, Lowering, set};
use super::write::OnRefusal;
use crate::error::{Error, Result};
use crate::resources::{BlockIo, ThrottleDevice, WeightDevice};
use std::ops::RangeInclusive;
use std::path::Path;

const WEIGHTS: RangeInclusive<u16> = 10..=1000;

pub(super) fn lower(lowering: &mut Lowering<'_>, block_io: &BlockIo) -> Result<()> {
    weight(lowering, set(block_io.weight))?;
    leaf_weight(lowering, set(block_io.leaf_weight))?;
    for (index, device) in block_io.weight_device.iter().flatten().enumerate() {
        weight_device(lowering, index, device)?;
    }
    for (list, field, v1_file, v2_key) in throttles(block_io) {
        for (index, device) in list.iter().flatten().enumerate() {
            let pointer = format!("/blockIO/{field}/{index}");
            throttle(lowering, device, pointer, v1_file, v2_key)?;
        }
    }
    Ok(())
}

/// The `io.weight` of v2, 1 to 10000, for a block IO weight of 10 to 1000: the straight line between the ends.
pub fn io_weight(weight: u16) -> u64 {
    let above = u64::from(weight.clamp(*WEIGHTS.start(), *WEIGHTS.end()) - WEIGHTS.start());
    1 + above * 9999 / 990
}

/// List, its field in the configuration, the file of v1, the key in `io.max` of v2.
type Throttle<'a> = (
    &'a Option<Vec<ThrottleDevice>>,
    &'static str,
    &'static str,
    &'static str,
);

fn throttles(block_io: &BlockIo) -> [Throttle<'_>; 4] {
    [
        (
            &block_io.throttle_read_bps_device,
            "throttleReadBpsDevice",
            "blkio.throttle.read_bps_device",
            "rbps",
        ),
        (
            &block_io.throttle_write_bps_device,
            "throttleWriteBpsDevice",
            "blkio.throttle.write_bps_device",
            "wbps",
        ),
        (
            &block_io.throttle_read_iops_device,
            "throttleReadIOPSDevice",
            "blkio.throttle.read_iops_device",
            "riops",
        ),
        (
            &block_io.throttle_write_iops_device,
            "throttleWriteIOPSDevice",
            "blkio.throttle.write_iops_device",
            "wiops",
        ),
    ]
}

fn weight(lowering: &mut Lowering<'_>, weight: Option<u16>) -> Result<()> {
    let Some(weight) = weight else { return Ok(()) };
    let pointer = "/blockIO/weight";
    in_range(weight, pointer)?;
    let (dir, file, instead) = match lowering.home("blkio", "io", pointer)? {
        Home::V1(dir) => (
            dir,
            "blkio.bfq.weight",
            other(dir, "blkio.weight", weight.to_string()),
        ),
        Home::V2(dir) => (
            dir,
            "io.bfq.weight",
            other(dir, "io.weight", io_weight(weight).to_string()),
        ),
    };
    lowering.push_or(dir, file, weight, pointer, instead);
    Ok(())
}

fn leaf_weight(lowering: &mut Lowering<'_>, weight: Option<u16>) -> Result<()> {
    let Some(weight) = weight else { return Ok(()) };
    let pointer = "/blockIO/leafWeight";
    in_range(weight, pointer)?;
    match lowering.home("blkio", "io", pointer)? {
        Home::V1(dir) => lowering.push(dir, "blkio.leaf_weight", weight, pointer),
        Home::V2(_) => lowering.warn(pointer, "v2 has no leaf weights"),
    }
    Ok(())
}

fn weight_device(lowering: &mut Lowering<'_>, index: usize, device: &WeightDevice) -> Result<()> {
    let pointer = format!("/blockIO/weightDevice/{index}");
    let id = device_id(device.major, device.minor, &pointer)?;
    if let Some(weight) = set(device.weight) {
        in_range(weight, &pointer)?;
        let value = format!("{id} {weight}");
        let (dir, file, instead) = match lowering.home("blkio", "io", pointer.clone())? {
            Home::V1(dir) => (
                dir,
                "blkio.bfq.weight_device",
                other(dir, "blkio.weight_device", value.clone()),
            ),
            Home::V2(dir) => (
                dir,
                "io.bfq.weight",
                other(dir, "io.weight", format!("{id} {}", io_weight(weight))),
            ),
        };
        lowering.push_or(dir, file, value, pointer.clone(), instead);
    }
    if let Some(leaf) = set(device.leaf_weight) {
        in_range(leaf, &pointer)?;
        let value = format!("{id} {leaf}");
        match lowering.home("blkio", "io", pointer.clone())? {
            Home::V1(dir) => lowering.push(dir, "blkio.leaf_weight_device", value, pointer),
            Home::V2(_) => lowering.warn(pointer, "v2 has no leaf weights"),
        }
    }
    Ok(())
}

fn throttle(
    lowering: &mut Lowering<'_>,
    device: &ThrottleDevice,
    pointer: String,
    v1_file: &str,
    v2_key: &str,
) -> Result<()> {
    let id = device_id(device.major, device.minor, &pointer)?;
    match lowering.home("blkio", "io", pointer.clone())? {
        Home::V1(dir) => lowering.push(dir, v1_file, format!("{id} {}", device.rate), pointer),
        Home::V2(dir) => {
            let rate = match device.rate {
                0 => "max".to_owned(),
                rate => rate.to_string(),
            };
            lowering.push(dir, "io.max", format!("{id} {v2_key}={rate}"), pointer);
        }
    }
    Ok(())
}

fn other(dir: &Path, file: &str, value: String) -> OnRefusal {
    OnRefusal::Instead {
        file: dir.join(file),
        value,
    }
}

fn in_range(weight: u16, pointer: &str) -> Result<()> {
    match WEIGHTS.contains(&weight) {
        true => Ok(()),
        false => Err(Error::invalid(pointer, weight, "a weight is 10 to 1000")),
    }
}

fn device_id(major: i64, minor: i64, pointer: &str) -> Result<String> {
    let id = format!("{major}:{minor}");
    let fits = |number| u32::try_from(number).is_ok();
    match fits(major) && fits(minor) {
        true => Ok(id),
        false => Err(Error::invalid(pointer, id, "this is no device number")),
    }
}
