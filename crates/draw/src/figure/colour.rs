//! Contrast of colours (WCAG 2.2, "relative luminance" and "contrast ratio").

/// Returns the red, green and blue of `#rrggbb`, from 0 to 1, in linear light.
pub(super) fn linear(colour: &str) -> [f64; 3] {
    let part = |at: usize| colour.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0);
    [1, 3, 5].map(|at| {
        let share = f64::from(part(at)) / 255.0;
        // The same on every platform, unlike `powf`.
        if share <= 0.04045 { share / 12.92 } else { libm::pow((share + 0.055) / 1.055, 2.4) }
    })
}

/// Returns the luminance of a colour in linear light.
pub(super) fn luminance([red, green, blue]: [f64; 3]) -> f64 {
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/// Returns the contrast of two colours, from 1 to 21.
pub(super) fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(linear(one)), luminance(linear(other)));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}
