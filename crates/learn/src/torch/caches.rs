//! The cache sizes that oneDNN assumes.
//!
//! oneDNN divides the loops of a convolution so that each part fits into the caches, and this determines the order of its
//! sums. Under the portable policy, it must therefore see the same caches on every processor. It queries the processor once,
//! and stores the result in one hidden object. If that object has no levels of cache, oneDNN uses default sizes: 32 KiB,
//! 512 KiB and 1 MiB per core. These are the pinned sizes.
//!
//! MKL queries the caches too, but not on the code path that the portable policy enforces (docs/determinism.md).

use std::ffi::c_int;
use std::mem::transmute;
use std::path::Path;

use super::elf::{self, Symbol};
use super::library::Library;

/// Size in bytes that oneDNN sees for each level of cache per core.
const PINNED: [u32; 3] = [32 << 10, 512 << 10, 1 << 20];

/// `at::get_num_threads()`: a name that the dynamic loader finds. The other addresses are computed relative to it.
const KNOWN: &str = "_ZN2at15get_num_threadsEv";
/// `dnnl::impl::cpu::x64::cpu()`: creates the object if it does not exist yet.
const MAKE: &str = "_ZN4dnnl4impl3cpu3x643cpuEv";
/// The object, an `Xbyak::util::Cpu`.
const CPU: &str = "_ZZN4dnnl4impl3cpu3x643cpuEvE4cpu_";
/// `dnnl::impl::cpu::platform::get_per_core_cache_size(int level)`.
const SIZE: &str = "_ZN4dnnl4impl3cpu8platform23get_per_core_cache_sizeEi";

/// The object's size in libtorch 2.11.0, and the offsets in it of the number of levels of cache, the number of cores, the size
/// of each level, and the number of cores that share each level.
const CPU_BYTES: u64 = 0x90;
const LEVELS: usize = 0x68;
#[cfg(test)]
const CORES: usize = 0x14;
#[cfg(test)]
const SIZES: usize = 0x18;
#[cfg(test)]
const SHARED_BY: usize = 0x40;

/// Environment variable with which tests fake the processor's caches: bytes of each level per core.
#[cfg(test)]
const FORGED: &str = "WDPIPE_TEST_CACHES";

/// oneDNN's record of the processor's caches.
struct Caches {
    cpu: *mut u8,
    size: extern "C" fn(level: c_int) -> u32,
}

/// Makes oneDNN see the pinned sizes, in the libtorch that was opened from a file. No kernel may have run before.
///
/// # Errors
/// If this libtorch was built differently, so that the object is not found or has no effect.
pub fn pin(library: Library, file: &Path) -> Result<(), String> {
    let caches = Caches::of(library, file)?;
    #[cfg(test)]
    caches.forge();
    // SAFETY: the address is inside the object, whose size was checked; no other code uses the object yet.
    unsafe { caches.cpu.add(LEVELS).cast::<u32>().write(0) };
    if caches.sizes() == PINNED { Ok(()) } else { Err(format!("oneDNN sees caches of {:?} bytes", caches.sizes())) }
}

impl Caches {
    fn of(library: Library, file: &Path) -> Result<Self, String> {
        let symbols = elf::addresses(file, [KNOWN, MAKE, CPU, SIZE]).map_err(|damage| damage.to_string())?;
        let (Some(known), [Some(from), Some(make), Some(cpu), Some(size)]) =
            (library.symbol(c"_ZN2at15get_num_threadsEv"), symbols)
        else {
            return Err("it was stripped of the names with which oneDNN's record of the caches is found".to_owned());
        };
        if cpu.size != CPU_BYTES {
            return Err(format!("oneDNN's record of the processor has {} bytes instead of {CPU_BYTES}", cpu.size));
        }
        let at = |symbol: Symbol| {
            known.as_ptr().cast::<u8>().wrapping_offset(symbol.offset.wrapping_sub(from.offset) as isize)
        };
        // SAFETY: the names belong to functions of these types in libtorch's sources, and the addresses come from the
        // file's table of symbols.
        let (make, size) = unsafe {
            (
                transmute::<*mut u8, extern "C" fn() -> *mut u8>(at(make)),
                transmute::<*mut u8, extern "C" fn(c_int) -> u32>(at(size)),
            )
        };
        // `make` returns a reference to the object.
        if make() == at(cpu) {
            Ok(Self { cpu: at(cpu), size })
        } else {
            Err("oneDNN keeps its record of the processor elsewhere".to_owned())
        }
    }

    #[cfg(test)]
    fn forge(&self) {
        let sizes = std::env::var(FORGED).unwrap_or_default();
        let sizes: Vec<u32> = sizes.split(',').filter_map(|size| size.parse().ok()).collect();
        if !sizes.is_empty() {
            // SAFETY: the address is inside the object. The number of cores is not pinned: no code under the portable policy
            // uses it.
            unsafe { self.cpu.add(CORES).cast::<u32>().write(64) };
        }
        for (level, size) in sizes.iter().enumerate() {
            // SAFETY: the object has room for ten levels.
            unsafe {
                self.cpu.add(SIZES).cast::<u32>().add(level).write(*size);
                self.cpu.add(SHARED_BY).cast::<u32>().add(level).write(1);
                self.cpu.add(LEVELS).cast::<u32>().write(sizes.len() as u32);
            }
        }
        assert!(sizes.is_empty() || self.sizes()[..] == sizes[..], "{:?}", self.sizes());
    }

    /// Returns the sizes that oneDNN uses.
    fn sizes(&self) -> [u32; 3] {
        [1, 2, 3].map(|level| (self.size)(level))
    }
}
