//! Looking at the fields of an operation without knowing their types: what the printers of the dry run build on.

use crate::wire::{List, Wire};
use core::ffi::CStr;

/// What can look at a field of an operation: the printers of the dry run.
pub trait Visitor {
    /// A number.
    fn int(&mut self, value: i128);
    /// A truth value.
    fn flag(&mut self, value: bool);
    /// Bytes that mean text.
    fn text(&mut self, value: &[u8]);
    /// Bytes that do not, given by their number.
    fn blob(&mut self, length: usize);
    /// Values up to the matching [`Visitor::end`] belong to one list.
    fn begin(&mut self);
    /// Ends a list.
    fn end(&mut self);
}

/// A field that can be shown.
pub trait Show {
    /// Shows the value to `visitor`.
    fn show(&self, visitor: &mut dyn Visitor);
}

macro_rules! show_integers {
    ($($type:ty)*) => {$(
        impl Show for $type {
            fn show(&self, visitor: &mut dyn Visitor) {
                visitor.int(i128::from(*self));
            }
        }
    )*};
}

show_integers!(u8 u16 u32 u64 i32 i64);

impl Show for bool {
    fn show(&self, visitor: &mut dyn Visitor) {
        visitor.flag(*self);
    }
}

impl Show for &CStr {
    fn show(&self, visitor: &mut dyn Visitor) {
        visitor.text(self.to_bytes());
    }
}

impl Show for &[u8] {
    fn show(&self, visitor: &mut dyn Visitor) {
        visitor.blob(self.len());
    }
}

impl<A: Show, B: Show> Show for (A, B) {
    fn show(&self, visitor: &mut dyn Visitor) {
        visitor.begin();
        self.0.show(visitor);
        self.1.show(visitor);
        visitor.end();
    }
}

impl<'a, T: Wire<'a> + Copy + Show + 'a> Show for List<'a, T> {
    fn show(&self, visitor: &mut dyn Visitor) {
        visitor.begin();
        self.iter().for_each(|item| item.show(visitor));
        visitor.end();
    }
}
