//! The caches that oneDNN takes the processor to have.
//!
//! oneDNN divides the loops of a convolution so that a part fits into the caches, and the order in which it adds up
//! depends on that. Under the portable policy it must therefore see the same caches on every processor. It asks the
//! processor once, and keeps what it was told in one object, a hidden one; where that object knows of no cache, oneDNN
//! computes with sizes of its own: 32 KiB, 512 KiB and 1 MiB for each core. These are the pinned sizes.
//!
//! MKL asks for caches too, but not on the code path that the portable policy holds it to (docs/determinism.md).

use std::ffi::c_int;
use std::mem::transmute;
use std::path::Path;

use super::elf::{self, Symbol};
use super::library::Library;

/// Bytes that oneDNN sees of each level of cache for each core.
const PINNED: [u32; 3] = [32 << 10, 512 << 10, 1 << 20];

/// `at::get_num_threads()`: a name that the dynamic loader tells, from which the others are counted.
const KNOWN: &str = "_ZN2at15get_num_threadsEv";
/// `dnnl::impl::cpu::x64::cpu()`: makes the object if it is not made yet.
const MAKE: &str = "_ZN4dnnl4impl3cpu3x643cpuEv";
/// The object, an `Xbyak::util::Cpu`.
const CPU: &str = "_ZZN4dnnl4impl3cpu3x643cpuEvE4cpu_";
/// `dnnl::impl::cpu::platform::get_per_core_cache_size(int level)`.
const SIZE: &str = "_ZN4dnnl4impl3cpu8platform23get_per_core_cache_sizeEi";

/// The object's bytes in libtorch 2.11.0, and where in it are the number of levels of cache, the size of each, and the
/// number of cores that share each.
const CPU_BYTES: u64 = 0x90;
const LEVELS: usize = 0x68;
#[cfg(test)]
const CORES: usize = 0x14;
#[cfg(test)]
const SIZES: usize = 0x18;
#[cfg(test)]
const SHARED_BY: usize = 0x40;

/// A variable by which tests say what the processor is to say of itself: bytes of each level for each core.
#[cfg(test)]
const FORGED: &str = "WDPIPE_TEST_CACHES";

/// oneDNN's idea of the processor's caches.
struct Caches {
    cpu: *mut u8,
    size: extern "C" fn(level: c_int) -> u32,
}

/// Has oneDNN see the pinned sizes, in the libtorch that was opened from a file. No kernel may have run before.
///
/// # Errors
/// If this libtorch was built otherwise, so that the object is not found or does not obey.
pub fn pin(library: Library, file: &Path) -> Result<(), String> {
    let caches = Caches::of(library, file)?;
    #[cfg(test)]
    caches.forge();
    // SAFETY: within the object, whose size was compared; nothing else uses it yet.
    unsafe { caches.cpu.add(LEVELS).cast::<u32>().write(0) };
    if caches.sizes() == PINNED { Ok(()) } else { Err(format!("oneDNN sees caches of {:?} bytes", caches.sizes())) }
}

impl Caches {
    fn of(library: Library, file: &Path) -> Result<Self, String> {
        let symbols = elf::addresses(file, [KNOWN, MAKE, CPU, SIZE]).map_err(|damage| damage.to_string())?;
        let (Some(known), [Some(from), Some(make), Some(cpu), Some(size)]) =
            (library.symbol(c"_ZN2at15get_num_threadsEv"), symbols)
        else {
            return Err("it was stripped of the names by which oneDNN's idea of the caches is found".to_owned());
        };
        if cpu.size != CPU_BYTES {
            return Err(format!("oneDNN's idea of the processor has {} bytes instead of {CPU_BYTES}", cpu.size));
        }
        let at = |symbol: Symbol| {
            known.as_ptr().cast::<u8>().wrapping_offset(symbol.offset.wrapping_sub(from.offset) as isize)
        };
        // SAFETY: the names are those of functions of these types in libtorch's sources, and the addresses those at which
        // the file's table of symbols has them.
        let (make, size) = unsafe {
            (
                transmute::<*mut u8, extern "C" fn() -> *mut u8>(at(make)),
                transmute::<*mut u8, extern "C" fn(c_int) -> u32>(at(size)),
            )
        };
        // It returns a reference to the object.
        if make() == at(cpu) {
            Ok(Self { cpu: at(cpu), size })
        } else {
            Err("oneDNN keeps its idea of the processor elsewhere".to_owned())
        }
    }

    #[cfg(test)]
    fn forge(&self) {
        let sizes = std::env::var(FORGED).unwrap_or_default();
        let sizes: Vec<u32> = sizes.split(',').filter_map(|size| size.parse().ok()).collect();
        if !sizes.is_empty() {
            // SAFETY: the number of cores, which is pinned nowhere: nothing that the portable policy uses asks for it.
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

    /// What oneDNN computes with.
    fn sizes(&self) -> [u32; 3] {
        [1, 2, 3].map(|level| (self.size)(level))
    }
}
