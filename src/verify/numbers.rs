//! Compares two versions of an output number by number.

use std::collections::BTreeMap;

use base::table::{Table, Values};
use base::work::{OutputFormat, Tolerance};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// The number with the largest relative deviation. Numbers beyond their tolerance come first.
#[derive(Debug, Default)]
pub struct Farthest {
    /// Whether it is beyond its tolerance.
    pub is_beyond: bool,
    /// The deviation as a share of the larger of both.
    share: f64,
    /// Where it is, with the recorded and the new value; empty if all numbers are equal.
    pub words: String,
}

impl Farthest {
    /// Takes one more pair of numbers into account; `place` describes where it is.
    fn see(&mut self, tolerance: Tolerance, [old, new]: [f64; 2], place: impl FnOnce() -> String) {
        if old.to_bits() == new.to_bits() {
            return;
        }
        let is_beyond = !tolerance.holds(old, new);
        let share = (old - new).abs() / old.abs().max(new.abs());
        if self.words.is_empty() || (is_beyond, share) > (self.is_beyond, self.share) {
            *self = Self { is_beyond, share, words: format!("{}: {old} recorded, {new} now", place()) };
        }
    }

    /// Keeps the farther one of both.
    pub fn or(self, other: Self) -> Self {
        let is_farther = (other.is_beyond, other.share) > (self.is_beyond, self.share);
        if self.words.is_empty() || (is_farther && !other.words.is_empty()) { other } else { self }
    }

    /// Compares two versions of an output of a command; returns `None` if its format has no numbers.
    pub fn of(format: OutputFormat, old: &[u8], new: &[u8], tolerance: Tolerance) -> Option<Result<Self, String>> {
        let damaged = || Err("it cannot be read".to_owned());
        Some(match format {
            OutputFormat::Table => match (Table::from_bytes(old), Table::from_bytes(new)) {
                (Ok(old), Ok(new)) => Self::of_tables(&old, &new, &|_| Some(tolerance)),
                _ => damaged(),
            },
            OutputFormat::Json => match (serde_json::from_slice(old), serde_json::from_slice(new)) {
                (Ok(old), Ok(new)) => Self::of_json(&old, &new, tolerance),
                _ => damaged(),
            },
            OutputFormat::Weights => match (SafeTensors::deserialize(old), SafeTensors::deserialize(new)) {
                (Ok(old), Ok(new)) => Self::of_tensors(&old, &new, tolerance),
                _ => damaged(),
            },
            OutputFormat::File | OutputFormat::Svg | OutputFormat::Pdf | OutputFormat::Png => return None,
        })
    }

    /// Compares tables. Columns without a tolerance are not judged.
    ///
    /// # Errors
    /// If they differ in something other than numbers.
    pub fn of_tables(old: &Table, new: &Table, tolerance: &dyn Fn(&str) -> Option<Tolerance>) -> Result<Self, String> {
        let names = |table: &Table| table.columns().iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        if names(old) != names(new) || old.rows() != new.rows() {
            return Err(format!("{} rows recorded, {} now, or the columns differ", old.rows(), new.rows()));
        }
        let mut farthest = Self::default();
        for (a, b) in old.columns().iter().zip(new.columns()) {
            if let (Values::Text(a_texts), Values::Text(b_texts)) = (&a.values, &b.values) {
                if a_texts != b_texts {
                    return Err(format!("the texts of `{}` differ", a.name));
                }
                continue;
            }
            let (Some(olds), Some(news)) = (old.numbers(&a.name), new.numbers(&b.name)) else {
                return Err(format!("the types of `{}` differ", a.name));
            };
            let Some(tolerance) = tolerance(&a.name) else { continue };
            for (row, (old, new)) in olds.into_iter().zip(news).enumerate() {
                farthest.see(tolerance, [old, new], || format!("{} in row {row}", a.name));
            }
        }
        Ok(farthest)
    }

    /// Compares JSON values.
    ///
    /// # Errors
    /// If they differ in something other than numbers.
    pub fn of_json(old: &Value, new: &Value, tolerance: Tolerance) -> Result<Self, String> {
        let mut farthest = Self::default();
        farthest.look(old, new, tolerance, "value")?;
        Ok(farthest)
    }

    fn look(&mut self, old: &Value, new: &Value, tolerance: Tolerance, place: &str) -> Result<(), String> {
        match (old, new) {
            (Value::Number(a), Value::Number(b)) => {
                let number = |number: &serde_json::Number| number.as_f64().unwrap_or(f64::NAN);
                self.see(tolerance, [number(a), number(b)], || place.to_owned());
                Ok(())
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                let mut pairs = a.iter().zip(b).enumerate();
                pairs.try_for_each(|(at, (a, b))| self.look(a, b, tolerance, &format!("{place}[{at}]")))
            }
            (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
                let mut pairs = a.iter().zip(b.values());
                pairs.try_for_each(|((name, a), b)| self.look(a, b, tolerance, &format!("{place}.{name}")))
            }
            _ if old == new => Ok(()),
            _ => Err(format!("`{place}` differs")),
        }
    }

