//! Socket activation (sd_listen_fds(3)): what a service manager hands to us is meant for the payload.

use std::env;

use oci_runtime::spec::Spec;

/// The number of sockets that the caller hands over, from fd 3 on; 0 when they are meant for another process.
pub(crate) fn listen_fds() -> u16 {
    let number = |name: &str| env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(std::process::id()) {
        return 0;
    }
    number("LISTEN_FDS")
        .and_then(|count| count.try_into().ok())
        .unwrap_or(0)
}

/// Tells the payload, which is pid 1 where it lives.
pub(crate) fn tell(spec: &mut Spec<'_>) {
    let count = listen_fds();
    let Some(process) = spec.process.as_mut().filter(|_| count > 0) else {
        return;
    };
    process.env.push(format!("LISTEN_FDS={count}").into());
    process.env.push("LISTEN_PID=1".into());
    if let Ok(names) = env::var("LISTEN_FDNAMES") {
        process.env.push(format!("LISTEN_FDNAMES={names}").into());
    }
}
