//! `exec`: one more process in a container, described on the command line or by a file.

use std::path::Path;

use oci_runtime::spec::{Capabilities, Process, Spec, Str, parse_as};
use oci_runtime::{Exec, Process as Started, Recorder, own_stdio};

use crate::arguments::{Arguments, string};
use crate::blame;
use crate::call::Call;
use crate::console::{Console, console};
use crate::failure::{Failure, Misuse};
use crate::foreground::{Orphans, attend, block_signals, forward};
use crate::interruption::Interruption;
use crate::pidfd::{PidfdSocket, hand_over, pidfd_socket};
use crate::record::recording;
use crate::user;

/// `exec ID COMMAND...`, `exec --process FILE ID`.
pub(crate) fn exec(call: &Call) -> Result<u8, Failure> {
    let arguments = &call.arguments;
    let wanted = wanted(arguments)?;
    let recording = recording(arguments)?;
    let detached = arguments.switch("detach");
    let console = console(
        wanted.terminal(),
        detached,
        arguments.text("console-socket"),
    )?;
    let pidfd = pidfd_socket(arguments)?;
    let interruption = Interruption::hold()?;
    if detached {
        start(call, &wanted, &console, pidfd, &interruption, false)?;
        return Ok(0);
    }
    let signals = block_signals(Orphans::Leave)?;
    let record = recording.is_some();
    let (process, mut recorder) = start(call, &wanted, &console, pidfd, &interruption, record)?;
    let has_size = wanted.has_size();
    let attended = attend(&process, &signals, console, has_size, recorder.as_mut());
    if let (Some(recording), Some(recorder)) = (&recording, &recorder) {
        recording.save(recorder)?;
    }
    attended
}

fn start(
    call: &Call,
    wanted: &Wanted,
    console: &Console,
    pidfd: Option<PidfdSocket>,
    interruption: &Interruption,
    record: bool,
) -> Result<(Started, Option<Recorder>), Failure> {
    let arguments = &call.arguments;
    let preserved = call.preserved_fds()?;
    let cgroup = arguments.strings("cgroup")?;
    let options = Exec {
        stdio: own_stdio(),
        console: console.socket(),
        preserve_fds: &preserved,
        keyring: true,
        pid_file: arguments.text("pid-file").map(Path::new),
        ignore_paused: arguments.switch("ignore-paused"),
        cgroup: &cgroup,
        interrupt: Some(interruption.as_fd()),
        trace: call.debug,
    };
    let id = arguments.id();
    let describe: oci_runtime::Describe<'_> = &|spec| {
        let mut process = wanted.process(spec);
        console.give_size(&mut process);
        Ok(process)
    };
    let started = if record {
        let recorded = oci_runtime::exec_recorded(&call.root, &id, &options, describe);
        recorded.map(|(process, recorder)| (process, Some(recorder)))
    } else {
        oci_runtime::exec(&call.root, &id, &options, describe).map(|process| (process, None))
    };
    let (process, recorder) = started
        .map_err(|error| interruption.explain(error))
        .map_err(|failure| blame::property(failure, PROPERTIES, arguments))?;
    hand_over(pidfd, &process, "setns", || {
        forward(&process, libc::SIGKILL);
        drop(process.wait());
    })?;
    Ok((process, recorder))
}

/// What flags set, and only the library can judge.
const PROPERTIES: &blame::Properties = &[
    ("/process/cwd", "cwd"),
    ("/process/selinuxLabel", "process-label"),
    ("/process/apparmorProfile", "apparmor"),
    ("/process", "process"),
    ("/linux/cgroupsPath", "cgroup"),
];

