//! The properties of `config.json` as the types of this module have them, asked of the types themselves: a deserializer
//! that offers every struct all the fields it names, and keeps their places. No list beside the types can fall behind.

use std::fmt;

use serde::de::{
    self, Deserialize, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor, value,
};

use super::Spec;
use crate::pointer::{Part, push};

/// Every property that is read, as a JSON pointer with `*` for any index and any key: `/mounts/*/source`. In the order
/// of the types.
pub fn properties() -> Vec<String> {
    let mut found = Vec::new();
    let place = Place {
        at: String::new(),
        found: &mut found,
    };
    // It fails only where a type refuses every text or the number 0, which no property does; a test sees them all.
    let _ = Spec::deserialize(place);
    found
}

/// A value that is whatever is asked for, and where it is.
struct Place<'f> {
    at: String,
    found: &'f mut Vec<String>,
}

impl Place<'_> {
    fn below(&mut self, name: &str) -> Place<'_> {
        let mut at = self.at.clone();
        push(&mut at, Part::Name(name));
        Place {
            at,
            found: self.found,
        }
    }
}

/// What no visitor of these types says.
#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a type takes no example of its kind")
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Refused
    }
}

impl<'de> Deserializer<'de> for Place<'_> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_str("")
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_bool(false)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_u64(0)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_u64(0)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_u64(0)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_u64(0)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_u64(0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_seq(Members::new(self, &["*"]))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_map(Members::new(self, &["*"]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        for field in fields {
            let at = self.below(field).at;
            self.found.push(at);
        }
        visitor.visit_map(Members::new(self, fields))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u8 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
        ignored_any
    }
}

/// The members of an object or list, by name.
struct Members<'f> {
    place: Place<'f>,
    names: std::slice::Iter<'static, &'static str>,
    next: &'static str,
}

impl<'f> Members<'f> {
    fn new(place: Place<'f>, names: &'static [&'static str]) -> Self {
        Members {
            place,
            names: names.iter(),
            next: "",
        }
    }
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Refused;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refused> {
        let Some(name) = self.names.next() else {
            return Ok(None);
        };
        self.next = name;
        let name: value::StrDeserializer<'_, Refused> = (*name).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<W: de::DeserializeSeed<'de>>(
        &mut self,
        seed: W,
    ) -> Result<W::Value, Refused> {
        seed.deserialize(self.place.below(self.next))
    }
}

impl<'de> SeqAccess<'de> for Members<'_> {
    type Error = Refused;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refused> {
        match self.names.next() {
            Some(name) => seed.deserialize(self.place.below(name)).map(Some),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is left out because a type refused what it was offered.
    #[test]
    fn the_types_take_what_they_are_offered() {
        let mut found = Vec::new();
        let place = Place {
            at: String::new(),
            found: &mut found,
        };
        assert!(Spec::deserialize(place).is_ok());
    }

    #[test]
    fn properties_of_every_depth_and_kind_of_type_are_there() {
        let all = properties();
        for property in [
            "/ociVersion",
            "/process/execCPUAffinity/final",
            "/process/rlimits/*/hard",
            "/mounts/*/uidMappings/*/containerID",
            "/hooks/poststop/*/timeout",
            "/annotations",
            "/linux/netDevices/*/name",
            "/linux/resources/blockIO/throttleReadIOPSDevice/*/rate",
            "/linux/resources/rdma/*/hcaHandles",
            "/linux/seccomp/syscalls/*/args/*/valueTwo",
            "/linux/timeOffsets/*/nanosecs",
        ] {
            assert!(all.iter().any(|found| found == property), "{property}");
        }
    }
}
