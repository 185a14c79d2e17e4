//! bpf(2): loading a device program and attaching it to a v2 cgroup. The one file with unsafe code.

#![allow(unsafe_code)]

use crate::device_program::{DeviceProgram, compile};
use crate::error::{Error, Result};
use std::ffi::c_long;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

// Commands, types and flags of linux/bpf.h.
const BPF_PROG_LOAD: c_long = 5;
const BPF_PROG_ATTACH: c_long = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

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

/// The start of union bpf_attr for BPF_PROG_ATTACH.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Enforces `program`. It lives as long as the cgroup, and adds to what its ancestors enforce.
pub(crate) fn attach(program: &DeviceProgram) -> Result<()> {
    let fail = |call, e: &io::Error| Error::io(call, &program.dir, e);
    let cgroup = File::open(&program.dir).map_err(|e| fail("open", &e))?;
    let loaded = load(&program.code()).map_err(|e| fail("bpf(BPF_PROG_LOAD)", &e))?;
    let attr = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: loaded.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    bpf(BPF_PROG_ATTACH, &attr).map_err(|e| fail("bpf(BPF_PROG_ATTACH)", &e))?;
    Ok(())
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
        prog_name: *b"oci_devices\0\0\0\0\0",
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

impl DeviceProgram {
    /// The program as the kernel loads it: eight bytes an instruction, in the byte order of the host.
    pub fn code(&self) -> Vec<u8> {
        let instructions = compile(&self.rules);
        instructions.iter().flat_map(|i| i.bytes()).collect()
    }
}
