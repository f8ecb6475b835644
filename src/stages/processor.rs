//! Which processor this is.

/// Its maker, family and model, and its caches: all that decides which code the libraries of libtorch choose and how they
/// divide their loops, apart from the instruction set.
pub fn describe() -> String {
    model() + &caches()
}

/// Maker, family and model of the processor: oneDNN and MKL choose their kernels by them too.
#[cfg(target_arch = "x86_64")]
fn model() -> String {
    use std::arch::x86_64::__cpuid;

    let (maker, signature) = (__cpuid(0), __cpuid(1).eax);
    let name: Vec<u8> = [maker.ebx, maker.edx, maker.ecx].iter().flat_map(|part| part.to_le_bytes()).collect();
    // Intel's Software Developer's Manual, CPUID, and AMD's: the extended family counts from family 15 on.
    let (model, family) = (signature >> 4 & 0xf | signature >> 12 & 0xf0, signature >> 8 & 0xf);
    let family = if family == 15 { family + (signature >> 20 & 0xff) } else { family };
    format!("{} family {family} model {model}", String::from_utf8_lossy(&name))
}

/// The sizes of data caches, by which oneDNN and MKL divide their loops, and how many threads share each: `, caches
/// 48K/1 1024K/1 32768K/2`. Empty where the processor does not say.
#[cfg(target_arch = "x86_64")]
fn caches() -> String {
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    // Intel's leaf, or AMD's with the same fields, if there is one.
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
            // Of instructions only.
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

/// Elsewhere they are not known.
#[cfg(not(target_arch = "x86_64"))]
fn caches() -> String {
    String::new()
}

/// Elsewhere the architecture is all that is known.
#[cfg(not(target_arch = "x86_64"))]
fn model() -> String {
    "any processor".to_owned()
}
