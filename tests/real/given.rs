//! A value of a field as it was given to the record, and whether what came back is that value.

use base64::Engine as _;
use logchute::Record;
use serde_json::Value;

#[derive(Clone, Debug)]
pub(crate) enum Given {
    Bool(bool),
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    F64(f64),
    Text(String),
    Bytes(Vec<u8>),
    Json(Value),
}

impl Given {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(crate) fn add_to(&self, record: Record, key: &'static str) -> Record {
        match self {
            Self::Bool(value) => record.field(key, *value),
            Self::I64(value) => record.field(key, *value),
            Self::U64(value) => record.field(key, *value),
            Self::I128(value) => record.field(key, *value),
            Self::U128(value) => record.field(key, *value),
            Self::F64(value) => record.field(key, *value),
            Self::Text(value) => record.field(key, value.clone()),
            Self::Bytes(value) => record.field(key, value.as_slice()),
            Self::Json(value) => record.field(key, logchute::json(value)),
        }
    }

    /// A part of a nested value; what is no object stays JSON.
    pub(crate) fn of_json(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.clone()),
            other => Self::Json(other.clone()),
        }
    }

    /// Whether this JSON is that value: of the same type, integers with all their digits, floating-point numbers to the
    /// last bit. Bytes are base64, numbers that JSON does not have are texts.
    pub(crate) fn is(&self, found: &Value) -> bool {
        match (self, found) {
            (Self::Bool(value), Value::Bool(found)) => value == found,
            (Self::I64(_) | Self::U64(_), Value::Number(found)) => self.is_text(&found.to_string()),
            (Self::F64(value), Value::Number(found)) => {
                found.as_f64().is_some_and(|found| found.to_bits() == value.to_bits())
            }
            (Self::F64(value), Value::String(found)) => !value.is_finite() && self.is_text(found),
            (Self::I128(value), _) => match i64::try_from(*value) {
                Ok(value) => Self::I64(value).is(found),
                Err(_) => self.is_digits(found),
            },
            (Self::U128(value), _) => match u64::try_from(*value) {
                Ok(value) => Self::U64(value).is(found),
                Err(_) => self.is_digits(found),
            },
            (Self::Text(_) | Self::Bytes(_), Value::String(found)) => self.is_text(found),
            (Self::Json(value), _) => value == found,
            _ => false,
        }
    }

    /// An integer that fits no type of JSON readers in general: its digits, whatever stands around them.
    fn is_digits(&self, found: &Value) -> bool {
        match found {
            Value::String(digits) => self.is_text(digits),
            // `serde_json` makes it a floating-point number.
            Value::Number(number) => match self {
                Self::I128(value) => number.as_f64() == Some(*value as f64),
                Self::U128(value) => number.as_f64() == Some(*value as f64),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether this text is that value: numbers with all their digits, floating-point numbers to the last bit.
    pub(crate) fn is_text(&self, found: &str) -> bool {
        match self {
            Self::Bool(value) => found == value.to_string(),
            Self::I64(value) => found == value.to_string(),
            Self::U64(value) => found == value.to_string(),
            Self::I128(value) => found == value.to_string(),
            Self::U128(value) => found == value.to_string(),
            Self::F64(value) if value.is_nan() => found == "NaN",
            Self::F64(value) => found.parse::<f64>().is_ok_and(|found| found.to_bits() == value.to_bits()),
            Self::Text(value) => found == value,
            Self::Bytes(value) => found == base64::engine::general_purpose::STANDARD.encode(value),
            Self::Json(value) => serde_json::from_str::<Value>(found).is_ok_and(|found| found == *value),
        }
    }
}

#[test]
fn a_value_is_told_from_all_that_look_like_it() {
    use serde_json::json;
    assert!(Given::U64(u64::MAX).is(&json!(u64::MAX)) && !Given::U64(u64::MAX).is(&json!(u64::MAX - 1)));
    assert!(Given::I64(1).is(&json!(1)) && !Given::I64(1).is(&json!("1")) && !Given::I64(1).is(&json!(1.0)));
    assert!(Given::F64(-0.0).is(&json!(-0.0)) && !Given::F64(-0.0).is(&json!(0.0)));
    assert!(Given::F64(f64::NAN).is(&json!("NaN")) && !Given::F64(1.5).is(&json!("1.5")));
    assert!(Given::I128(i128::MIN).is(&json!(i128::MIN.to_string())) && !Given::I128(i128::MIN).is(&json!(1)));
    assert!(Given::text("1").is(&json!("1")) && !Given::text("1").is(&json!(1)) && !Given::text("").is(&json!(null)));
    assert!(Given::Bytes(vec![255]).is(&json!("/w==")));
    assert!(Given::Bool(true).is(&json!(true)) && !Given::Bool(true).is(&json!("true")));
    assert!(Given::F64(3.0).is_text("3") && !Given::F64(0.1).is_text("0.10000000000000002"));
}
