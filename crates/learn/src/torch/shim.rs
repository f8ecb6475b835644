//! Safe wrappers of `shim.cpp`. All require that [`super::load`] has succeeded; before that, they end the process,
//! like every tensor operation.

use std::ffi::{CStr, c_char, c_int};

unsafe extern "C" {
    fn get_and_reset_last_err() -> *mut c_char;
    fn wdpipe_torch_config() -> *const c_char;
    fn wdpipe_torch_cpu_capability() -> *const c_char;
    fn wdpipe_torch_set_policy(tf32: bool, strict: bool);
    fn wdpipe_torch_sees_cuda() -> bool;
    fn wdpipe_torch_enter_thread();
    fn wdpipe_torch_policy() -> c_int;
    fn wdpipe_torch_autocast_enter(cuda: bool, half: bool) -> bool;
    fn wdpipe_torch_autocast_leave(cuda: bool, before: bool);
}

/// Returns the build settings of the loaded libtorch, which include `TORCH_VERSION=2.11.0`.
pub(super) fn config() -> String {
    // SAFETY: no arguments; the text is static and NUL-terminated.
    unsafe { CStr::from_ptr(wdpipe_torch_config()) }.to_string_lossy().into_owned()
}

/// Returns the instruction set of libtorch's own kernels on this processor, such as `AVX2`.
pub(super) fn cpu_capability() -> String {
    // SAFETY: no arguments; the text is static and NUL-terminated.
    unsafe { CStr::from_ptr(wdpipe_torch_cpu_capability()) }.to_string_lossy().into_owned()
}

/// Sets the policy of the whole process.
pub(super) fn set_policy(tf32: bool, strict: bool) -> Result<(), String> {
    // SAFETY: plain values in, nothing out.
    unsafe { wdpipe_torch_set_policy(tf32, strict) };
    last_error()
}

/// Checks whether libtorch knows its CUDA half. If this is called before the CUDA half is opened, the answer stays false.
pub(super) fn sees_cuda() -> bool {
    // SAFETY: no arguments, a plain value out.
    unsafe { wdpipe_torch_sees_cuda() }
}

/// Sets the policy of the calling thread.
pub(super) fn enter_thread() -> Result<(), String> {
    // SAFETY: no arguments, nothing out.
    unsafe { wdpipe_torch_enter_thread() };
    last_error()
}

/// Returns the settings in force, as the bits listed in `shim.cpp`.
pub(super) fn policy() -> i32 {
    // SAFETY: no arguments, a plain value out.
    unsafe { wdpipe_torch_policy() }
}

/// Turns autocast to float16 (`half`) or bfloat16 on for the calling thread; returns whether it was on.
pub(super) fn autocast_enter(cuda: bool, half: bool) -> bool {
    // SAFETY: plain values in and out.
    unsafe { wdpipe_torch_autocast_enter(cuda, half) }
}

/// Undoes one [`autocast_enter`].
pub(super) fn autocast_leave(cuda: bool, before: bool) {
    // SAFETY: plain values in, nothing out.
    unsafe { wdpipe_torch_autocast_leave(cuda, before) };
}

/// Takes the error message of the calling thread's last failed call, if any.
fn last_error() -> Result<(), String> {
    // SAFETY: the text is null or a NUL-terminated copy from strdup, which is ours to free.
    unsafe {
        let text = get_and_reset_last_err();
        if text.is_null() {
            return Ok(());
        }
        let message = CStr::from_ptr(text).to_string_lossy().into_owned();
        libc::free(text.cast());
        Err(message)
    }
}
