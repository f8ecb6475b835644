//! Shared libraries that are opened at run time.

use std::ffi::{CStr, CString, OsStr, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr::NonNull;

/// An open shared library. It stays open for the rest of the process: code and data of libtorch are used
/// everywhere, so closing it would never be safe.
#[derive(Debug, Clone, Copy)]
pub struct Library(NonNull<c_void>);

/// When the names that a library imports are resolved, and whether other libraries see its own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Imported names are resolved on first use. Libraries opened later see this library's names.
    LazyGlobal,
    /// Imported names are resolved on first use. This library's names are found only through [`Library::symbol`].
    LazyLocal,
    /// Imported names are resolved at once, so that a missing name is an error immediately. Libraries opened later see this
    /// library's names.
    NowGlobal,
    /// Imported names are resolved at once. This library's names are found only through [`Library::symbol`].
    NowLocal,
}

impl Library {
    /// Opens a library by its path, or by its bare name in the system's search path.
    ///
    /// # Errors
    /// The message of the dynamic loader.
    pub fn open(path: &OsStr, binding: Binding) -> Result<Self, String> {
        let name = CString::new(path.as_bytes()).map_err(|_| "its name contains a NUL byte".to_owned())?;
        let flags: c_int = match binding {
            Binding::LazyGlobal => libc::RTLD_LAZY | libc::RTLD_GLOBAL,
            Binding::LazyLocal => libc::RTLD_LAZY | libc::RTLD_LOCAL,
            Binding::NowGlobal => libc::RTLD_NOW | libc::RTLD_GLOBAL,
            Binding::NowLocal => libc::RTLD_NOW | libc::RTLD_LOCAL,
        };
        // SAFETY: `name` is a NUL-terminated string that outlives the call. The library's initialisers run: the library
        // is libtorch, its bindings or the NVIDIA driver, named by ci/setup or by the user.
        let handle = unsafe { libc::dlopen(name.as_ptr(), flags) };
        NonNull::new(handle).map(Self).ok_or_else(last_error)
    }

    /// Returns the address of a function or variable in any library whose names are global.
    pub fn symbol_of_any(name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: `name` is NUL-terminated.
        NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
    }

    /// Returns the address of a function or variable.
    pub fn symbol(self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: the handle came from dlopen and is never closed; `name` is NUL-terminated.
        NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }
}

fn last_error() -> String {
    // SAFETY: the returned text is NUL-terminated and is copied before another call could replace it; on
    // Linux and macOS it belongs to the calling thread.
    let text = unsafe {
        let text = libc::dlerror();
        if text.is_null() { None } else { Some(CStr::from_ptr(text)) }
    };
    text.map_or_else(|| "no reason was given".to_owned(), |text| text.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_is_found_and_a_missing_one_is_named() {
        let name = if cfg!(target_os = "macos") { "libSystem.B.dylib" } else { "libc.so.6" };
        let library = Library::open(OsStr::new(name), Binding::LazyLocal).unwrap();
        assert!(library.symbol(c"strlen").is_some());
        assert!(library.symbol(c"no_such_function_of_wdpipe").is_none());
        let error = Library::open(OsStr::new("/nowhere/libnothing.so"), Binding::NowGlobal).unwrap_err();
        assert!(error.contains("libnothing"), "{error}");
    }
}
