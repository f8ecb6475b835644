//! Names that become parts of paths: of profiles, figures and pipelines.

/// What [`is_plain`] asks for, for messages.
pub const PLAIN: &str = "1 to 64 letters, digits and . _ - are expected, and no . at the beginning";

/// Whether a name is safe as part of a path, on every system: it leads into no other folder and hides nothing.
pub fn is_plain(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_plain() {
        for name in ["a", "smoke", "fig6a", "effective-lr", "A_1.2", &"n".repeat(64)] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", ".", "..", ".x", "../x", "a/b", "/a", "a\\b", "a b", "a:b", "é", "a\n", "a\0", &"n".repeat(65)]
        {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
