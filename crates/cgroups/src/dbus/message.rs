//! Messages: a fixed beginning, header fields, and the arguments ("Message Format" of the specification).

use super::value::{Value, pad, put, put_signature, put_text, put_u32};

/// A method call.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    pub arguments: Vec<Value>,
    /// Whether an answer is wanted.
    pub answered: bool,
}

// Message types.
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

// Flags.
const NO_REPLY_EXPECTED: u8 = 1;

// Header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// Length of what comes before the header fields, their length included.
const FIXED: usize = 16;

impl Call<'_> {
    pub(super) fn encode(&self, serial: u32) -> Vec<u8> {
        let mut body = Vec::new();
        self.arguments
            .iter()
            .for_each(|value| put(&mut body, value));
        let flags = if self.answered { 0 } else { NO_REPLY_EXPECTED };
        let mut bytes = vec![b'l', METHOD_CALL, flags, 1];
        put_u32(&mut bytes, body.len() as u32);
        put_u32(&mut bytes, serial);
        put_u32(&mut bytes, 0);
        for (field, signature, text) in [
            (PATH, "o", self.path),
            (DESTINATION, "s", self.destination),
            (INTERFACE, "s", self.interface),
            (MEMBER, "s", self.member),
        ] {
            pad(&mut bytes, 8);
            bytes.push(field);
            put_signature(&mut bytes, signature);
            put_text(&mut bytes, text);
        }
        if !self.arguments.is_empty() {
            let signature: String = self.arguments.iter().map(Value::signature).collect();
            pad(&mut bytes, 8);
            bytes.push(SIGNATURE);
            put_signature(&mut bytes, "g");
            put_signature(&mut bytes, &signature);
        }
        let fields = (bytes.len() - FIXED) as u32;
        bytes[FIXED - 4..FIXED].copy_from_slice(&fields.to_le_bytes());
        pad(&mut bytes, 8);
        bytes.extend(body);
        bytes
    }
}

/// What a received message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The answer to the call of that serial number.
    Return(u32),
    /// The refusal of the call of that serial number, with the name of the error.
    Refusal(u32, String),
    /// A signal of that name.
    Signal(String),
    /// A call, or something that is yet to be invented.
    Other,
}

/// A message that was received: what it is, and its arguments up to the first that is no number and no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub kind: Kind,
    pub arguments: Vec<Value>,
}

/// The length of the message that `bytes` begin with, as soon as it can be told.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes) as usize)
    };
    let fields = number(FIXED - 4)?;
    Some((FIXED + fields).next_multiple_of(8) + number(4)?)
}

impl Message {
    /// Nothing where `bytes` are no whole message of this byte order.
    pub(super) fn decode(bytes: &[u8]) -> Option<Message> {
        let [b'l', message, ..] = *bytes else {
            return None;
        };
        let mut reader = Reader { bytes, at: 4 };
        let body_length = reader.u32()? as usize;
        reader.u32()?;
        let fields_end = FIXED + reader.u32()? as usize;
        let (mut name, mut error, mut serial, mut signature) = (None, None, None, String::new());
        while reader.at < fields_end {
            reader.align(8)?;
            let field = reader.byte()?;
            let kind = reader.signature()?;
            match (field, kind.as_str()) {
                (MEMBER, "s") => name = Some(reader.text()?),
                (ERROR_NAME, "s") => error = Some(reader.text()?),
                (REPLY_SERIAL, "u") => serial = Some(reader.u32()?),
                (SIGNATURE, "g") => signature = reader.signature()?,
                (_, "s" | "o") => drop(reader.text()?),
                (_, "g") => drop(reader.signature()?),
                (_, "u") => drop(reader.u32()?),
                _ => return None,
            }
        }
        reader.align(8)?;
        let body = bytes.get(reader.at..reader.at + body_length)?;
        let kind = match (message, serial) {
            (METHOD_RETURN, Some(serial)) => Kind::Return(serial),
            (ERROR, Some(serial)) => Kind::Refusal(serial, error?),
            (SIGNAL, _) => Kind::Signal(name?),
            _ => Kind::Other,
        };
        let arguments = arguments(body, &signature)?;
        Some(Message { kind, arguments })
    }

    /// An argument that is text.
    pub(crate) fn text(&self, index: usize) -> Option<&str> {
        match self.arguments.get(index) {
            Some(Value::Str(text)) => Some(text),
            _ => None,
        }
    }
}

fn arguments(body: &[u8], signature: &str) -> Option<Vec<Value>> {
    let mut reader = Reader { bytes: body, at: 0 };
    let mut values = Vec::new();
    for kind in signature.bytes() {
        values.push(match kind {
            b's' | b'o' => Value::Str(reader.text()?),
            b'u' => Value::U32(reader.u32()?),
            _ => break,
        });
    }
    Some(values)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, alignment: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(alignment)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        let bytes = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        self.terminated(length)
    }

    fn signature(&mut self) -> Option<String> {
        let length = self.byte()?.into();
        self.terminated(length)
    }

    fn terminated(&mut self, length: usize) -> Option<String> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        (self.byte()? == 0).then_some(())?;
        Some(std::str::from_utf8(bytes).ok()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A call of Hello with serial number 1, as a reference implementation sends it.
    #[test]
    fn a_call_is_the_specification_s_bytes() {
        let bytes = crate::dbus::HELLO.encode(1);
        let mut expected = b"l\x01\x01\x01\0\0\0\0\x01\0\0\0\x6e\0\0\0".to_vec();
        expected.extend(b"\x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0");
        expected.extend(b"\x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0");
        expected.extend(b"\x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0");
        expected.extend(b"\x03\x01s\0\x05\0\0\0Hello\0\0\0");
        assert_eq!(bytes, expected);
        assert_eq!(length(&bytes), Some(bytes.len()));
        assert_eq!(length(&bytes[..15]), None);
    }

    #[test]
    fn a_signal_is_read() {
        let call = Call {
            destination: ":1.2",
            path: "/a",
            interface: "a.b",
            member: "JobRemoved",
            arguments: vec![
                Value::U32(7),
                Value::text("/job/7"),
                Value::text("a.scope"),
                Value::text("done"),
                Value::Bool(true),
            ],
            answered: false,
        };
        let mut bytes = call.encode(3);
        bytes[1] = SIGNAL;
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.kind, Kind::Signal("JobRemoved".to_owned()));
        assert_eq!(message.text(1), Some("/job/7"));
        assert_eq!(message.text(3), Some("done"));
        assert_eq!(message.arguments.len(), 4);
        assert_eq!(Message::decode(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn a_refusal_is_read() {
        let mut bytes = b"l\x03\x01\x01\x08\0\0\0\x09\0\0\0\x1f\0\0\0".to_vec();
        bytes.extend(b"\x05\x01u\0\x02\0\0\0");
        bytes.extend(b"\x04\x01s\0\x05\0\0\0a.b.C\0\0\0");
        bytes.extend(b"\x08\x01g\0\x01s\0\0\x03\0\0\0why\0");
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.kind, Kind::Refusal(2, "a.b.C".to_owned()));
        assert_eq!(message.text(0), Some("why"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = length(&bytes);
            let _ = Message::decode(&bytes);
            let mut bytes = bytes;
            bytes.splice(0..0, *b"l\x04\x01\x01\x10\0\0\0\x07\0\0\0\x18\0\0\0");
            let _ = Message::decode(&bytes);
        }
    }
}
