//! Functions of CUDA that tch does not have: a stream for each thread, steps that are recorded once and replayed, free
//! memory. They are in `gpu.cpp`, which `ci/setup` compiles. Without them, everything works, but slower.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::transmute;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::elf;
use super::library::{Binding, Library};
use super::loader::file_name;

static GPU: OnceLock<Result<Gpu, String>> = OnceLock::new();

/// Lock held while a recording is made or freed: libtorch keeps a list of recordings without a lock.
static RECORDING: Mutex<()> = Mutex::new(());

/// Number of recordings that are being made, and when the last one ended.
static MAKING: Mutex<(usize, Option<Instant>)> = Mutex::new((0, None));

/// Longest time until a stage notices that memory was refused.
const LATELY: Duration = Duration::from_secs(1);

fn one_at_a_time() -> MutexGuard<'static, ()> {
    // The lock guards no data of ours, so a panic of another holder cannot leave inconsistent data.
    RECORDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A guard: while it lives, a recording is being made.
struct Producer;

impl Producer {
    fn begin() -> Self {
        MAKING.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        Self
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let mut producer = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        *producer = (producer.0 - 1, Some(Instant::now()));
    }
}

/// Checks whether a step is being recorded, or was a moment ago. During a recording, libtorch cannot release its cached memory,
/// so other stages can be refused memory although there is enough.
pub fn recorded_lately() -> bool {
    let (producer, ended) = *MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    producer > 0 || ended.is_some_and(|ended| ended.elapsed() < LATELY)
}

/// Returns how often a device has refused memory to any thread of the process so far; 0 for a CPU. A library that is refused
/// memory computes in another way, which can give other bits.
pub fn refusals(device: tch::Device) -> u64 {
    match (device, gpu()) {
        (tch::Device::Cuda(number), Ok(gpu)) => gpu.refusals(number).unwrap_or(0),
        _ => 0,
    }
}

/// Returns the functions, after the CUDA half of libtorch was loaded.
///
/// # Errors
/// The reason why they are missing.
pub fn gpu() -> Result<&'static Gpu, String> {
    GPU.get().map_or_else(|| Err("CUDA was not loaded".to_owned()), |gpu| gpu.as_ref().map_err(Clone::clone))
}

/// Gives the calling thread its own stream on a GPU, so that threads can use the GPU at the same time. Does nothing on a CPU.
///
/// # Errors
/// The error of CUDA.
pub fn own_stream(device: tch::Device) -> Result<(), String> {
    match (device, gpu()) {
        (tch::Device::Cuda(number), Ok(gpu)) => gpu.own_stream(number),
        // Without the functions, all threads share the default stream.
        _ => Ok(()),
    }
}

/// Returns a copy of a tensor on the host, after waiting for the device.
///
/// # Errors
/// If libtorch fails.
pub fn to_host(tensor: &tch::Tensor) -> Result<tch::Tensor, tch::TchError> {
    match gpu() {
        Ok(gpu) if tensor.device().is_cuda() => gpu.to_host(tensor).ok(),
        _ => None,
    }
    // Ordinary host memory can be available when pinned memory is not.
    .map_or_else(|| tensor.f_to_device(tch::Device::Cpu), Ok)
}

/// Opens `libwdpipe_cuda` in `folder`. The CUDA half of libtorch, whose functions it uses, must already be open.
pub(super) fn open(folder: &Path) {
    GPU.get_or_init(|| {
        let path = folder.join(file_name("wdpipe_cuda"));
        elf::whole(&path)
            .map_err(|damage| format!("{} is damaged: {damage}; run `wdpipe setup` again", path.display()))?;
        let library = Library::open(path.as_os_str(), Binding::NowLocal)?;
        Gpu::of(library).ok_or_else(|| format!("{} lacks a function: run `wdpipe setup`", path.display()))
    });
}

/// The functions of `gpu.cpp`.
#[derive(Debug)]
pub struct Gpu {
    error: unsafe extern "C" fn() -> *const c_char,
    own_stream: unsafe extern "C" fn(device: c_int) -> bool,
    capture_begin: unsafe extern "C" fn(graph: *mut *mut c_void) -> bool,
    capture_end: unsafe extern "C" fn(graph: *mut c_void) -> bool,
    replay: unsafe extern "C" fn(graph: *mut c_void) -> bool,
    free: unsafe extern "C" fn(graph: *mut c_void) -> bool,
    to_host: unsafe extern "C" fn(tensor: *const c_void, copy: *mut *mut c_void) -> bool,
    memory: unsafe extern "C" fn(device: c_int, free: *mut usize, total: *mut usize) -> bool,
    refusals: unsafe extern "C" fn(device: c_int, count: *mut u64) -> bool,
}