    /// Compares tensors. Those of types without a fraction must be equal.
    ///
    /// # Errors
    /// If they differ in something other than numbers.
    pub fn of_tensors(old: &SafeTensors<'_>, new: &SafeTensors<'_>, tolerance: Tolerance) -> Result<Self, String> {
        let named = |tensors: &SafeTensors<'_>| -> BTreeMap<String, (Dtype, Vec<usize>)> {
            let about = |(name, view): (String, TensorView<'_>)| (name, (view.dtype(), view.shape().to_vec()));
            tensors.tensors().into_iter().map(about).collect()
        };
        if named(old) != named(new) {
            return Err("the names, types or shapes of the tensors differ".to_owned());
        }
        let mut farthest = Self::default();
        for (name, a) in old.iter() {
            let Ok(b) = new.tensor(name) else { continue };
            let pairs: Box<dyn Iterator<Item = [f64; 2]>> = match a.dtype() {
                Dtype::F64 => Box::new(pairs(a.data(), b.data(), f64::from_le_bytes)),
                Dtype::F32 => Box::new(pairs(a.data(), b.data(), |bytes| f32::from_le_bytes(bytes).into())),
                Dtype::F16 => Box::new(pairs(a.data(), b.data(), |bytes| half(u16::from_le_bytes(bytes)))),
                Dtype::BF16 => Box::new(pairs(a.data(), b.data(), |bytes| {
                    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16).into()
                })),
                _ if a.data() == b.data() => continue,
                _ => return Err(format!("the tensor `{name}` differs")),
            };
            for (at, pair) in pairs.enumerate() {
                farthest.see(tolerance, pair, || format!("{name}[{at}]"));
            }
        }
        Ok(farthest)
    }
}

fn pairs<const N: usize>(old: &[u8], new: &[u8], number: fn([u8; N]) -> f64) -> impl Iterator<Item = [f64; 2]> {
    old.as_chunks().0.iter().zip(new.as_chunks().0).map(move |(a, b)| [number(*a), number(*b)])
}

/// Returns the value of a number in half precision (IEEE 754 binary16).
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023) / 1024.0);
    let magnitude = match exponent {
        0 => fraction * 2.0_f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction) * 2.0_f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TOLERANCE: Tolerance = Tolerance { absolute: 0.0, relative: 0.01 };

    #[test]
    fn json_is_compared_number_by_number() {
        let of = |old: &Value, new: &Value| Farthest::of_json(old, new, TOLERANCE);
        let old = json!({"loss": [1.0, 2.0], "name": "a", "n": 3});
        assert_eq!(of(&old, &old).unwrap().words, "");
        let near = of(&old, &json!({"loss": [1.001, 2.0], "name": "a", "n": 3})).unwrap();
        assert!(!near.is_beyond && near.words == "value.loss[0]: 1 recorded, 1.001 now", "{near:?}");
        let far = of(&old, &json!({"loss": [1.001, 3.0], "name": "a", "n": 3})).unwrap();
        assert!(far.is_beyond && far.words.starts_with("value.loss[1]: 2"), "{far:?}");
        for other in [
            json!({"loss": [1.0], "name": "a", "n": 3}),
            json!({"loss": [1.0, 2.0], "name": "b", "n": 3}),
            json!({"loss": [1.0, 2.0], "name": "a", "m": 3}),
            json!({"loss": [1.0, "2"], "name": "a", "n": 3}),
        ] {
            assert!(of(&old, &other).is_err(), "{other}");
        }
    }

    #[test]
    fn tensors_are_compared_in_their_precision() {
        let compared = |dtype, old: &[u8], new: &[u8], shape: usize| {
            let bytes = |data: &[u8]| {
                let view = TensorView::new(dtype, vec![shape], data).unwrap();
                safetensors::serialize([("w", view)], None).unwrap()
            };
            let (old, new) = (bytes(old), bytes(new));
            let read = |bytes| SafeTensors::deserialize(bytes).unwrap();
            Farthest::of_tensors(&read(&old), &read(&new), TOLERANCE)
        };
        let f32s = |values: [f32; 2]| values.map(f32::to_le_bytes).concat();
        let near = compared(Dtype::F32, &f32s([1.0, 2.0]), &f32s([1.0, 2.01]), 2).unwrap();
        assert!(!near.is_beyond && near.words.starts_with("w[1]: 2 recorded, 2.0"), "{near:?}");
        assert!(compared(Dtype::F32, &f32s([1.0, 2.0]), &f32s([1.1, 2.0]), 2).unwrap().is_beyond);
        // 1 and 1.0078125 in bfloat16; 1 and 1.0009765625 in half precision.
        assert!(!compared(Dtype::BF16, &[0x80, 0x3f], &[0x81, 0x3f], 1).unwrap().is_beyond);
        assert!(!compared(Dtype::F16, &[0x00, 0x3c], &[0x01, 0x3c], 1).unwrap().is_beyond);
        assert!(compared(Dtype::F16, &[0x00, 0x3c], &[0x00, 0x40], 1).unwrap().is_beyond);
        assert!(compared(Dtype::I64, &[0; 8], &[1, 0, 0, 0, 0, 0, 0, 0], 1).is_err());
    }

    #[test]
    fn numbers_in_half_precision_have_their_values() {
        for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 2.0_f64.powi(-24)), (0, 0.0)] {
            assert_eq!(half(bits), value, "{bits:x}");
        }
        assert!(half(0x7c00) == f64::INFINITY && half(0x7e00).is_nan());
    }
}
