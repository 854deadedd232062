//! Medians and quantiles.

/// The value below which the share `q` of them lies. Sorts them.
pub fn quantile<T: Copy + PartialOrd + Default>(values: &mut [T], q: f64) -> T {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap());
    if values.is_empty() { T::default() } else { values[((values.len() - 1) as f64 * q).round() as usize] }
}

pub fn median<T: Copy + PartialOrd + Default>(values: &mut [T]) -> T {
    quantile(values, 0.5)
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
