//! `events`: one line of JSON for each event of a container, in runc's words.

use std::time::Instant;

use oci_runtime::{Event, Stats};
use serde_json::to_string;

use crate::call::Call;
use crate::duration;
use crate::failure::{Failure, Misuse};
use crate::stdout::print;

/// `events [--stats] [--interval TIME] ID`. Statistics once, or at every interval and whenever memory runs out until the
/// container has ended.
pub(crate) fn events(call: &Call) -> Result<u8, Failure> {
    let id = call.arguments.id();
    if call.arguments.switch("stats") {
        print(&line(&id, &oci_runtime::stats(&call.root, &id)?)?)?;
        return Ok(0);
    }
    let text = call.arguments.text("interval").unwrap_or("5s".as_ref());
    let interval = duration::parse(&text.to_string_lossy())
        .map_err(|reason| Misuse::bad("interval", text, reason))?;
    let mut watch = oci_runtime::watch(&call.root, &id)?;
    if !watch.tells_oom() {
        log::warn!("without a memory controller nobody tells that memory runs out");
    }
    let mut next = Instant::now() + interval;
    loop {
        match watch.wait(next)? {
            Event::Oom => print(&format!(
                "{{\"type\":\"oom\",\"id\":{}}}\n",
                to_string(&id)?
            ))?,
            Event::Time => {
                let Some(stats) = watch.stats()? else {
                    return Ok(0);
                };
                print(&line(&id, &stats)?)?;
                next = (next + interval).max(Instant::now());
            }
            Event::Ended => return Ok(0),
        }
    }
}

fn line(id: &str, stats: &Stats) -> Result<String, Failure> {
    let (id, data) = (to_string(id)?, to_string(stats)?);
    Ok(format!(
        "{{\"type\":\"stats\",\"id\":{id},\"data\":{data}}}\n"
    ))
}
