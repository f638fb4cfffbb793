//! Writes JSON: what dinit's tools print for programs.
//!
//! A [`Value`] is built and displayed; keys keep the order in which they are given, so that the same data is the
//! same text. Nothing is read here.
//!
//! ```
//! use dinit_json::{Value, object};
//!
//! let value = object([("name", Value::from("boot")), ("pid", Value::Null)]);
//! assert_eq!(value.to_string(), r#"{"name":"boot","pid":null}"#);
//! ```

#![no_std]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
    /// Values in an order.
    List(Vec<Value>),
    /// Values with names, in an order.
    Object(Vec<(&'static str, Value)>),
}

/// Makes an object.
pub fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Object(fields.into_iter().collect())
}

/// Makes a list.
pub fn list<T: Into<Value>>(values: impl IntoIterator<Item = T>) -> Value {
    Value::List(values.into_iter().map(Into::into).collect())
}

impl Value {
    /// Makes a text of bytes, with U+FFFD in place of what is not UTF-8.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::Text(String::from_utf8_lossy(bytes).into_owned())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => out.write_str("null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Number(number) => write!(out, "{number}"),
            Self::Text(text) => quote(text, out),
            Self::List(values) => {
                out.write_char('[')?;
                for (index, value) in values.iter().enumerate() {
                    separate(index, out)?;
                    write!(out, "{value}")?;
                }
                out.write_char(']')
            }
            Self::Object(fields) => {
                out.write_char('{')?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    separate(index, out)?;
                    quote(name, out)?;
                    write!(out, ":{value}")?;
                }
                out.write_char('}')
            }
        }
    }
}

fn separate(index: usize, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    if index == 0 { Ok(()) } else { out.write_char(',') }
}

fn quote(text: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    out.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            control if control.is_control() => write!(out, "\\u{:04x}", u32::from(control))?,
            other => out.write_char(other)?,
        }
    }
    out.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_written() {
        let value = object([
            ("null", Value::from(None::<bool>)),
            ("yes", true.into()),
            ("number", Value::from(-5)),
            ("list", list(["a", "b"])),
            ("empty", Value::List(Vec::new())),
            ("object", object([])),
        ]);
        let text = r#"{"null":null,"yes":true,"number":-5,"list":["a","b"],"empty":[],"object":{}}"#;
        assert_eq!(alloc::format!("{value}"), text);
    }

    #[test]
    fn what_would_end_or_break_a_text_is_escaped() {
        let text = Value::from("a\"b\\c\nd\te\u{7f}\u{85}é");
        assert_eq!(alloc::format!("{text}"), r#""a\"b\\c\nd\u0009e\u007f\u0085é""#);
        assert_eq!(alloc::format!("{}", Value::bytes(b"a\xff")), "\"a\u{fffd}\"");
    }
}
