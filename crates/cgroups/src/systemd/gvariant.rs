//! Values as text, in the format that GVariant has for people, as far as properties of units have such types: numbers with the
//! name or the letter of their type (`uint64 5`, `@t 5`; without one `i`), texts in quotes, truths, arrays and tuples. See
//! <https://docs.gtk.org/glib/gvariant-text-format.html>.

use crate::dbus::Value;

/// How deep values may be nested.
const DEPTH: usize = 8;

/// The longest signature of a value in a message.
const LONGEST: usize = 255;

/// Names of types of numbers, and their letters.
const TYPES: &[(&str, &str)] = &[
    ("boolean", "b"),
    ("byte", "y"),
    ("int32", "i"),
    ("uint32", "u"),
    ("int64", "x"),
    ("uint64", "t"),
    ("string", "s"),
];

const NOT_A_VALUE: &str = "this is no value in the text format of GVariant";

/// The value that `text` is.
pub(super) fn parse(text: &str) -> Result<Value, &'static str> {
    let mut parser = Parser { rest: text };
    let value = parser.value(None, DEPTH)?;
    if !parser.rest.trim_start().is_empty() {
        return Err(NOT_A_VALUE);
    }
    // An empty array has the signature that was given for it, whatever that is.
    let signature = value.signature();
    match signature.len() <= LONGEST && one_type(signature.as_bytes(), 2 * DEPTH) == Some(&[]) {
        true => Ok(value),
        false => Err("its type is none that a property can have"),
    }
}

/// What is left of a signature after its first complete type ("Type System" of the D-Bus specification).
fn one_type(signature: &[u8], depth: usize) -> Option<&[u8]> {
    let depth = depth.checked_sub(1)?;
    match signature.split_first()? {
        (b'b' | b'y' | b'i' | b'u' | b'x' | b't' | b's', rest) => Some(rest),
        (b'a', rest) => one_type(rest, depth),
        (b'(', members) => {
            let mut rest = one_type(members, depth)?;
            while rest.first() != Some(&b')') {
                rest = one_type(rest, depth)?;
            }
            rest.get(1..)
        }
        _ => None,
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    /// A value, of the type with the signature `wanted` where that is known.
    fn value(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value, &'static str> {
        let depth = depth.checked_sub(1).ok_or(NOT_A_VALUE)?;
        self.rest = self.rest.trim_start();
        match self.rest.chars().next().ok_or(NOT_A_VALUE)? {
            '\'' | '"' => self.quoted().map(Value::Str),
            '[' => self.array(wanted.and_then(|wanted| wanted.strip_prefix('a')), depth),
            '(' => self.tuple(depth),
            '@' => {
                self.rest = &self.rest[1..];
                let signature = self.word();
                self.value(Some(signature), depth)
            }
            _ => {
                let word = self.word();
                match TYPES.iter().find(|(name, _)| *name == word) {
                    Some((_, letter)) => self.value(Some(letter), depth),
                    None => plain(word, wanted.unwrap_or("i")),
                }
            }
        }
    }

    /// Up to the next mark or space.
    fn word(&mut self) -> &'a str {
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || "[],'\"".contains(c))
            .unwrap_or(self.rest.len());
        let end = match self.rest.starts_with('(') {
            true => end,
            false => end.min(self.rest.find(')').unwrap_or(end)),
        };
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn take(&mut self, mark: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn quoted(&mut self) -> Result<String, &'static str> {
        let mut characters = self.rest.chars();
        let quote = characters.next().ok_or(NOT_A_VALUE)?;
        let mut text = String::new();
        loop {
            match characters.next().ok_or(NOT_A_VALUE)? {
                c if c == quote => break,
                '\\' => match characters.next().ok_or(NOT_A_VALUE)? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    c @ ('\\' | '\'' | '"') => text.push(c),
                    _ => {
                        return Err(
                            "of the escapes of GVariant only \\n \\t \\\\ \\' \\\" are known",
                        );
                    }
                },
                '\0' => return Err(NOT_A_VALUE),
                c => text.push(c),
            }
        }
        self.rest = characters.as_str();
        Ok(text)
    }

    /// All elements are of the type of the first.
    fn array(&mut self, of: Option<&str>, depth: usize) -> Result<Value, &'static str> {
        self.take('[');
        let mut of = of.map(str::to_owned);
        let mut items = Vec::new();
        while !self.take(']') {
            if !items.is_empty() && !self.take(',') {
                return Err(NOT_A_VALUE);
            }
            let item = self.value(of.as_deref(), depth)?;
            let signature = item.signature();
            match &of {
                Some(of) if *of != signature => {
                    return Err("the elements of an array are of one type");
                }
                _ => of = Some(signature),
            }
            items.push(item);
        }
        let of = of.ok_or("the type of an empty array has to be said, as in @as []")?;
        Ok(Value::Array(of, items))
    }

    fn tuple(&mut self, depth: usize) -> Result<Value, &'static str> {
        self.take('(');
        let mut members = Vec::new();
        while !self.take(')') {
            if !members.is_empty() && !self.take(',') {
                return Err(NOT_A_VALUE);
            }
            members.push(self.value(None, depth)?);
        }
        match members.is_empty() {
            true => Err(NOT_A_VALUE),
            false => Ok(Value::Struct(members)),
        }
    }
}

