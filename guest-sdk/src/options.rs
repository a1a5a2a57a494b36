//! Options: from the JSON that the host made of the YAML to an author's type, with sentences an
//! operator can act on.

use std::fmt;

use serde::Deserialize;
use serde::de::value::StringDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use crate::error::Error;

/// The options of a plugin that takes none.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct NoOptions {}

/// A text that may have been written as a number or a boolean: YAML makes `200: OK` a number and
/// nobody quotes it.
///
/// ```
/// use exporter_guest_sdk::options::Text;
///
/// let texts: Vec<Text> = serde_json::from_str(r#"["a", 1, -2, true]"#).unwrap();
/// assert_eq!(texts.iter().map(Text::as_str).collect::<Vec<_>>(), ["a", "1", "-2", "true"]);
/// ```
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(String);

/// Reads `json` as the options of `what`. `schema` only serves to name the known options in an
/// error.
pub(crate) fn parse<T: DeserializeOwned>(what: &str, schema: &str, json: &str) -> Result<T, Error> {
    read(what, schema, parse_object(what, json)?)
}

/// The options as an object; nothing and null are no options.
pub(crate) fn parse_object(what: &str, json: &str) -> Result<Map<String, Value>, Error> {
    if json.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(json) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(Error::new(format!(
            "the options of {what} must be a mapping"
        ))),
        Err(error) => Err(Error::new(format!(
            "the options of {what} are not JSON: {error}"
        ))),
    }
}

pub(crate) fn read<T: DeserializeOwned>(
    what: &str,
    schema: &str,
    object: Map<String, Value>,
) -> Result<T, Error> {
    let mut unknown = Vec::new();
    let mut failed = None;
    let fields = Fields {
        fields: object.into_iter(),
        current: None,
        unknown: &mut unknown,
        failed: &mut failed,
    };
    let options = T::deserialize(fields);
    if let Some(name) = unknown
        .iter()
        .find(|name| !ANYWHERE.contains(&name.as_str()))
    {
        return Err(Error::new(unknown_option(what, schema, name)));
    }
    options.map_err(|error| {
        Error::new(match failed {
            Some(name) => format!("option `{name}` of {what}: {error}"),
            None => format!("the options of {what}: {error}"),
        })
    })
}

/// ebpf_exporter's YAML lets every decoder carry these, and configs do: a decoder that has no use
/// for them ignores them.
const ANYWHERE: [&str; 3] = ["static_map", "regexps", "allow_unknown"];

fn unknown_option(what: &str, schema: &str, name: &str) -> String {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let known = schema.get("properties").and_then(Value::as_object);
    match known.filter(|known| !known.is_empty()) {
        None => format!("{what} takes no options, found `{name}`"),
        Some(known) => {
            let known: Vec<&str> = known.keys().map(String::as_str).collect();
            format!(
                "{what} has no option `{name}`: expected one of {}",
                known.join(", ")
            )
        }
    }
}

/// An object that notes which of its fields the type asked to ignore and which one failed.
struct Fields<'a> {
    fields: serde_json::map::IntoIter,
    current: Option<(String, Value)>,
    unknown: &'a mut Vec<String>,
    failed: &'a mut Option<String>,
}

/// One field's value.
struct Field<'a> {
    name: &'a str,
    value: Value,
    unknown: &'a mut Vec<String>,
}

// === impl Fields ===

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_map(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        self.current = self.fields.next();
        let Some((name, _)) = &self.current else {
            return Ok(None);
        };
        seed.deserialize(StringDeserializer::new(name.clone()))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Self::Error> {
        let (name, value) = self.current.take().unwrap_or_default();
        let result = seed.deserialize(Field {
            name: &name,
            value,
            unknown: &mut *self.unknown,
        });
        if result.is_err() {
            *self.failed = Some(name);
        }
        result
    }
}

// === impl Field ===

impl<'de> Deserializer<'de> for Field<'_> {
    type Error = serde_json::Error;

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.unknown.push(self.name.to_owned());
        visitor.visit_unit()
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.value.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.value.deserialize_option(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.value.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.value.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

// === impl Text ===

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;

        impl Visitor<'_> for Scalar {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Text, E> {
                Ok(Text(text))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
        }

        deserializer.deserialize_any(Scalar)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Side {
        Left,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Options {
        #[serde(default)]
        side: Option<Side>,
        #[serde(default)]
        sizes: BTreeMap<String, u8>,
        #[serde(default)]
        scale: f64,
    }

    const SCHEMA: &str = r#"{"properties": {"side": {}, "sizes": {}, "scale": {}}}"#;

    fn error(json: &str) -> String {
        parse::<Options>("demo", SCHEMA, json)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn options_are_read_whole() {
        let options: Options = parse(
            "demo",
            SCHEMA,
            r#"{"side": "left", "sizes": {"a": 1}, "scale": 2}"#,
        )
        .unwrap();
        assert_eq!(options.side, Some(Side::Left));
        assert_eq!((options.sizes["a"], options.scale), (1, 2.0));
        for nothing in ["", " ", "{}", "null"] {
            assert_eq!(parse::<NoOptions>("demo", "", nothing), Ok(NoOptions {}));
        }
    }

    #[test]
    fn errors_name_the_option() {
        assert_eq!(
            error(r#"{"syde": 1}"#),
            "demo has no option `syde`: expected one of scale, side, sizes"
        );
        assert_eq!(
            error(r#"{"side": "right"}"#),
            "option `side` of demo: unknown variant `right`, expected `left`"
        );
        assert_eq!(
            error(r#"{"sizes": {"a": "b"}}"#),
            "option `sizes` of demo: invalid type: string \"b\", expected u8"
        );
        assert_eq!(error("[]"), "the options of demo must be a mapping");
        assert!(error("{").starts_with("the options of demo are not JSON"));
        let none = parse::<NoOptions>("demo", "", r#"{"x": 1}"#).unwrap_err();
        assert_eq!(none.to_string(), "demo takes no options, found `x`");
    }

    #[test]
    fn a_number_is_no_text_unless_the_type_says_so() {
        #[derive(Debug, Deserialize)]
        struct Strict {
            #[serde(rename = "text")]
            _text: String,
        }
        let error = parse::<Strict>("demo", "", r#"{"text": 1}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "option `text` of demo: invalid type: integer `1`, expected a string"
        );
        assert!(serde_json::from_str::<Text>("null").is_err());
    }
}
