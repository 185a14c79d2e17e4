//! bpf(2): loading a device program and attaching it to a v2 cgroup, beside others or in the place of the one before. The
//! one file with unsafe code.

#![allow(unsafe_code)]

use crate::device_program::{DeviceProgram, compile};
use crate::error::{Error, Result};
use crate::files::open;
use nix::fcntl::OFlag;
use std::ffi::c_long;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

// Commands, types and flags of linux/bpf.h.
const BPF_PROG_LOAD: c_long = 5;
const BPF_PROG_ATTACH: c_long = 8;
const BPF_PROG_DETACH: c_long = 9;
const BPF_PROG_GET_FD_BY_ID: c_long = 13;
const BPF_OBJ_GET_INFO_BY_FD: c_long = 15;
const BPF_PROG_QUERY: c_long = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_F_REPLACE: u32 = 4;

/// By this name our programs are told from others that are attached to the same cgroup.
const NAME: [u8; 16] = *b"oci_devices\0\0\0\0\0";

/// How many programs the kernel lets be attached to one cgroup.
const MOST_PROGRAMS: usize = 64;

/// The start of union bpf_attr for BPF_PROG_LOAD; the kernel takes what lies behind as zero.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

/// The start of union bpf_attr for BPF_PROG_ATTACH and BPF_PROG_DETACH.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// The start of union bpf_attr for BPF_PROG_QUERY.
#[repr(C)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// The start of union bpf_attr for BPF_PROG_GET_FD_BY_ID.
#[repr(C)]
struct IdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The start of union bpf_attr for BPF_OBJ_GET_INFO_BY_FD.
#[repr(C)]
struct InfoAttr {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The start of struct bpf_prog_info.
#[repr(C)]
struct Info {
    before_name: [u64; 8],
    name: [u8; 16],
}

/// Enforces `program`. It lives as long as the cgroup, and adds to what its ancestors enforce.
pub(crate) fn attach(program: &DeviceProgram) -> Result<()> {
    let fail = |call, e: &io::Error| Error::io(call, &program.dir, e);
    let cgroup = open(&program.dir, OFlag::O_RDONLY).map_err(|e| fail("open", &e))?;
    let loaded = load(&program.code()).map_err(|e| fail("bpf(BPF_PROG_LOAD)", &e))?;
    let attr = attachment(&cgroup, &loaded, BPF_F_ALLOW_MULTI);
    bpf(BPF_PROG_ATTACH, &attr).map_err(|e| fail("bpf(BPF_PROG_ATTACH)", &e))?;
    Ok(())
}

/// Enforces `program` in the place of the one that [`attach`] has attached before: there is no moment without one of the two.
pub(crate) fn replace(program: &DeviceProgram) -> Result<()> {
    let fail = |call, e: &io::Error| Error::io(call, &program.dir, e);
    let cgroup = open(&program.dir, OFlag::O_RDONLY).map_err(|e| fail("open", &e))?;
    let old = ours(&cgroup).map_err(|e| fail("bpf(BPF_PROG_QUERY)", &e))?;
    let Some((first, others)) = old.split_first() else {
        return attach(program);
    };
    let loaded = load(&program.code()).map_err(|e| fail("bpf(BPF_PROG_LOAD)", &e))?;
    let attr = AttachAttr {
        replace_bpf_fd: first.as_raw_fd() as u32,
        ..attachment(&cgroup, &loaded, BPF_F_ALLOW_MULTI | BPF_F_REPLACE)
    };
    bpf(BPF_PROG_ATTACH, &attr).map_err(|e| fail("bpf(BPF_PROG_ATTACH)", &e))?;
    for other in others {
        let attr = attachment(&cgroup, other, 0);
        bpf(BPF_PROG_DETACH, &attr).map_err(|e| fail("bpf(BPF_PROG_DETACH)", &e))?;
    }
    Ok(())
}

fn attachment(cgroup: &File, program: &OwnedFd, attach_flags: u32) -> AttachAttr {
    AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags,
        replace_bpf_fd: 0,
    }
}

/// The programs of ours that are attached to the cgroup itself.
fn ours(cgroup: &File) -> io::Result<Vec<OwnedFd>> {
    let mut ids = [0u32; MOST_PROGRAMS];
    let mut query = QueryAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: MOST_PROGRAMS as u32,
        padding: 0,
    };
    bpf_out(BPF_PROG_QUERY, &mut query)?;
    let mut found = Vec::new();
    for id in ids.iter().take(query.prog_cnt as usize) {
        let attr = IdAttr {
            id: *id,
            next_id: 0,
            open_flags: 0,
        };
        let program = match bpf(BPF_PROG_GET_FD_BY_ID, &attr) {
            // SAFETY: BPF_PROG_GET_FD_BY_ID returned a new descriptor, which nothing else owns.
            Ok(fd) => unsafe { OwnedFd::from_raw_fd(fd as i32) },
            // Detached and gone since.
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => continue,
            Err(e) => return Err(e),
        };
        if name(&program)? == NAME {
            found.push(program);
        }
    }
    Ok(found)
}

fn name(program: &OwnedFd) -> io::Result<[u8; 16]> {
    let mut info = Info {
        before_name: [0; 8],
        name: [0; 16],
    };
    let mut attr = InfoAttr {
        bpf_fd: program.as_raw_fd() as u32,
        info_len: size_of::<Info>() as u32,
        info: (&raw mut info) as u64,
    };
    bpf_out(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info.name)
}

fn load(code: &[u8]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: (code.len() / 8) as u32,
        insns: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: NAME,
    };
    // The verifier gives EAGAIN when a signal arrives meanwhile.
    for _ in 0..5 {
        match bpf(BPF_PROG_LOAD, &attr) {
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => {}
            // SAFETY: BPF_PROG_LOAD returned a new descriptor, which nothing else owns.
            result => return result.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) }),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EAGAIN))
}

fn bpf<Attr>(command: c_long, attr: &Attr) -> io::Result<c_long> {
    // SAFETY: `attr` is a repr(C) prefix of union bpf_attr without padding, readable for its whole size; the pointers
    // in it are to buffers that outlive the call, with the lengths stated beside them. The kernel keeps none of them.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<Attr>()) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

/// The same where the kernel answers in `attr`, or through a pointer in it.
fn bpf_out<Attr>(command: c_long, attr: &mut Attr) -> io::Result<c_long> {
    // SAFETY: as in `bpf`; `attr` and what it points to are borrowed mutably or owned by the caller for the whole call, and of
    // the sizes stated in it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<Attr>()) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

impl DeviceProgram {
    /// The program as the kernel loads it: eight bytes an instruction, in the byte order of the host.
    pub fn code(&self) -> Vec<u8> {
        let instructions = compile(&self.rules);
        instructions.iter().flat_map(|i| i.bytes()).collect()
    }
}
