//! Values that events refer to by number: each is read when it is asked for.

use rustc_hash::FxHashMap;

use super::super::ImportError;
use super::bytes::{Bytes, Text};
use super::metadata::{Classes, Field, Value};

/// Values of a chunk, at most.
const MAX_VALUES: usize = 1 << 21;

const STRING: &str = "java.lang.String";
/// Classes of which values are asked for.
const WANTED: [&str; 7] = [
    STRING,
    "java.lang.Class",
    "java.lang.Thread",
    "jdk.types.Method",
    "jdk.types.StackTrace",
    "jdk.types.Symbol",
    "jdk.types.ThreadState",
];

/// Where values are, by class and number.
#[derive(Debug, Default)]
pub(super) struct Pools<'c> {
    values: FxHashMap<(u64, u64), Bytes<'c>>,
    /// The class of texts.
    strings: u64,
}

impl<'c> Pools<'c> {
    /// Adds the values of a checkpoint.
    pub(super) fn read(
        &mut self,
        mut bytes: Bytes<'c>,
        classes: &Classes,
    ) -> Result<(), ImportError> {
        // When it was written, how long that took, and where the one before is.
        for _ in 0..3 {
            bytes.number()?;
        }
        let _kind = bytes.byte()?;
        for _ in 0..bytes.count()? {
            let class = bytes.number()?;
            let name = classes.name(class);
            let is_wanted = WANTED.contains(&name);
            if name == STRING {
                self.strings = class;
            }
            for _ in 0..bytes.count()? {
                let number = bytes.number()?;
                if is_wanted {
                    self.values.insert((class, number), bytes);
                    if self.values.len() > MAX_VALUES {
                        return Err(ImportError::TooMany("values in a chunk"));
                    }
                }
                classes.skip(class, &mut bytes)?;
            }
        }
        Ok(())
    }

    /// Where a value is.
    pub(super) fn value(&self, class: u64, number: u64) -> Option<Bytes<'c>> {
        self.values.get(&(class, number)).copied()
    }

    /// What a field says that is a text, or an object with a text of its own, as symbols are.
    pub(super) fn text(
        &self,
        field: &Field,
        value: Value<'c>,
        classes: &Classes,
    ) -> Result<String, ImportError> {
        let mut found = match value {
            Value::Text(text) => Some(text),
            Value::Number(number) => match self.value(field.class, number) {
                Some(mut bytes) if classes.name(field.class) == STRING => Some(bytes.text()?),
                Some(mut bytes) => {
                    let mut inner = None;
                    classes.fields(field.class, &mut bytes, |_, value, _| {
                        if let Value::Text(text) = value {
                            inner.get_or_insert(text);
                        }
                        Ok(())
                    })?;
                    inner
                }
                None => None,
            },
            Value::Other => None,
        };
        if let Some(Text::Pooled(number)) = found {
            found = self.value(self.strings, number).and_then(|mut bytes| bytes.text().ok());
        }
        Ok(found.and_then(Text::here).unwrap_or_default())
    }
}
