//! Text of `config.json`, borrowed from the bytes of the file wherever JSON allows it: only text with an escape in it
//! is copied. `Cow` alone borrows when it stands directly in a field; [`Str`] does inside lists, options and maps too.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// A string of the specification. The empty string and `null` mean absent, as they do to the programs that write
/// these files.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str<'a>(Cow<'a, str>);

impl<'a> Str<'a> {
    /// A string that points into text that lives elsewhere.
    pub const fn borrowed(text: &'a str) -> Self {
        Str(Cow::Borrowed(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the text is a part of the parsed document rather than a copy.
    pub fn is_borrowed(&self) -> bool {
        matches!(self.0, Cow::Borrowed(_))
    }

    /// The same text, owned.
    pub fn into_owned(self) -> Str<'static> {
        Str(Cow::Owned(self.0.into_owned()))
    }
}

impl Deref for Str<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Str<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Str<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Str<'a> {
    fn from(text: &'a str) -> Self {
        Str::borrowed(text)
    }
}

impl From<String> for Str<'_> {
    fn from(text: String) -> Self {
        Str(Cow::Owned(text))
    }
}

impl PartialEq<str> for Str<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Str<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for Str<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrVisitor)
    }
}

struct StrVisitor;

impl<'de> Visitor<'de> for StrVisitor {
    type Value = Str<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Str<'de>, E> {
        Ok(Str(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Str<'de>, E> {
        Ok(Str(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Str<'de>, E> {
        Ok(Str(Cow::Owned(text)))
    }

    fn visit_unit<E: Error>(self) -> Result<Str<'de>, E> {
        Ok(Str::default())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn text_without_escapes_is_borrowed_everywhere() {
        type All<'a> = (
            Str<'a>,
            Vec<Str<'a>>,
            Option<Str<'a>>,
            BTreeMap<Str<'a>, Str<'a>>,
        );
        let json = String::from(r#"["a", ["b"], "c", {"k": "v"}]"#);
        let (one, list, option, map): All = serde_json::from_str(&json).unwrap();
        let all: Vec<&Str> = [&one]
            .into_iter()
            .chain(&list)
            .chain(&option)
            .chain(map.keys())
            .chain(map.values())
            .collect();
        assert_eq!(
            all,
            [
                &"a".into(),
                &"b".into(),
                &"c".into(),
                &"k".into(),
                &Str::from("v")
            ]
        );
        assert!(all.iter().all(|text| text.is_borrowed()));
    }

    #[test]
    fn text_with_escapes_is_decoded_and_owned() {
        let text: Str = serde_json::from_str(r#""tab\there""#).unwrap();
        assert_eq!(text, "tab\there");
        assert!(!text.is_borrowed());
    }

    #[test]
    fn null_is_the_empty_string_and_a_number_is_refused() {
        assert_eq!(serde_json::from_str::<Str>("null").unwrap(), "");
        let error = serde_json::from_str::<Str>("7").unwrap_err().to_string();
        assert!(error.contains("expected a string"), "{error}");
    }
}
