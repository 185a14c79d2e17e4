//! The format of a plan in memory: how steps cross from the library into the freestanding program.
//!
//! A plan is one read-only file. It opens with a [`Header`]; then come the steps, each a record: step number (`u16`),
//! tag of the operation (`u16`), then the operation's fields in order.
//! Integers are little-endian; a string is its length without the NUL (`u32`), its bytes, and a NUL, so that a reader
//! can hand it to a system call in place; bytes are a length (`u32`) and that many bytes; a list is its
//! count (`u32`), its size in bytes (`u32`), and its items. Nothing is aligned and nothing points anywhere: reading needs no
//! allocation, and a malformed file is a `None`, never undefined behaviour.

use core::ffi::CStr;

/// The first four bytes of every plan.
pub const MAGIC: u32 = u32::from_le_bytes(*b"OCIP");

/// The version of this format and of the meaning of the operations; both sides come from one build.
pub const VERSION: u16 = 1;

/// How a plan opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of the caller's file descriptors that the payload keeps, from fd 3 on.
    pub preserve_fds: u16,
    /// Whether `init` reports each step that it has done, with the time.
    pub trace: bool,
    /// Number of steps of the outer lane; the inner lane's follow them.
    pub outer: u16,
    /// Number of steps of the inner lane.
    pub inner: u16,
}

impl Header {
    /// Writes the header.
    pub fn put(&self, out: &mut dyn Sink) {
        MAGIC.put(out);
        VERSION.put(out);
        self.preserve_fds.put(out);
        self.trace.put(out);
        self.outer.put(out);
        self.inner.put(out);
    }

    /// Reads a header; `None` when the magic or the version is another.
    pub fn get(from: &mut Reader<'_>) -> Option<Header> {
        if u32::get(from)? != MAGIC || u16::get(from)? != VERSION {
            return None;
        }
        Some(Header {
            preserve_fds: u16::get(from)?,
            trace: bool::get(from)?,
            outer: u16::get(from)?,
            inner: u16::get(from)?,
        })
    }
}

/// Where encoded bytes go.
pub trait Sink {
    /// Appends `bytes`.
    fn push(&mut self, bytes: &[u8]);
    /// Bytes written so far.
    fn position(&self) -> usize;
    /// Overwrites the four bytes at `at` with `value`.
    fn patch(&mut self, at: usize, value: u32);
}

/// A position in encoded bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// Takes the next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(count)?;
        self.rest = tail;
        Some(head)
    }

    /// Whether all bytes were taken.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// A value that can be part of a step.
pub trait Wire<'a>: Sized {
    /// Appends the value.
    fn put(&self, out: &mut dyn Sink);
    /// Reads one value; `None` when the bytes are not one.
    fn get(from: &mut Reader<'a>) -> Option<Self>;
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl<'a> Wire<'a> for $type {
            fn put(&self, out: &mut dyn Sink) {
                out.push(&self.to_le_bytes());
            }
            fn get(from: &mut Reader<'a>) -> Option<Self> {
                let bytes = from.take(size_of::<$type>())?;
                Some(<$type>::from_le_bytes(bytes.try_into().ok()?))
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 i32 i64);

impl<'a> Wire<'a> for bool {
    fn put(&self, out: &mut dyn Sink) {
        u8::from(*self).put(out);
    }
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        match u8::get(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<'a> Wire<'a> for &'a CStr {
    fn put(&self, out: &mut dyn Sink) {
        (self.count_bytes() as u32).put(out);
        out.push(self.to_bytes_with_nul());
    }
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        let length = u32::get(from)? as usize;
        CStr::from_bytes_with_nul(from.take(length.checked_add(1)?)?).ok()
    }
}

impl<'a> Wire<'a> for &'a [u8] {
    fn put(&self, out: &mut dyn Sink) {
        (self.len() as u32).put(out);
        out.push(self);
    }
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        let length = u32::get(from)? as usize;
        from.take(length)
    }
}

impl<'a, A: Wire<'a>, B: Wire<'a>> Wire<'a> for (A, B) {
    fn put(&self, out: &mut dyn Sink) {
        self.0.put(out);
        self.1.put(out);
    }
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        Some((A::get(from)?, B::get(from)?))
    }
}

/// Any number of values: a slice where a plan is made, encoded bytes where it is read.
#[derive(Clone, Copy)]
pub enum List<'a, T> {
    /// Values in memory.
    Items(&'a [T]),
    /// `count` encoded values.
    Packed {
        /// How many values.
        count: u32,
        /// Their encodings, one after the other.
        bytes: &'a [u8],
    },
}

impl<'a, T: Wire<'a> + Copy> List<'a, T> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            List::Items(items) => items.len(),
            List::Packed { count, .. } => *count as usize,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + 'a
    where
        T: 'a,
    {
        let (items, count, bytes) = match *self {
            List::Items(items) => (items, 0, &[][..]),
            List::Packed { count, bytes } => (&[][..], count, bytes),
        };
        let mut reader = Reader::new(bytes);
        items
            .iter()
            .copied()
            .chain((0..count).map_while(move |_| T::get(&mut reader)))
    }
}

impl<'a, T: Wire<'a> + Copy + 'a> Wire<'a> for List<'a, T> {
    fn put(&self, out: &mut dyn Sink) {
        (self.len() as u32).put(out);
        let size_at = out.position();
        0u32.put(out);
        let start = out.position();
        self.iter().for_each(|item| item.put(out));
        let size = out.position() - start;
        out.patch(size_at, size as u32);
    }
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        let count = u32::get(from)?;
        let size = u32::get(from)? as usize;
        Some(List::Packed {
            count,
            bytes: from.take(size)?,
        })
    }
}
