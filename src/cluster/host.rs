//! The name of this machine.

use std::path::Path;

/// Returns the machine's name, without characters that are unsuitable for file names.
pub fn host() -> String {
    let name = files::read(Path::new("/proc/sys/kernel/hostname"), 256).unwrap_or_default();
    let is_fine = |c: &char| c.is_ascii_alphanumeric() || *c == '.' || *c == '-';
    let name: String = String::from_utf8_lossy(&name).trim().chars().filter(is_fine).take(32).collect();
    let name = name.trim_start_matches(['-', '.']);
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_a_name_that_fits_into_paths() {
        let name = host();
        assert!(!name.is_empty() && name.len() <= 32 && !name.contains('/'), "{name}");
    }
}