/// A truth or a number.
fn plain(word: &str, signature: &str) -> Result<Value, &'static str> {
    match word {
        "true" => return Ok(Value::Bool(true)),
        "false" => return Ok(Value::Bool(false)),
        _ => {}
    }
    let number = match word.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16),
        None => word.parse(),
    };
    let number: i128 = number.map_err(|_| NOT_A_VALUE)?;
    let value = match signature {
        "y" => number.try_into().map(Value::Byte),
        "i" => number.try_into().map(Value::I32),
        "u" => number.try_into().map(Value::U32),
        "x" => number.try_into().map(Value::I64),
        "t" => number.try_into().map(Value::U64),
        _ => return Err(NOT_A_VALUE),
    };
    value.map_err(|_| "the number is out of the range of its type")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_have_types() {
        let bytes = |bytes: &[u8]| {
            Value::Array(
                "y".to_owned(),
                bytes.iter().copied().map(Value::Byte).collect(),
            )
        };
        let cases = [
            ("5", Value::I32(5)),
            (" -5 ", Value::I32(-5)),
            ("uint64 123456789012", Value::U64(123_456_789_012)),
            ("uint32 0x10", Value::U32(16)),
            ("@t 5", Value::U64(5)),
            ("int64 -1", Value::I64(-1)),
            ("byte 255", Value::Byte(255)),
            ("true", Value::Bool(true)),
            ("boolean false", Value::Bool(false)),
            ("'it\\'s'", Value::text("it's")),
            ("\"a b\"", Value::text("a b")),
            ("['a', 'b']", Value::texts(["a", "b"])),
            ("@as []", Value::texts::<String>([])),
            ("@ay [1,2]", bytes(&[1, 2])),
            ("[byte 1, 2]", bytes(&[1, 2])),
            (
                "[('/dev/null', 'rw')]",
                Value::Array(
                    "(ss)".to_owned(),
                    vec![Value::Struct(vec![
                        Value::text("/dev/null"),
                        Value::text("rw"),
                    ])],
                ),
            ),
        ];
        for (text, value) in cases {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
        for text in [
            "",
            "x",
            "5 6",
            "'a",
            "[1",
            "[]",
            "[1, 'a']",
            "byte 256",
            "uint64 -1",
            "()",
            "(1",
            "@q 5",
            "'\\u00e9'",
            "[[[[[[[[[[1]]]]]]]]]]",
            "1.5",
            "@aq []",
            "@a []",
            "@a(s []",
            "@a() []",
            "@ass []",
            "@as\0 []",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let members = |count: usize| format!("({})", vec!["1"; count].join(","));
        assert!(parse(&members(253)).is_ok());
        assert!(parse(&members(254)).is_err());
        let arrays = |count: usize| format!("@{}s []", "a".repeat(count));
        assert!(parse(&arrays(3)).is_ok());
        assert!(parse(&arrays(300)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_value_or_none(text in "[ -~]{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_text_of_marks_too(text in "[\\[\\](),'\"@ast 0-9]{0,30}") {
            let _ = parse(&text);
        }
    }
}