impl Gpu {
    fn of(library: Library) -> Option<Self> {
        let symbol = |name: &CStr| library.symbol(name).map(NonNull::as_ptr);
        // SAFETY: the types are those of the functions in gpu.cpp.
        unsafe {
            Some(Self {
                error: transmute::<*mut c_void, unsafe extern "C" fn() -> *const c_char>(symbol(c"wdpipe_gpu_error")?),
                own_stream: transmute::<*mut c_void, unsafe extern "C" fn(c_int) -> bool>(symbol(
                    c"wdpipe_gpu_own_stream",
                )?),
                capture_begin: transmute::<*mut c_void, unsafe extern "C" fn(*mut *mut c_void) -> bool>(symbol(
                    c"wdpipe_gpu_capture_begin",
                )?),
                capture_end: on_graph(symbol(c"wdpipe_gpu_capture_end")?),
                replay: on_graph(symbol(c"wdpipe_gpu_replay")?),
                free: on_graph(symbol(c"wdpipe_gpu_free")?),
                to_host: transmute::<*mut c_void, unsafe extern "C" fn(*const c_void, *mut *mut c_void) -> bool>(
                    symbol(c"wdpipe_gpu_to_host")?,
                ),
                memory: transmute::<*mut c_void, unsafe extern "C" fn(c_int, *mut usize, *mut usize) -> bool>(symbol(
                    c"wdpipe_gpu_memory",
                )?),
                refusals: transmute::<*mut c_void, unsafe extern "C" fn(c_int, *mut u64) -> bool>(symbol(
                    c"wdpipe_gpu_refusals",
                )?),
            })
        }
    }

    fn own_stream(&self, device: usize) -> Result<(), String> {
        // SAFETY: the argument is a plain value.
        self.done(unsafe { (self.own_stream)(c_int::try_from(device).unwrap_or(c_int::MAX)) })
    }

    /// Records the work that `action` submits to the calling thread's stream, instead of doing it. The recording includes the
    /// tensors that `action` returned.
    ///
    /// # Errors
    /// The error of `action` or CUDA. Nothing was done then.
    pub fn record<T>(&'static self, action: impl FnOnce() -> Result<T, String>) -> Result<Recording<T>, String> {
        let alone = one_at_a_time();
        let producer = Producer::begin();
        let mut graph = std::ptr::null_mut();
        // SAFETY: a pointer to a live variable.
        self.done(unsafe { (self.capture_begin)(&raw mut graph) })?;
        let graph = Graph { gpu: self, graph: NonNull::new(graph).ok_or("there is no graph")? };
        // A panic must not leave the stream recording.
        let made = catch_unwind(AssertUnwindSafe(action));
        // SAFETY: the recording of this graph was begun by this thread.
        let ended = self.done(unsafe { (self.capture_end)(graph.graph.as_ptr()) });
        // Freeing a graph takes the lock too, so release it.
        drop((producer, alone));
        match (made, ended) {
            (Ok(Ok(made)), Ok(())) => Ok(Recording { made, graph }),
            // The results are in the graph's memory, so they must be dropped first.
            (Ok(Ok(made)), Err(reason)) => {
                drop(made);
                Err(reason)
            }
            (Ok(Err(reason)), _) => Err(reason),
            (Err(panic), _) => {
                drop(graph);
                resume_unwind(panic)
            }
        }
    }

    fn refusals(&self, device: usize) -> Option<u64> {
        let mut count = 0;
        let device = c_int::try_from(device).unwrap_or(c_int::MAX);
        // SAFETY: a pointer to a live variable.
        unsafe { (self.refusals)(device, &raw mut count) }.then_some(count)
    }

    fn to_host(&self, tensor: &tch::Tensor) -> Result<tch::Tensor, String> {
        let mut copy = std::ptr::null_mut();
        // SAFETY: a live tensor, and a pointer to a live variable.
        self.done(unsafe { (self.to_host)(tensor.as_ptr().cast(), &raw mut copy) })?;
        let copy = NonNull::new(copy).ok_or("there is no copy")?;
        // SAFETY: the tensor was created for us in the same way as by tch's own functions.
        Ok(unsafe { tch::Tensor::from_ptr(copy.as_ptr().cast()) })
    }

    /// Returns the number of free and of all bytes of a device; `None` if CUDA does not report them.
    pub fn memory(&self, device: usize) -> Option<(u64, u64)> {
        let (mut free, mut total) = (0, 0);
        let device = c_int::try_from(device).unwrap_or(c_int::MAX);
        // SAFETY: pointers to live variables.
        let told = unsafe { (self.memory)(device, &raw mut free, &raw mut total) };
        told.then_some((free as u64, total as u64))
    }

    fn done(&self, well: bool) -> Result<(), String> {
        if well {
            return Ok(());
        }
        // SAFETY: the text is NUL-terminated, belongs to the calling thread, and is copied before its next call.
        Err(unsafe { CStr::from_ptr((self.error)()) }.to_string_lossy().into_owned())
    }
}

/// # Safety
/// The address must be that of a function of this type.
unsafe fn on_graph(address: *mut c_void) -> unsafe extern "C" fn(*mut c_void) -> bool {
    // SAFETY: promised by the caller.
    unsafe { transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void) -> bool>(address) }
}

