//! The two places where `init` listens: the socket to the parent that made it, and the FIFO of `start`.

use crate::child;
use crate::message;
use crate::op::Slot;
use crate::payload;
use crate::report::{Kind, Part};
use crate::stat;
use crate::step::{At, Done, Fail, Init, NOTHING, fail};
use crate::sys::{self, Fd};
use crate::wire::{Header, Reader};

/// Receives the plan with its slots, maps it, and answers a reader at its first step.
pub fn receive_plan(init: &mut Init) -> Done<Reader<'static>> {
    let mut fds = [0; message::MAX_FDS];
    let mut byte = [0];
    let (bytes, received) =
        message::recvmsg(init.channel, &mut byte, &mut fds).at(Part::Recvmsg)?;
    if bytes != 1 || received == 0 {
        return fail(Part::Recvmsg, sys::EPIPE, received as u64);
    }
    let size = stat::stat(fds[0], c"").at(Part::Stat)?.size as usize;
    let mut reader = Reader::new(sys::map_file(fds[0], size).at(Part::Mmap)?);
    let Some(header) = Header::get(&mut reader) else {
        return fail(Part::Decode, sys::EPROTO, size as u64);
    };
    sys::close(fds[0]);
    // The shortest string takes five bytes of the plan.
    init.strings = Some(sys::pointers(size / 5 + 8).at(Part::Mmap)?);
    init.header = header;
    init.slots[..received - 1].copy_from_slice(&fds[1..received]);
    leave_preserved_numbers(init, received - 1)?;
    Ok(reader)
}

/// Moves our fds above those that the payload will have from 3 on.
fn leave_preserved_numbers(init: &mut Init, slots: usize) -> Done {
    let first_free = 3 + u32::from(init.header.preserve_fds);
    if first_free == 3 {
        return Ok(());
    }
    let Init {
        channel,
        slots: all,
        ..
    } = init;
    for fd in core::iter::once(channel).chain(&mut all[..slots]) {
        if (*fd as u32) < first_free {
            let moved = sys::dup_from(*fd, first_free).at(Part::Dup)?;
            sys::close(*fd);
            *fd = moved;
        }
    }
    Ok(())
}

/// Tells the parent that it is its turn, and waits until it has done its part. What the parent takes of a listener is a
/// copy; ours goes at once, by the call that a filter has to allow in any case.
pub fn yield_to_parent(init: &mut Init, step: u16) -> Done {
    let listener = core::mem::take(&mut init.listener);
    let told = Fail {
        value: listener as u64,
        ..NOTHING
    };
    init.report(Kind::Yielded, step, told)?;
    let mut byte = [0];
    match sys::read(init.channel, &mut byte).at(Part::Read)? {
        1 if listener > 0 => sys::close_range(listener as u32, listener as u32)
            .at(Part::CloseRange)
            .map(drop),
        1 => Ok(()),
        // The parent is gone or has given up: a container that was never completed must not stay.
        _ => sys::exit(1),
    }
}

/// Tells the parent that there is a process, whose pid the kernel adds; from here on signals are for it.
pub fn hello(init: &mut Init, step: u16) -> Done {
    if child::getpid() == 1 {
        child::die_of_signals();
    }
    init.report(Kind::Hello, step, NOTHING)
}

/// Waits until start opens the gate. We hold the FIFO's other end too, so that it never reads as closed. What was needed
/// to get here is closed before: the wait may be long.
pub fn await_start(init: &mut Init, gate: Slot, report: Slot) -> Done {
    let gate = init.fd(gate)?;
    init.channel = init.fd(report)?;
    payload::close_all_but(init, gate)?;
    init.gated = true;
    let mut byte = [0];
    sys::read(gate, &mut byte).at(Part::Read).map(drop)
}

/// The number that `digits` spell, if they are one; an fd of ours is never stdio.
pub fn number(digits: &[u8]) -> Option<Fd> {
    let mut value: Fd = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(Fd::from(digit - b'0'))?;
    }
    (value > 2).then_some(value)
}
