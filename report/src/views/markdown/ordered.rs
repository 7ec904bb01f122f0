//! What serializes, as a tree that keeps its fields in their order.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value of a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Not known, or does not apply.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number of 0 or more.
    Whole(u64),
    /// Any other number.
    Number(f64),
    /// A text.
    Text(String),
    /// Values of one kind.
    List(Vec<Value>),
    /// Named values.
    Fields(Vec<(String, Value)>),
}

impl Value {
    /// The tree of what serializes as JSON.
    pub(super) fn of(value: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::from_slice(&serde_json::to_vec(value)?)
    }

    /// The value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        let found = self.fields().iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value).filter(|value| **value != Value::Null)
    }

    /// Its fields; none of what has none.
    pub(super) fn fields(&self) -> &[(String, Value)] {
        if let Value::Fields(fields) = self { fields } else { &[] }
    }

    /// Its elements; none of what is no list.
    pub(super) fn list(&self) -> &[Value] {
        if let Value::List(list) = self { list } else { &[] }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is one of 0 or more.
    pub(super) fn whole(&self) -> Option<u64> {
        if let Value::Whole(number) = self { Some(*number) } else { None }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// Takes whatever comes.
struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Value::Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stay_in_their_order() {
        #[derive(Serialize)]
        struct Page {
            z: u64,
            a: Vec<Option<f64>>,
            m: &'static str,
        }
        let value = Value::of(&Page { z: 7, a: vec![Some(-0.5), None], m: "x" }).unwrap();
        let names: Vec<&str> = value.fields().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["z", "a", "m"]);
        assert_eq!(value.get("z").and_then(Value::whole), Some(7));
        assert_eq!(value.get("a").unwrap().list(), [Value::Number(-0.5), Value::Null]);
        assert_eq!(value.get("m").and_then(Value::text), Some("x"));
        assert_eq!(value.get("none"), None);
    }
}