/// The process to start.
#[derive(Debug)]
enum Wanted {
    /// As the file has it.
    File(Box<Process<'static>>),
    /// The container's own process with these changes.
    Changes(Changes),
}

#[derive(Debug)]
struct Changes {
    args: Vec<String>,
    env: Vec<String>,
    cwd: Option<String>,
    user: Option<(u32, Option<u32>)>,
    additional_gids: Vec<u32>,
    capabilities: Vec<String>,
    selinux_label: Option<String>,
    apparmor_profile: Option<String>,
    no_new_privileges: Option<bool>,
    terminal: bool,
}

fn wanted(arguments: &Arguments) -> Result<Wanted, Failure> {
    let Some(path) = arguments.text("process") else {
        return Ok(Wanted::Changes(changes(arguments)?));
    };
    match CHANGES.iter().find(|flag| arguments.given(flag)) {
        Some(flag) => Err(Failure::TwoProcesses { also: flag }),
        None if arguments.rest.len() > 1 => Err(Failure::TwoProcesses { also: "a command" }),
        None => Ok(Wanted::File(Box::new(read(Path::new(path))?))),
    }
}

/// Flags that change the container's own process.
const CHANGES: &[&str] = &[
    "cwd",
    "env",
    "tty",
    "user",
    "additional-gids",
    "process-label",
    "apparmor",
    "no-new-privs",
    "cap",
];

/// The file's bytes stay for as long as we run: the process borrows from them.
fn read(path: &Path) -> Result<Process<'static>, Failure> {
    let bytes = std::fs::read(path).map_err(|source| Failure::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    parse_as(bytes.leak()).map_err(|source| Failure::Parse {
        path: path.to_owned(),
        source,
    })
}

fn changes(arguments: &Arguments) -> Result<Changes, Failure> {
    let user = arguments.strings("user")?.pop();
    let gid = |text: String| {
        user::id(&text).map_err(|reason| Misuse::BadValue {
            flag: "additional-gids",
            value: text,
            reason,
        })
    };
    let args: Result<_, _> = arguments
        .rest
        .iter()
        .skip(1)
        .map(|word| string("COMMAND", word))
        .collect();
    Ok(Changes {
        args: args?,
        env: good(arguments, "env", "it has no '='", |text| text.contains('='))?,
        cwd: good(arguments, "cwd", "it is not an absolute path", |text| {
            text.is_empty() || text.starts_with('/')
        })?
        .pop()
        .filter(|text| !text.is_empty()),
        user: user.map(|text| user::parse(&text)).transpose()?,
        additional_gids: arguments
            .strings("additional-gids")?
            .into_iter()
            .map(gid)
            .collect::<Result<_, _>>()?,
        capabilities: good(arguments, "cap", CAPABILITY, is_capability)?,
        selinux_label: arguments.strings("process-label")?.pop(),
        apparmor_profile: arguments.strings("apparmor")?.pop(),
        no_new_privileges: arguments
            .given("no-new-privs")
            .then(|| arguments.switch("no-new-privs")),
        terminal: arguments.switch("tty"),
    })
}

const CAPABILITY: &str = "it is not a name of a capability, which look like CAP_KILL";

fn is_capability(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    name.strip_prefix("CAP_")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(letter))
}

/// The values of a flag, none of which is other than `is_good`.
fn good(
    arguments: &Arguments,
    flag: &'static str,
    reason: &'static str,
    is_good: impl Fn(&str) -> bool,
) -> Result<Vec<String>, Failure> {
    let values = arguments.strings(flag)?;
    match values.iter().find(|value| !is_good(value)) {
        Some(value) => Err(Failure::Flag {
            flag,
            value: value.clone(),
            reason,
        }),
        None => Ok(values),
    }
}

impl Wanted {
    fn terminal(&self) -> bool {
        match self {
            Wanted::File(process) => process.terminal,
            Wanted::Changes(changes) => changes.terminal,
        }
    }

    fn has_size(&self) -> bool {
        matches!(self, Wanted::File(process) if process.console_size.is_some())
    }

    fn process<'s>(&self, spec: &Spec<'s>) -> Process<'s> {
        match self {
            Wanted::File(process) => completed(process, spec),
            Wanted::Changes(changes) => changes.apply(spec.process.clone().unwrap_or_default()),
        }
    }
}

/// Capabilities and labels that a file does not name are the container's, as with runc and crun.
fn completed<'s>(process: &Process<'static>, spec: &Spec<'s>) -> Process<'s> {
    let mut process: Process<'s> = Process::clone(process);
    let Some(container) = &spec.process else {
        return process;
    };
    if process.capabilities.is_none() {
        process.capabilities.clone_from(&container.capabilities);
    }
    if process.apparmor_profile.is_empty() {
        process
            .apparmor_profile
            .clone_from(&container.apparmor_profile);
    }
    if process.selinux_label.is_empty() {
        process.selinux_label.clone_from(&container.selinux_label);
    }
    process
}

impl Changes {
    fn apply<'s>(&self, mut process: Process<'s>) -> Process<'s> {
        process.args = texts(&self.args).collect();
        process.env.extend(texts(&self.env));
        process.terminal = self.terminal;
        process.console_size = None;
        process.user.additional_gids.extend(&self.additional_gids);
        if let Some(cwd) = &self.cwd {
            process.cwd = cwd.clone().into();
        }
        if let Some((uid, gid)) = self.user {
            process.user.uid = uid;
            process.user.gid = gid.unwrap_or(process.user.gid);
        }
        if let Some(label) = &self.selinux_label {
            process.selinux_label = label.clone().into();
        }
        if let Some(profile) = &self.apparmor_profile {
            process.apparmor_profile = profile.clone().into();
        }
        if let Some(no_new_privileges) = self.no_new_privileges {
            process.no_new_privileges = no_new_privileges;
        }
        if !self.capabilities.is_empty() {
            // Neither inheritable nor ambient: what the process executes is to gain nothing (CVE-2022-29162).
            let sets = process
                .capabilities
                .get_or_insert_with(Capabilities::default);
            for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
                set.extend(texts(&self.capabilities));
            }
        }
        process
    }
}

fn texts<'s>(list: &[String]) -> impl Iterator<Item = Str<'s>> {
    list.iter().map(|text| Str::from(text.clone()))
}

#[cfg(test)]
mod tests;
