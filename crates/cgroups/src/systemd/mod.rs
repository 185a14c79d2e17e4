//! The systemd driver: a container's cgroup is that of a transient *unit*, which systemd makes on request and watches.
//!
//! A unit is a *scope*, which systemd makes around a process that exists, or a *slice*, which only holds others. What is asked
//! for are [`Property`]s: of the unit itself, and those limits that systemd knows by a name of its own. It writes these to the
//! cgroup's files, and again whenever it is reloaded, so what it knows and what the files say has to be the same. The
//! other limits are written to the files directly: the scope is delegated, and systemd leaves alone what it was not told of.
//! See systemd.resource-control(5), org.freedesktop.systemd1(5), and CGROUP_DELEGATION of systemd.

mod annotations;
mod devices;
mod gvariant;
mod name;
mod properties;
mod unit;

use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::dbus::{Call, Connection, Kind, Message, Value};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::limits::write::Limits;
use crate::paths::Paths;
use crate::place::paths_of;
use crate::processes::processes;
use crate::tree::{Created, adopt};

pub use annotations::{ANNOTATION_PREFIX, from_annotations, merge};
pub use name::{Asked, asked, resolve};
pub use properties::{divide, of_unit};
pub use unit::{Property, Unit};

const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// Makes `unit` around the process `pid`, waits until systemd is done with it, and makes what systemd does not: directories of
/// v1 hierarchies that it does not use, and v2 controllers that it does not know.
///
/// A unit of that name that has failed is forgotten first, and one without processes is stopped. The directories have to
/// turn out to be those of `paths`. One of `interrupts` that is readable ends the wait.
///
/// # Errors
/// There is no bus, systemd refuses, or the unit exists and something lives in it; or an interruption, and then systemd may still
/// make the unit: one around a process that has ended is gone by itself.
pub fn start(
    layout: &Layout,
    paths: &Paths,
    unit: &Unit,
    properties: &[Property],
    pid: u32,
    interrupts: &[BorrowedFd<'_>],
) -> Result<Created> {
    let mut properties = properties.to_vec();
    if !unit.is_slice() {
        properties.push(Property {
            name: "PIDs".to_owned(),
            value: Value::Array("u".to_owned(), vec![Value::U32(pid)]),
        });
    }
    let call = start_transient_unit(unit, &properties);
    let calls = [job_removed(unit), reset_failed(unit), call];
    let mut bus = Connection::open(unit.bus, &calls, interrupts)?;
    match finish_job(&mut bus, unit, &calls[2], 4) {
        Err(Error::Systemd { error, .. }) if error == UNIT_EXISTS => {
            replace_stale(&mut bus, paths, unit, &calls)?;
        }
        result => result?,
    }
    let placed = match unit.is_slice() {
        true => Ok(()),
        false => verify_place(layout, paths, unit, pid),
    };
    let adopted = placed.and_then(|()| adopt(layout, paths));
    if adopted.is_err() {
        // The cause is what the caller needs; a scope ends with its process in any case.
        let _ = stop(unit);
    }
    adopted
}

/// Stops `unit` and waits for it: what still lives in it is ended as its properties say. One that is not there is fine.
///
/// # Errors
/// There is no bus, or systemd refuses.
pub fn stop(unit: &Unit) -> Result<()> {
    let calls = [job_removed(unit), stop_unit(unit)];
    let mut bus = Connection::open(unit.bus, &calls, &[])?;
    match finish_job(&mut bus, unit, &calls[1], 3) {
        Err(Error::Systemd { error, .. }) if error == NO_SUCH_UNIT => Ok(()),
        result => result,
    }
}

/// Changes limits of a unit, whose cgroup is at `paths`, as [`crate::update`] does; and tells systemd those that it knows by
/// name, so that a reload does not bring back the old ones.
///
/// # Errors
/// The kernel refuses, and nothing is changed; or there is no bus or systemd refuses, and the new limits hold until a reload.
pub fn update(unit: &Unit, paths: &Paths, limits: &Limits) -> Result<()> {
    crate::apply::update(limits)?;
    let (properties, _) = divide(limits, paths);
    if properties.is_empty() {
        return Ok(());
    }
    let call = set_unit_properties(unit, &properties);
    let mut bus = Connection::open(unit.bus, std::slice::from_ref(&call), &[])?;
    answer(&mut bus, unit, &call, 2)
}

/// Takes the place of a unit in which nothing lives any more.
fn replace_stale(
    bus: &mut Connection<'_>,
    paths: &Paths,
    unit: &Unit,
    calls: &[Call<'_>; 3],
) -> Result<()> {
    let pids = processes(paths)?;
    if !pids.is_empty() || unit.is_slice() {
        return Err(Error::UnitInUse {
            unit: unit.name.clone(),
            pids,
        });
    }
    let stop = stop_unit(unit);
    let serial = bus.call(&stop)?;
    match finish_job(bus, unit, &stop, serial) {
        Err(Error::Systemd { error, .. }) if error == NO_SUCH_UNIT => {}
        result => result?,
    }
    bus.call(&calls[1])?;
    let serial = bus.call(&calls[2])?;
    finish_job(bus, unit, &calls[2], serial)
}

/// Waits for the answer to the call `serial`, a job, and then until the job is done.
fn finish_job(bus: &mut Connection<'_>, unit: &Unit, call: &Call<'_>, serial: u32) -> Result<()> {
    let mut removed = Vec::new();
    let mut job: Option<String> = None;
    loop {
        let message = bus.receive()?;
        match &message.kind {
            Kind::Signal(name) if name == "JobRemoved" => {
                removed.extend(message.text(1).zip(message.text(3)).map(owned));
            }
            Kind::Return(answered) if *answered == serial => {
                job = message.text(0).map(str::to_owned);
            }
            Kind::Refusal(answered, error) if *answered == serial => {
                return Err(refused(unit, call, error, &message));
            }
            _ => continue,
        }
        let Some(job) = &job else { continue };
        let Some((_, result)) = removed.iter().find(|(path, _)| path == job) else {
            continue;
        };
        return match result.as_str() {
            "done" => Ok(()),
            result => {
                bus.call(&reset_failed(unit))?;
                Err(Error::Job {
                    unit: unit.name.clone(),
                    method: call.member.to_owned(),
                    result: result.to_owned(),
                })
            }
        };
    }
}

fn owned((path, result): (&str, &str)) -> (String, String) {
    (path.to_owned(), result.to_owned())
}

/// Waits for the answer to the call `serial`.
fn answer(bus: &mut Connection<'_>, unit: &Unit, call: &Call<'_>, serial: u32) -> Result<()> {
    loop {
        let message = bus.receive()?;
        match &message.kind {
            Kind::Return(answered) if *answered == serial => return Ok(()),
            Kind::Refusal(answered, error) if *answered == serial => {
                return Err(refused(unit, call, error, &message));
            }
            _ => {}
        }
    }
}

fn refused(unit: &Unit, call: &Call<'_>, error: &str, message: &Message) -> Error {
    Error::Systemd {
        method: call.member.to_owned(),
        unit: unit.name.clone(),
        error: error.to_owned(),
        message: message.text(0).unwrap_or_default().to_owned(),
    }
}

/// A systemd whose own root lies elsewhere would have made the cgroup in another place than the one all later commands look in.
fn verify_place(layout: &Layout, paths: &Paths, unit: &Unit, pid: u32) -> Result<()> {
    let found = paths_of(layout, pid.cast_signed())?;
    // Where systemd itself keeps its units.
    let key = match paths.is_v2_only() {
        true => "",
        false => "name=systemd",
    };
    match (paths.dir(key), found.dir(key)) {
        (Some(expected), found) if found != Some(expected) => Err(Error::Place {
            unit: unit.name.clone(),
            expected: expected.to_owned(),
            found: found.map(Path::to_path_buf),
        }),
        _ => Ok(()),
    }
}

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const OBJECT: &str = "/org/freedesktop/systemd1";

fn manager(member: &'static str, arguments: Vec<Value>, answered: bool) -> Call<'static> {
    Call {
        destination: SYSTEMD,
        path: OBJECT,
        interface: MANAGER,
        member,
        arguments,
        answered,
    }
}

fn start_transient_unit(unit: &Unit, properties: &[Property]) -> Call<'static> {
    let arguments = vec![
        Value::text(&unit.name),
        Value::text("fail"),
        array(properties),
        Value::Array("(sa(sv))".to_owned(), Vec::new()),
    ];
    manager("StartTransientUnit", arguments, true)
}

fn stop_unit(unit: &Unit) -> Call<'static> {
    let arguments = vec![Value::text(&unit.name), Value::text("replace")];
    manager("StopUnit", arguments, true)
}

/// One that has not failed has nothing to reset: then the call is refused, and nobody listens.
fn reset_failed(unit: &Unit) -> Call<'static> {
    manager("ResetFailedUnit", vec![Value::text(&unit.name)], false)
}

/// Until the next boot: nothing of it is kept on disk.
fn set_unit_properties(unit: &Unit, properties: &[Property]) -> Call<'static> {
    let arguments = vec![
        Value::text(&unit.name),
        Value::Bool(true),
        array(properties),
    ];
    manager("SetUnitProperties", arguments, true)
}

fn array(properties: &[Property]) -> Value {
    let pair = |property: &Property| {
        Value::Struct(vec![
            Value::text(&property.name),
            Value::Variant(Box::new(property.value.clone())),
        ])
    };
    Value::Array("(sv)".to_owned(), properties.iter().map(pair).collect())
}

/// Asks the bus for the ends of jobs of `unit`. systemd sends them to whoever has asked for the job.
fn job_removed(unit: &Unit) -> Call<'static> {
    let rule = format!(
        "type='signal',sender='{SYSTEMD}',path='{OBJECT}',interface='{MANAGER}',member='JobRemoved',arg2='{}'",
        unit.name
    );
    Call {
        destination: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member: "AddMatch",
        arguments: vec![Value::text(rule)],
        answered: false,
    }
}

#[cfg(test)]
mod tests;
