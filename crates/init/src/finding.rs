//! What `init` finds out about a program that cannot be executed. It looks as the payload's user, in the payload's root,
//! and only after the failure; the words are the parent's.

/// What was found, with the path it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub found: Found,
    text: [u8; Finding::MAX_TEXT],
    length: u8,
}

impl Finding {
    /// The longest text in bytes; more is cut off.
    pub const MAX_TEXT: usize = 224;

    /// A finding about `text`.
    pub fn new(found: Found, text: &[u8]) -> Finding {
        let text = &text[..text.len().min(Finding::MAX_TEXT)];
        let mut kept = [0; Finding::MAX_TEXT];
        kept[..text.len()].copy_from_slice(text);
        Finding {
            found,
            text: kept,
            length: text.len() as u8,
        }
    }

    /// What it is about.
    pub fn text(&self) -> &[u8] {
        self.text
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }
}

macro_rules! found {
    ($($(#[$doc:meta])* $variant:ident = $number:literal,)*) => {
        /// What can be found; in brackets what the text is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Found { $($(#[$doc])* $variant = $number,)* }

        impl Found {
            /// The one with this number.
            pub fn from_number(number: u8) -> Option<Found> {
                match number { $($number => Some(Found::$variant),)* _ => None }
            }
        }
    };
}

found! {
    /// A directory of the path is missing [it].
    ParentMissing = 1,
    /// A directory of the path is none [it].
    ParentNotDirectory = 2,
    /// A directory of the path cannot be searched by the user [it].
    ParentClosed = 3,
    /// The file has no execute bit at all.
    NoExecuteBit = 4,
    /// The file has execute bits, and none for the user.
    NotForUser = 5,
    /// The mount is noexec.
    Noexec = 6,
    /// The interpreter of a script is missing [it].
    ScriptInterpreterMissing = 7,
    /// The interpreter of a script cannot be executed by the user [it].
    ScriptInterpreterClosed = 8,
    /// The first line of a script ends in carriage return and line feed [the interpreter without them].
    CarriageReturn = 9,
    /// The loader that an ELF file names is missing [it].
    LoaderMissing = 10,
    /// An ELF file for another machine [`e_machine` in decimal digits].
    Machine = 11,
    /// The file is empty.
    Empty = 12,
    /// A byte order mark stands before `#!`.
    ByteOrderMark = 13,
    /// The file begins like text, and not with `#!`.
    NoInterpreterLine = 14,
}
