//! `man`: pages for man(1), from the table.

use std::fmt::Write as _;

use crate::failure::Misuse;
use crate::flag::{Flag, Role};
use crate::flags::GLOBALS;
use crate::table::{Action, VERBS, Verb};

/// What `man [COMMAND]` prints.
pub(crate) fn page(command: &str) -> Result<String, Misuse> {
    match VERBS.iter().find(|verb| verb.name == command) {
        None if command.is_empty() => Ok(overview()),
        None => Err(Misuse::UnknownVerb(command.to_owned())),
        Some(verb) => Ok(of(verb)),
    }
}

fn overview() -> String {
    let mut page = head(
        "OCIRUN",
        "ocirun",
        "make and run containers from OCI bundles",
    );
    page.push_str(
        ".SH SYNOPSIS\n.B ocirun\n[\\fIflags\\fR] \\fIcommand\\fR [\\fIflags\\fR] [\\fIarguments\\fR]\n.SH DESCRIPTION\n\
         Makes containers from OCI bundles, directories with a\n.I config.json\nand a root filesystem, and manages them. \
         Engines such as containerd, Docker, Podman and CRI-O drive it in place of runc.\n.SH COMMANDS\n",
    );
    for verb in VERBS
        .iter()
        .filter(|verb| !matches!(verb.action, Action::NotBuiltIn))
    {
        let _ = writeln!(
            page,
            ".TP\n.B {}\n{}",
            escaped(verb.name),
            escaped(verb.help)
        );
    }
    page.push_str(".SH FLAGS\n");
    push_flags(&mut page, GLOBALS);
    page.push_str(
        ".SH EXIT STATUS\n.B run\nand\n.B exec\nin the foreground end with the status of the process, or 128 and the number of \
         the signal that ended it. An error is 1, in\n.B exec\n255, and an unknown command is 3.\n.SH SIGNALS\n\
         HUP, INT, QUIT and TERM end a creation that has not come to its end, with all that was made for it; poststart hooks of\n.B run\n\
         belong to it. A poststop hook of\n.B run\nhas ten seconds from then on, and is killed if it takes longer. In the foreground\n\
         .B run\nand\n.B exec\nhand signals on to the program, these too once it has begun.\n\
         .SH ENVIRONMENT\n",
    );
    for (name, effect) in ENVIRONMENT {
        let _ = writeln!(page, ".TP\n.B {}\n{}", escaped(name), escaped(effect));
    }
    page.push_str(
        ".SH FILES\n.TP\n.I /run/runc\nstates of containers, without\n.B \\-\\-root\n.SH SEE ALSO\n",
    );
    let pages = VERBS
        .iter()
        .filter(|verb| !matches!(verb.action, Action::NotBuiltIn));
    let pages: Vec<_> = pages
        .map(|verb| format!(".BR ocirun\\-{} (8)", escaped(verb.name)))
        .collect();
    page.push_str(&pages.join(",\n"));
    page.push('\n');
    page
}

/// What is read of it, here and in the library.
const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "XDG_RUNTIME_DIR",
        "where a user's states of containers are, in runc, and the user's bus",
    ),
    (
        "NOTIFY_SOCKET",
        "the service manager that is told when a container is ready, see sd_notify(3)",
    ),
    (
        "LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES",
        "sockets for the program, see sd_listen_fds(3)",
    ),
    (
        "DBUS_SYSTEM_BUS_ADDRESS, DBUS_SESSION_BUS_ADDRESS",
        "where systemd is asked for cgroups",
    ),
    (
        "OCIRUN_RESCTRL",
        "a directory in place of the one where resctrl is mounted",
    ),
];

fn of(verb: &Verb) -> String {
    let name = format!("ocirun-{}", verb.name);
    let mut page = head(&name.to_uppercase(), &name, verb.help);
    let flags = if verb.flags.is_empty() {
        ""
    } else {
        " [\\fIflags\\fR]"
    };
    let _ = writeln!(
        page,
        ".SH SYNOPSIS\n.B ocirun {}\n{flags} {}",
        escaped(verb.name),
        escaped(verb.usage)
    );
    if !verb.flags.is_empty() {
        page.push_str(".SH FLAGS\n");
        push_flags(&mut page, verb.flags);
    }
    page.push_str(".SH SEE ALSO\n.BR ocirun (8)\n");
    page
}

fn head(title: &str, name: &str, summary: &str) -> String {
    format!(
        ".TH {} 8 \"\" \"ocirun {}\"\n.SH NAME\n{} \\- {}\n",
        escaped(title),
        env!("CARGO_PKG_VERSION"),
        escaped(name),
        escaped(summary)
    )
}

fn push_flags(page: &mut String, flags: &[Flag]) {
    for flag in flags.iter().filter(|flag| flag.role != Role::Hidden) {
        let short = if flag.short.is_empty() {
            String::new()
        } else {
            format!("\\fB\\-{}\\fR, ", flag.short)
        };
        let value = if flag.value.is_empty() {
            String::new()
        } else {
            format!(" \\fI{}\\fR", escaped(flag.value))
        };
        let _ = writeln!(
            page,
            ".TP\n{short}\\fB\\-\\-{}\\fR{value}\n{}",
            escaped(flag.name),
            escaped(flag.help)
        );
    }
}

/// What roff would take for something else: backslashes, dashes, and a control character at the start of a line.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.chars().next() {
        Some('.' | '\'') => format!("\\&{text}"),
        _ => text,
    }
}
