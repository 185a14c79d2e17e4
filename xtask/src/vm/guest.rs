//! One run of the machine. What the guest says on its serial port is passed on, and counted where it is the last line of
//! a test program. The guest's own end has to be said by the line [`END`]: a kernel that panics or a script that is cut
//! short is a failure, whatever was counted before.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::command::{read, spawn_error};
use crate::error::{Error, Result};
use crate::tally::{Tally, test_result};

/// What the script of the payload prints at last, followed by the number of programs that failed.
pub const END: &str = "end of the payload, programs that failed: ";

/// The files that a guest is started from.
pub struct Disks {
    pub kernel: PathBuf,
    pub root: PathBuf,
    pub payload: PathBuf,
}

/// Qemu's own translator. One thread for all processors: with one for each, a processor can still run a breakpoint that
/// another has just taken out of the kernel's text again, and Linux changes its text whenever a first or last cgroup has
/// a quota or a device program.
pub const TRANSLATOR: &str = "tcg,thread=single,tb-size=512";

/// The kernel's hypervisor.
pub const KVM: &str = "kvm";

/// Words of the kernel's command line: as few messages and as little work at the boot as can be.
const COMMAND_LINE: &str = "root=/dev/nvme0n1 rw console=ttyS0 TERM=dumb loglevel=3 panic=-1 apparmor=1 \
    security=apparmor mitigations=off nokaslr tsc=reliable no_timer_check systemd.show_status=0 \
    systemd.unit=payload.service";

/// Boots the guest without input and sums up what its tests say.
pub fn listen(disks: &Disks, accelerator: &str, limit: Duration) -> Result<Tally> {
    let mut command = machine(disks, accelerator)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(spawn_error(&command))?;
    let lines = match child.stdout.take() {
        Some(stdout) => lines(stdout),
        None => mpsc::channel().1,
    };
    let heard = hear(&lines, Instant::now() + limit);
    if heard.is_none() {
        // It can only have ended by itself meanwhile.
        let _ = child.kill();
    }
    child.wait().map_err(spawn_error(&command))?;
    heard.ok_or_else(|| Error::Unexpected {
        what: format!(
            "the guest's end within {} s (--time-limit)",
            limit.as_secs()
        ),
        found: "that it was still running; it was ended".to_owned(),
    })
}

/// Boots the guest with our terminal for its own.
pub fn interact(disks: &Disks, accelerator: &str) -> Result<ExitCode> {
    let mut command = machine(disks, accelerator)?;
    let status = command.status().map_err(spawn_error(&command))?;
    Ok(match status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn machine(disks: &Disks, accelerator: &str) -> Result<Command> {
    let drive = |id: &str, file: &Path, more: &str| {
        let file = file.display().to_string().replace(',', ",,");
        let drive = format!("if=none,id={id},format=raw,file={file},{more}");
        ["-drive".to_owned(), drive]
    };
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args([
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
        ])
        .args(["-machine", "q35", "-smp", "2", "-m", "1G"])
        .args(["-cpu", processor()?])
        .args(["-accel", accelerator])
        .arg("-kernel")
        .arg(&disks.kernel)
        .args(["-append", COMMAND_LINE])
        // Nothing that the guest writes is kept.
        .args(drive("root", &disks.root, "cache=unsafe,snapshot=on"))
        .args(drive("payload", &disks.payload, "readonly=on"))
        // The kernel finds disks of one kind in any order: the root is the only one of a kind that is built in.
        .args(["-device", "nvme,serial=root,drive=root"])
        .args(["-device", "virtio-blk-pci,drive=payload"])
        .args([
            "-chardev",
            "stdio,id=serial,signal=off",
            "-serial",
            "chardev:serial",
        ]);
    Ok(command)
}

/// Says what is missing before anything is made for it.
pub fn need_qemu() -> Result<()> {
    match processor() {
        Err(error @ Error::Spawn { .. }) => Err(Error::Packages {
            missing: vec!["qemu-system-x86".to_owned()],
            reason: error.to_string(),
        }),
        other => other.map(drop),
    }
}

/// All that qemu can offer but five-level page tables, which only make translation longer. The cmpxchg16b of qemu before
/// 8.0 spoils the flags register when translated, and the kernel does without it where it is missing.
fn processor() -> Result<&'static str> {
    let text = read(Command::new("qemu-system-x86_64").arg("--version"))?;
    let major = text
        .split_once("version ")
        .and_then(|(_, rest)| rest.split('.').next()?.parse::<u32>().ok());
    match major {
        Some(major) if major >= 8 => Ok("max,la57=off"),
        Some(_) => Ok("max,la57=off,cx16=off"),
        None => Err(Error::Unexpected {
            what: "the version of qemu".to_owned(),
            found: text,
        }),
    }
}

/// The lines of the serial port, read by a thread of its own so that waiting for one can have a limit.
fn lines(stdout: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout)
            .split(b'\n')
            .map_while(|line| line.ok())
        {
            let line = String::from_utf8_lossy(&line);
            if sender.send(line.trim_end_matches('\r').to_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Passes the lines on until there are no more, or gives nothing when `end` comes first.
fn hear(lines: &Receiver<String>, end: Instant) -> Option<Tally> {
    let mut total = Tally::default();
    let mut failed = None;
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                println!("{line}");
                total += test_result(&line).unwrap_or_default();
                let said = line
                    .strip_prefix(END)
                    .and_then(|rest| rest.parse::<u64>().ok());
                failed = failed.or(said);
            }
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if total.failed == 0 && failed != Some(0) {
        total.failed = 1;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Tally {
        let text = text.as_bytes().to_vec();
        let lines = lines(std::io::Cursor::new(text));
        hear(&lines, Instant::now() + Duration::from_secs(10)).unwrap()
    }

    #[test]
    fn results_are_summed_and_the_end_must_be_said() {
        let result =
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\r\n";
        let tally = |passed, failed, skipped| Tally {
            passed,
            failed,
            skipped,
        };
        assert_eq!(
            heard(&format!("{result}{result}{END}0\r\n")),
            tally(6, 0, 2)
        );
        assert_eq!(heard(&format!("{result}{END}1\r\n")), tally(3, 1, 1));
        assert_eq!(heard(&format!("{result}Kernel panic")), tally(3, 1, 1));
        assert_eq!(heard(""), tally(0, 1, 0));
    }

    #[test]
    fn a_guest_that_says_nothing_is_given_up() {
        let (sender, lines) = mpsc::channel::<String>();
        assert_eq!(
            hear(&lines, Instant::now() + Duration::from_millis(20)),
            None
        );
        drop(sender);
    }
}
