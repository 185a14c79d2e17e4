//! The default profile of containers, compiled here and by libseccomp in the same run: compile time, instructions,
//! time to install, and what a system call costs under the filter. Run it with `cargo bench -p oci-runtime-seccomp`;
//! it wants `libseccomp2` and `golang-github-containers-common` of Debian, and leaves out what is missing.

#![allow(unsafe_code)]

#[path = "../tests/library/mod.rs"]
mod library;

use std::fmt::Display;
use std::time::Instant;

use library::{BINARY_TREE, LINEAR, Library, installed_profile, library};
use oci_runtime_seccomp::{Arch, Filter, Profile, SockFilter, Syscall, compile};

const THREE: &[&str] = &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];
const COMPILATIONS: usize = 2000;
const INSTALLATIONS: usize = 200;
const CALLS: u32 = 20_000;
const BATCHES: usize = 50;

fn main() {
    if Arch::native() != Some(Arch::X86_64) {
        return println!("the profile is lowered for x86_64");
    }
    for (title, architectures) in [("x86_64", &THREE[..1]), ("x86_64, x86, x32", THREE)] {
        let Some(profile) = installed_profile(architectures) else {
            return;
        };
        report(title, &profile);
    }
}

/// One way to make a filter.
struct Way {
    name: &'static str,
    compilations: usize,
    compile: Box<Compile>,
}

type Compile = dyn Fn(&Profile<'_>) -> Vec<SockFilter>;

fn ways() -> Vec<Way> {
    let mut ways = vec![Way {
        name: "this compiler",
        compilations: COMPILATIONS,
        compile: Box::new(|profile| ours(profile).program),
    }];
    if let Some(library) = library() {
        for (name, level) in [
            ("libseccomp, tree", BINARY_TREE),
            ("libseccomp, list", LINEAR),
        ] {
            ways.push(Way {
                name,
                compilations: 50,
                compile: Box::new(move |profile| theirs(&library, level, profile)),
            });
        }
    }
    ways
}

fn ours(profile: &Profile<'_>) -> Filter {
    compile(profile, Arch::X86_64).expect("the profile compiles")
}

fn theirs(library: &Library, level: u32, profile: &Profile<'_>) -> Vec<SockFilter> {
    library
        .compile_at(level, Arch::X86_64, profile)
        .expect("the profile compiles")
}

fn report(title: &str, profile: &Profile<'_>) {
    println!("\ndefault profile for {title}; median (least to 90th percentile)");
    line(
        "",
        [
            "compile, us",
            "instructions",
            "install, us",
            "allowed, ns",
            "refused, ns",
        ],
    );
    let refusing = refusing(profile);
    for way in ways() {
        let program = (way.compile)(profile);
        let compiling = times(way.compilations, || {
            std::hint::black_box((way.compile)(std::hint::black_box(profile)));
        });
        line(
            way.name,
            [
                spread(compiling, 1e6),
                program.len().to_string(),
                spread(installing(&program), 1e6),
                spread(calling(Some(&program)), 1e9 / f64::from(CALLS)),
                spread(
                    calling(Some(&(way.compile)(&refusing))),
                    1e9 / f64::from(CALLS),
                ),
            ],
        );
    }
    let bare = spread(calling(None), 1e9 / f64::from(CALLS));
    line("no filter", ["", "", "", &bare, ""]);
}

fn line(name: &str, columns: [impl Display; 5]) {
    let [compile, instructions, install, allowed, refused] = columns;
    println!(
        "{name:<17} {compile:>24} {instructions:>13} {install:>22} {allowed:>22} {refused:>22}"
    );
}

/// The same profile, but that getpid fails. The kernel looks up at installation which calls are allowed whatever their
/// arguments, and runs no filter for them; it does run one for a call that fails.
fn refusing<'p>(profile: &Profile<'p>) -> Profile<'p> {
    let mut profile = profile.clone();
    for rule in &mut profile.syscalls {
        rule.names.retain(|name| &**name != "getpid");
    }
    profile.syscalls.push(Syscall {
        names: vec!["getpid".into()],
        action: "SCMP_ACT_ERRNO".into(),
        errno_ret: Some(13),
        args: vec![],
    });
    profile
}

fn installing(program: &[SockFilter]) -> Vec<f64> {
    (0..INSTALLATIONS)
        .map(|_| on_a_thread(|| times(1, || install(program))[0]))
        .collect()
}

fn calling(program: Option<&[SockFilter]>) -> Vec<f64> {
    on_a_thread(|| {
        if let Some(program) = program {
            install(program);
        }
        times(BATCHES, || {
            for _ in 0..CALLS {
                // SAFETY: getpid takes nothing and changes nothing.
                std::hint::black_box(unsafe { libc::syscall(libc::SYS_getpid) });
            }
        })
    })
}

/// A filter holds for its thread, so each thread gets one.
fn on_a_thread<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(body).join().expect("the thread ends"))
}

fn install(program: &[SockFilter]) {
    let fprog = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_ptr().cast_mut().cast(),
    };
    let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: plain numbers; the program outlives the call and is as long as it says.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const fprog,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

fn times(count: usize, mut body: impl FnMut()) -> Vec<f64> {
    let mut once = || {
        let begin = Instant::now();
        body();
        begin.elapsed().as_secs_f64()
    };
    (0..count).map(|_| once()).collect()
}

fn spread(mut seconds: Vec<f64>, unit: f64) -> String {
    seconds.sort_by(f64::total_cmp);
    let at = |part: f64| unit * seconds[((seconds.len() - 1) as f64 * part).round() as usize];
    format!("{:.1} ({:.1} to {:.1})", at(0.5), at(0.0), at(0.9))
}
