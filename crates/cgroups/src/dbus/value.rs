//! Values of D-Bus and how they lie in a message: little-endian, each at a multiple of its own alignment from the start
//! ("Marshaling" of the specification).

use serde::{Serialize, Serializer};

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `y`
    Byte(u8),
    /// `b`
    Bool(bool),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `s`
    Str(String),
    /// `a`, of elements of one signature.
    Array(String, Vec<Value>),
    /// `(...)`
    Struct(Vec<Value>),
    /// `v`
    Variant(Box<Value>),
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Str(text.into())
    }

    /// An array of texts.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Value {
        let items = texts.into_iter().map(Value::text);
        Value::Array("s".to_owned(), items.collect())
    }

    /// Its signature.
    pub fn signature(&self) -> String {
        match self {
            Value::Byte(_) => "y".to_owned(),
            Value::Bool(_) => "b".to_owned(),
            Value::I32(_) => "i".to_owned(),
            Value::U32(_) => "u".to_owned(),
            Value::I64(_) => "x".to_owned(),
            Value::U64(_) => "t".to_owned(),
            Value::Str(_) => "s".to_owned(),
            Value::Array(of, _) => format!("a{of}"),
            Value::Struct(members) => {
                let members: String = members.iter().map(Value::signature).collect();
                format!("({members})")
            }
            Value::Variant(_) => "v".to_owned(),
        }
    }
}

/// As a reader of a dry run wants it: the values without their types.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Byte(number) => serializer.serialize_u8(*number),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::I32(number) => serializer.serialize_i32(*number),
            Value::U32(number) => serializer.serialize_u32(*number),
            Value::I64(number) => serializer.serialize_i64(*number),
            Value::U64(number) => serializer.serialize_u64(*number),
            Value::Str(text) => serializer.serialize_str(text),
            Value::Array(_, items) | Value::Struct(items) => serializer.collect_seq(items),
            Value::Variant(value) => value.serialize(serializer),
        }
    }
}

/// The alignment of the type that a signature begins with.
fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'y' | b'g' | b'v') => 1,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 4,
    }
}

/// Appends `value`. The start of `bytes` is the start of the message, or a multiple of eight away from it.
pub(super) fn put(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Byte(number) => bytes.push(*number),
        Value::Bool(truth) => put_u32(bytes, (*truth).into()),
        Value::I32(number) => put_u32(bytes, number.cast_unsigned()),
        Value::U32(number) => put_u32(bytes, *number),
        Value::I64(number) => put_u64(bytes, number.cast_unsigned()),
        Value::U64(number) => put_u64(bytes, *number),
        Value::Str(text) => put_text(bytes, text),
        Value::Array(of, items) => {
            put_u32(bytes, 0);
            let length_at = bytes.len() - 4;
            // Room up to the first element is not counted, and is there even where there is none.
            pad(bytes, alignment(of));
            let start = bytes.len();
            items.iter().for_each(|item| put(bytes, item));
            let length = (bytes.len() - start) as u32;
            bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        }
        Value::Struct(members) => {
            pad(bytes, 8);
            members.iter().for_each(|member| put(bytes, member));
        }
        Value::Variant(value) => {
            put_signature(bytes, &value.signature());
            put(bytes, value);
        }
    }
}

pub(super) fn pad(bytes: &mut Vec<u8>, alignment: usize) {
    bytes.resize(bytes.len().next_multiple_of(alignment), 0);
}

pub(super) fn put_u32(bytes: &mut Vec<u8>, number: u32) {
    pad(bytes, 4);
    bytes.extend(number.to_le_bytes());
}

fn put_u64(bytes: &mut Vec<u8>, number: u64) {
    pad(bytes, 8);
    bytes.extend(number.to_le_bytes());
}

pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_u32(bytes, text.len() as u32);
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

/// No signature here comes near 255 bytes.
pub(super) fn put_signature(bytes: &mut Vec<u8>, signature: &str) {
    bytes.push(signature.len() as u8);
    bytes.extend(signature.as_bytes());
    bytes.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[Value]) -> Vec<u8> {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| put(&mut bytes, value));
        bytes
    }

    #[test]
    fn values_lie_where_the_specification_puts_them() {
        assert_eq!(
            bytes(&[Value::Byte(1), Value::U32(0x0102_0304), Value::Bool(true)]),
            [1, 0, 0, 0, 4, 3, 2, 1, 1, 0, 0, 0]
        );
        assert_eq!(
            bytes(&[Value::Byte(7), Value::U64(1)]),
            [7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(bytes(&[Value::I32(-2)]), [0xfe, 0xff, 0xff, 0xff]);
        // The specification's own example.
        assert_eq!(
            bytes(&[Value::text("foo"), Value::text("+"), Value::text("bar")]),
            *b"\x03\0\0\0foo\0\x01\0\0\0+\0\0\0\x03\0\0\0bar\0"
        );
        // And its array of one 64-bit integer, 5.
        assert_eq!(
            bytes(&[Value::Array("x".to_owned(), vec![Value::I64(5)])]),
            [8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn containers_are_aligned_inside_of_one_another() {
        let property = Value::Struct(vec![
            Value::text("A"),
            Value::Variant(Box::new(Value::U64(9))),
        ]);
        let array = Value::Array("(sv)".to_owned(), vec![property]);
        assert_eq!(array.signature(), "a(sv)");
        assert_eq!(
            bytes(&[array]),
            [
                24, 0, 0, 0, 0, 0, 0, 0, // length, room up to the structure
                1, 0, 0, 0, b'A', 0, 1, b't', // "A", signature
                0, 0, 0, 0, 0, 0, 0, 0, // its end, room up to the number
                9, 0, 0, 0, 0, 0, 0, 0
            ]
        );
        // An empty array has the room but no element.
        let empty = Value::Array("(sa(sv))".to_owned(), Vec::new());
        assert_eq!(empty.signature(), "a(sa(sv))");
        assert_eq!(bytes(&[empty]), [0; 8]);
    }
}