/// Recorded work of a GPU, with its results. It reads and writes the memory of the tensors that it was recorded with. The
/// caller keeps these tensors, and must drop them after the recording.
#[derive(Debug)]
pub struct Recording<T> {
    /// The results, overwritten by every replay. They are in the graph's memory. Fields are dropped in their order, so the
    /// results are dropped before the graph is freed.
    pub made: T,
    graph: Graph,
}

/// A CUDA graph and its memory, which are freed on drop.
#[derive(Debug)]
struct Graph {
    gpu: &'static Gpu,
    graph: NonNull<c_void>,
}

// SAFETY: a graph is not bound to a thread, and only the thread that owns it uses it.
unsafe impl Send for Graph {}

impl<T> Recording<T> {
    /// Submits the recorded work to the calling thread's stream.
    ///
    /// # Errors
    /// The error of CUDA.
    pub fn replay(&self) -> Result<(), String> {
        let Graph { gpu, graph } = &self.graph;
        // SAFETY: the graph lives, and its recording was ended.
        gpu.done(unsafe { (gpu.replay)(graph.as_ptr()) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let _alone = one_at_a_time();
        // SAFETY: the graph has no other owner.
        unsafe { (self.gpu.free)(self.graph.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_gpu_the_reason_is_said() {
        if let Err(reason) = gpu() {
            assert!(!reason.is_empty());
        }
        assert!(Library::open(Path::new("/nowhere/libwdpipe_cuda.so").as_os_str(), Binding::NowLocal).is_err());
    }

    /// Fake functions that log, per thread, what happens to graphs and to the results in their memory.
    mod fake {
        use super::*;
        use std::cell::{Cell, RefCell};

        thread_local! {
            pub static LOG: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
            pub static ENDS: Cell<bool> = const { Cell::new(true) };
        }

        fn log(what: &'static str) -> bool {
            LOG.with_borrow_mut(|log| log.push(what));
            true
        }
        extern "C" fn error() -> *const c_char {
            c"refused".as_ptr()
        }
        extern "C" fn number(_: c_int) -> bool {
            true
        }
        unsafe extern "C" fn begin(graph: *mut *mut c_void) -> bool {
            // SAFETY: the caller gives a live variable. The graph is never looked into.
            unsafe { *graph = NonNull::dangling().as_ptr() };
            true
        }
        extern "C" fn end(_: *mut c_void) -> bool {
            log("ended") && ENDS.get()
        }
        extern "C" fn replay(_: *mut c_void) -> bool {
            log("replayed")
        }
        extern "C" fn free(_: *mut c_void) -> bool {
            log("freed")
        }
        extern "C" fn copy(_: *const c_void, _: *mut *mut c_void) -> bool {
            false
        }
        extern "C" fn memory(_: c_int, _: *mut usize, _: *mut usize) -> bool {
            false
        }
        unsafe extern "C" fn refusals(_: c_int, count: *mut u64) -> bool {
            // SAFETY: the caller gives a live variable.
            unsafe { *count = 7 };
            true
        }

        pub static GPU: Gpu = Gpu {
            error,
            own_stream: number,
            capture_begin: begin,
            capture_end: end,
            replay,
            free,
            to_host: copy,
            memory,
            refusals,
        };

        /// A tensor in a graph's memory.
        pub struct Made;

        impl Drop for Made {
            fn drop(&mut self) {
                log("let go");
            }
        }

        pub fn taken() -> Vec<&'static str> {
            LOG.take()
        }
    }

    #[test]
    fn a_panic_while_recording_ends_the_recording_and_frees_it() {
        let panicked = catch_unwind(|| fake::GPU.record(|| -> Result<(), String> { panic!("within the action") }));
        assert!(panicked.is_err());
        assert_eq!(fake::taken(), ["ended", "freed"]);
        // The lock is free, so the next recording succeeds and is freed too.
        assert!(fake::GPU.record(|| Ok(())).is_ok());
        assert_eq!(fake::taken(), ["ended", "freed"]);
        assert_eq!(fake::GPU.refusals(0), Some(7));
    }

    #[test]
    fn what_lies_in_a_graph_is_let_go_before_it_is_freed() {
        let recording = fake::GPU.record(|| Ok(fake::Made)).unwrap();
        recording.replay().unwrap();
        drop(recording);
        assert_eq!(fake::taken(), ["ended", "replayed", "let go", "freed"]);
        // The same holds if ending the recording fails.
        fake::ENDS.set(false);
        assert_eq!(fake::GPU.record(|| Ok(fake::Made)).err().as_deref(), Some("refused"));
        assert_eq!(fake::taken(), ["ended", "let go", "freed"]);
    }

    #[test]
    fn while_a_step_is_recorded_others_may_lack_memory() {
        let during = fake::GPU.record(|| Ok(recorded_lately())).unwrap();
        assert!(during.made && recorded_lately());
    }
}
