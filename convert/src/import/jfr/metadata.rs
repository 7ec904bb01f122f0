//! What events and values are made of, as each chunk says itself.
//!
//! ```text
//! class "jdk.types.StackFrame" 191
//!   field "method"      of class 192, by number (a pool has them)
//!   field "lineNumber"  of class "int"
//! ```

use rustc_hash::FxHashMap;

use super::super::ImportError;
use super::bytes::{Bytes, Text};
use super::damaged;

/// Elements within each other, at most.
const MAX_DEPTH: usize = 16;

/// Texts of the metadata, at most.
const MAX_TEXTS: u64 = 1 << 20;

/// A field of a class.
#[derive(Debug, Clone, Default)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) class: u64,
    /// It is the number of a value.
    pub(super) is_pooled: bool,
    /// There are a count, and so many of it.
    pub(super) is_list: bool,
}

#[derive(Debug, Default)]
pub(super) struct Class {
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
}

/// A value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'c> {
    Number(u64),
    Text(Text<'c>),
    /// A list or an object, which is gone over where it is.
    Other,
}

/// The classes of a chunk.
#[derive(Debug, Default)]
pub(super) struct Classes {
    classes: FxHashMap<u64, Class>,
}

impl Classes {
    pub(super) fn read(mut bytes: Bytes) -> Result<Self, ImportError> {
        // When it was written, how long that took, and its number.
        for _ in 0..3 {
            bytes.number()?;
        }
        let count = bytes.count()?;
        if count > MAX_TEXTS {
            return Err(ImportError::TooMany("texts in its metadata"));
        }
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(bytes.text()?.here().unwrap_or_default());
        }
        let mut classes = Classes::default();
        classes.read_element(&mut bytes, &texts, None, 0)?;
        Ok(classes)
    }

    /// An element: its name, attributes, and the elements in it.
    fn read_element(
        &mut self,
        bytes: &mut Bytes,
        texts: &[String],
        class: Option<u64>,
        depth: usize,
    ) -> Result<(), ImportError> {
        if depth > MAX_DEPTH {
            return Err(damaged("its metadata has too many elements in each other"));
        }
        let text =
            |id: u64| usize::try_from(id).ok().and_then(|id| texts.get(id)).map_or("", |t| t);
        let element = text(bytes.number()?);
        let mut attributes = FxHashMap::default();
        for _ in 0..bytes.count()? {
            let (key, value) = (text(bytes.number()?), text(bytes.number()?));
            attributes.insert(key, value);
        }
        let attribute = |key| attributes.get(key).copied().unwrap_or_default();
        let mut inner = class;
        match element {
            "class" => {
                let id = attribute("id").parse().map_err(|_| damaged("a class has no number"))?;
                let name = attribute("name").to_owned();
                self.classes.insert(id, Class { name, fields: Vec::new() });
                inner = Some(id);
            }
            "field" => {
                let class = class.and_then(|class| self.classes.get_mut(&class));
                let id = attribute("class").parse();
                let id = id.map_err(|_| damaged("a field has no class"))?;
                class.ok_or_else(|| damaged("a field of no class"))?.fields.push(Field {
                    name: attribute("name").to_owned(),
                    class: id,
                    is_pooled: attribute("constantPool") == "true",
                    is_list: attribute("dimension") == "1",
                });
            }
            _ => {}
        }
        for _ in 0..bytes.count()? {
            self.read_element(bytes, texts, inner, depth + 1)?;
        }
        Ok(())
    }

    pub(super) fn name(&self, class: u64) -> &str {
        self.classes.get(&class).map_or("", |class| &class.name)
    }

    /// The fields of an object or event, each with its value and the bytes from there on.
    pub(super) fn fields<'c, 's>(
        &'s self,
        class: u64,
        bytes: &mut Bytes<'c>,
        mut take: impl FnMut(&'s Field, Value<'c>, Bytes<'c>) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let class = self.classes.get(&class).ok_or_else(|| damaged("a class is not described"))?;
        for field in &class.fields {
            let before = *bytes;
            let value = self.value(field, bytes, 0)?;
            take(field, value, before)?;
        }
        Ok(())
    }

    fn value<'c>(
        &self,
        field: &Field,
        bytes: &mut Bytes<'c>,
        depth: usize,
    ) -> Result<Value<'c>, ImportError> {
        if !field.is_list {
            return self.one(field, bytes, depth);
        }
        for _ in 0..bytes.count()? {
            self.one(field, bytes, depth + 1)?;
        }
        Ok(Value::Other)
    }

    fn one<'c>(
        &self,
        field: &Field,
        bytes: &mut Bytes<'c>,
        depth: usize,
    ) -> Result<Value<'c>, ImportError> {
        if field.is_pooled {
            return Ok(Value::Number(bytes.number()?));
        }
        if depth > MAX_DEPTH {
            return Err(damaged("a class has itself in it"));
        }
        let class = self.classes.get(&field.class);
        let class = class.ok_or_else(|| damaged("a class is not described"))?;
        Ok(match &class.name[..] {
            "boolean" | "byte" => Value::Number(bytes.byte()?.into()),
            "char" | "short" | "int" | "long" => Value::Number(bytes.number()?),
            "float" => {
                bytes.take(4)?;
                Value::Other
            }
            "double" => {
                bytes.take(8)?;
                Value::Other
            }
            "java.lang.String" => Value::Text(bytes.text()?),
            _ => {
                let before = bytes.0.len();
                for field in &class.fields {
                    self.value(field, bytes, depth + 1)?;
                }
                // Objects without bytes would be gone over for ever.
                if depth > 0 && bytes.0.len() == before {
                    return Err(damaged("a field has no content"));
                }
                Value::Other
            }
        })
    }

    /// Goes over an object of a class that nothing is asked of.
    pub(super) fn skip(&self, class: u64, bytes: &mut Bytes) -> Result<(), ImportError> {
        self.one(&Field { class, ..Field::default() }, bytes, 0).map(|_| ())
    }
}
