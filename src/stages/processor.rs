//! Describes the processor.

/// Describes the processor: its maker, family, model and caches. Together with the instruction set, they determine which code
/// the libraries of libtorch choose and how they divide their loops.
pub fn describe() -> String {
    model() + &caches()
}

/// Returns the maker, family and model of the processor. oneDNN and MKL choose kernels by them too.
#[cfg(target_arch = "x86_64")]
fn model() -> String {
    use std::arch::x86_64::__cpuid;

    let (maker, signature) = (__cpuid(0), __cpuid(1).eax);
    let name: Vec<u8> = [maker.ebx, maker.edx, maker.ecx].iter().flat_map(|part| part.to_le_bytes()).collect();
    // Source: CPUID in Intel's Software Developer's Manual and in AMD's manual. The extended family counts only in family 15.
    let (model, family) = (signature >> 4 & 0xf | signature >> 12 & 0xf0, signature >> 8 & 0xf);
    let family = if family == 15 { family + (signature >> 20 & 0xff) } else { family };
    format!("{} family {family} model {model}", String::from_utf8_lossy(&name))
}

/// Returns the sizes of the data caches, by which oneDNN and MKL divide their loops, each with the number of threads that share
/// it: `, caches 48K/1 1024K/1 32768K/2`. Returns an empty text if the processor does not report them.
#[cfg(target_arch = "x86_64")]
fn caches() -> String {
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    // Use AMD's leaf if there is one, and Intel's otherwise. Both have the same fields.
    let extended = __cpuid(0x8000_0000).eax >= 0x8000_001d && __cpuid_count(0x8000_001d, 0).eax & 31 > 0;
    let leaf = match (extended, __cpuid(0).eax >= 4) {
        (true, _) => 0x8000_001d,
        (false, true) => 4,
        (false, false) => return String::new(),
    };
    let mut told = String::new();
    for level in 0..8 {
        let cache = __cpuid_count(leaf, level);
        match cache.eax & 31 {
            0 => break,
            // This cache holds only instructions.
            2 => {}
            _ => {
                let (ways, parts, line) =
                    ((cache.ebx >> 22) + 1, (cache.ebx >> 12 & 0x3ff) + 1, (cache.ebx & 0xfff) + 1);
                let bytes = u64::from(ways) * u64::from(parts) * u64::from(line) * (u64::from(cache.ecx) + 1);
                told += &format!(" {}K/{}", bytes >> 10, (cache.eax >> 14 & 0xfff) + 1);
            }
        }
    }
    if told.is_empty() { told } else { format!(", caches{told}") }
}

/// Returns an empty text: on other architectures, the caches are not known.
#[cfg(not(target_arch = "x86_64"))]
fn caches() -> String {
    String::new()
}

/// Returns a placeholder: on other architectures, the model is not known.
#[cfg(not(target_arch = "x86_64"))]
fn model() -> String {
    "any processor".to_owned()
}
