//! A compiler from OCI seccomp profiles to classic BPF.
//!
//! # Terminology
//!
//! * A *profile* is `linux.seccomp` of an OCI `config.json` ([`Profile`]).
//! * An *action* is what happens to a system call ([`Action`]); a *rule* is an entry of the profile's `syscalls`: an
//!   action for some calls under some *conditions* on their arguments.
//! * A *filter* is the program the kernel runs before each system call, with the flags it is installed with
//!   ([`Filter`]). Its *verdict* is the action it returns.
//! * An *architecture* is a calling convention with its own call numbers ([`Arch`]); a kernel serves several.
//! * A *listener* is a file descriptor on which another process is asked about calls with `SCMP_ACT_NOTIFY`.
//!
//! # Example
//!
//! ```
//! use oci_runtime_seccomp::{Action, Arch, Profile, SeccompData, compile, simulate};
//!
//! let profile: Profile = serde_json::from_str(r#"{
//!     "defaultAction": "SCMP_ACT_ERRNO",
//!     "syscalls": [
//!         {"names": ["read", "write", "exit_group"], "action": "SCMP_ACT_ALLOW"},
//!         {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]}
//!     ]}"#)?;
//! let filter = compile(&profile, Arch::X86_64)?;
//!
//! let personality = |persona| SeccompData {
//!     nr: 135,
//!     arch: Arch::X86_64.audit(),
//!     args: [persona, 0, 0, 0, 0, 0],
//!     ..SeccompData::default()
//! };
//! let verdict = |data| simulate(&filter.program, &data).map(Action::from_return);
//! assert_eq!(verdict(personality(0)), Ok(Action::Allow));
//! assert_eq!(verdict(personality(8)), Ok(Action::Errno(1)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which rule wins
//!
//! 1. A call of an architecture that is neither native nor listed gets `KILL_THREAD`. So does an x32 call, unless x32
//!    is listed; the number -1, by which a tracer cancels a call, is not one.
//! 2. Rules whose action is the default anyway are left out.
//! 3. A rule without conditions overrules every rule with conditions on the same call, wherever they stand. Of several
//!    without conditions the first counts.
//! 4. Otherwise the first rule in the profile all of whose conditions hold decides. If a rule has two conditions on
//!    the same argument, one condition is enough.
//! 5. If no rule decides, a call with a higher number than all calls the profile mentions for its architecture gets
//!    `ERRNO(ENOSYS)`, provided that the default action is not `ALLOW`, `LOG` or `TRACE`. Who mentions `socket` mentions
//!    `socketcall` too. ARM's private calls are not counted. Number 0 of s390, by which calls unknown to the kernel
//!    appear there, gets it too.
//! 6. What is left gets the default action.
//!
//! Conditions compare 64 bits, unsigned. On 32-bit architectures, x32 and MIPS n32 they compare the lower 32 bits of
//! argument and value. `SCMP_CMP_MASKED_EQ` ignores bits of `valueTwo` outside of the mask.
//!
//! Where calls can also be made through `socketcall` or `ipc`, rules for them hold for both ways in. Their arguments
//! cannot be seen through a multiplexer, so there a rule with conditions holds for every such call if it is stricter
//! than the default action, and for none otherwise.
//!
//! These are the results of libseccomp as runc drives it, with these differences. Rule 4: where rules with different
//! actions hold for the same call, libseccomp tries them in an order by argument and operator, not in the profile's.
//! Multiplexers: libseccomp replaces the condition on the first argument and compares the others with the arguments
//! of the multiplexer, which are pointers. Rule 5: runc leaves the native architecture out if the profile does not
//! list it, and counts ARM's private calls.
//!
//! # Flags
//!
//! A profile without a list of flags, not even an empty one, gets `SPEC_ALLOW`, as in runc and crun. A rule with
//! `SCMP_ACT_NOTIFY` adds `NEW_LISTENER`, and then `TSYNC_ESRCH` to `TSYNC`. `WAIT_KILLABLE_RECV` is left out where
//! nothing notifies. The kernel refuses other combinations.
//!
//! # Call numbers
//!
//! The tables hold the calls of Linux up to [`LINUX_VERSION`], for all architectures of the runtime-spec. They are
//! written by `tools/syscall_tables.py`, which says how.

mod action;
mod arch;
mod asm;
mod bpf;
mod compile;
mod decide;
mod error;
mod explain;
mod flags;
mod hash;
mod lint;
mod listing;
mod needs;
mod precedence;
mod profile;
mod record;
mod rules;
mod search;
mod simulate;
mod syscalls;
mod tables;
mod verdicts;

pub use action::{Action, MAX_ERRNO};
pub use arch::{Arch, X32_SYSCALL_BIT};
pub use bpf::{BPF_MAXINSNS, SeccompData, SockFilter, disassemble};
pub use compile::{Filter, compile};
pub use error::{Error, ErrorKind, Warning, WarningKind};
pub use explain::{Asked, Because, Clause, Explanation, explain};
pub use flags::{FilterFlags, flag_names};
pub use lint::{Finding, FindingKind, lint};
pub use listing::pseudo_code;
pub use profile::{Profile, Syscall, SyscallArg, Text};
pub use record::{Calls, NotAList, recording_filter};
pub use rules::{Condition, Op, architectures, operator_names};
pub use simulate::{Invalid, may_call, possible_returns, simulate, verify};
pub use syscalls::{LINUX_VERSION, name, number};
