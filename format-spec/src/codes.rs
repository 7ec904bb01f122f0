//! Enumerations that are numbers in the file.

/// Writes the two directions between an enumeration and its numbers. A number
/// that is not listed is `Unknown`, and `Unknown` is the largest number.
macro_rules! coded {
    ($name:ident: $number:ty, $($code:literal => $variant:ident,)*) => {
        impl From<$number> for $name {
            fn from(code: $number) -> Self {
                match code {
                    $($code => $name::$variant,)*
                    _ => $name::Unknown,
                }
            }
        }

        impl From<$name> for $number {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => $code,)*
                    $name::Unknown => <$number>::MAX,
                }
            }
        }
    };
}

pub(crate) use coded;
