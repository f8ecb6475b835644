//! Names of profiles, figures and pipelines, which become parts of paths.

/// Requirements of [`is_plain`], for messages.
pub const PLAIN: &str = "use 1 to 64 letters, digits and . _ -, not starting with a dot";

/// Whether a name is safe as part of a path, on every system: it cannot lead to another folder or be a hidden file.
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
