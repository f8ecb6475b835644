//! The CUDA half of libtorch, and the names of the devices.

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::mem::transmute;
use std::path::{Path, PathBuf};

use super::elf;
use super::library::{Binding, Library};
use super::loader::file_name;
use super::shim;

/// The reason why CUDA cannot be used, with a hint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// There is no NVIDIA driver, and so most likely no NVIDIA device.
    #[error("there is no NVIDIA driver: {0}")]
    Driver(String),
    /// The libraries are not installed.
    #[error("libtorch's CUDA libraries are not in {} or {}: run `wdpipe setup --cuda`", .beside.display(), .apart.display())]
    NotFound {
        /// The folder of libtorch.
        beside: PathBuf,
        /// The folder where `wdpipe setup --cuda` puts them.
        apart: PathBuf,
    },
    /// The library, or one that it needs, cannot be opened.
    #[error("cannot open {}: {reason}", .path.display())]
    Open {
        /// The library.
        path: PathBuf,
        /// The message of the dynamic loader.
        reason: String,
    },
    /// The library is open, but libtorch had looked for it before.
    #[error("libtorch does not see {} although it is open: this is a defect in wdpipe", .0.display())]
    Unseen(PathBuf),
}

/// Loads the CUDA half of the libtorch in `folder`: from that folder, as in a Python package, or from the folder
/// `cuda` next to it. Returns the file.
pub(super) fn load(folder: &Path) -> Result<PathBuf, CudaError> {
    driver().map_err(CudaError::Driver)?;
    open(folder)
}

/// Does the work of [`load`] without checking for a driver.
fn open(folder: &Path) -> Result<PathBuf, CudaError> {
    let apart = folder.with_file_name("cuda");
    let file = file_name("torch_cuda");
    let Some(path) = [folder, &apart].iter().find_map(|folder| folder.join(&file).canonicalize().ok()) else {
        return Err(CudaError::NotFound { beside: folder.to_owned(), apart });
    };
    elf::check(&path).map_err(|(path, damage)| CudaError::Open {
        path,
        reason: format!("it is damaged: {damage}; run `wdpipe setup --cuda` again"),
    })?;
    // cuDNN opens the compiler for its kernels by a bare name, and the compiler opens its other half in the same way; each
    // gets the library that is already open. Without them, cuDNN uses its precompiled kernels, so a failure is ignored here.
    for name in ["libnvrtc-builtins.so.13.0", "libnvrtc.so.13"] {
        for neighbour in [name.to_owned(), format!("../../nvidia/cu13/lib/{name}")] {
            let _ = Library::open(path.with_file_name(neighbour).as_os_str(), Binding::LazyGlobal);
        }
    }
    match Library::open(path.as_os_str(), Binding::NowGlobal) {
        Ok(_) if shim::sees_cuda() => Ok(path),
        Ok(_) => Err(CudaError::Unseen(path)),
        Err(reason) => Err(CudaError::Open { path, reason }),
    }
}

/// Returns the names of the devices in the driver's order. libtorch has the same order: both see the devices that
/// `CUDA_VISIBLE_DEVICES` allows.
///
/// # Errors
/// The reason why there is no driver, or the driver's error.
pub fn devices() -> Result<Vec<String>, String> {
    type Init = unsafe extern "C" fn(flags: u32) -> c_int;
    type Count = unsafe extern "C" fn(count: *mut c_int) -> c_int;
    let driver = driver()?;
    let symbol =
        |name: &CStr| driver.symbol(name).ok_or_else(|| format!("the driver lacks {}", name.to_string_lossy()));
    // SAFETY: the types are those of cuInit and cuDeviceGetCount in the CUDA driver interface.
    let (init, device_count) = unsafe {
        (
            transmute::<*mut std::ffi::c_void, Init>(symbol(c"cuInit")?.as_ptr()),
            transmute::<*mut std::ffi::c_void, Count>(symbol(c"cuDeviceGetCount")?.as_ptr()),
        )
    };
    let mut count = 0;
    // SAFETY: a plain value, and a pointer to a live variable.
    match unsafe { (init(0), device_count(&mut count)) } {
        (0, 0) => {
            let name = |index| name(index).unwrap_or_else(|| "a GPU without a name".to_owned());
            Ok((0..usize::try_from(count).unwrap_or(0)).map(name).collect())
        }
        // CUDA_ERROR_NO_DEVICE.
        (100, _) => Ok(Vec::new()),
        (0, code) | (code, _) => Err(format!("the driver returned error {code}")),
    }
}

/// Returns the driver's name of a device.
pub(super) fn name(index: usize) -> Option<String> {
    type Init = unsafe extern "C" fn(flags: u32) -> c_int;
    type Device = unsafe extern "C" fn(device: *mut c_int, index: c_int) -> c_int;
    type Name = unsafe extern "C" fn(name: *mut c_char, length: c_int, device: c_int) -> c_int;
    let driver = driver().ok()?;
    // SAFETY: the types are those of cuInit, cuDeviceGet and cuDeviceGetName in the CUDA driver interface.
    let (init, device_get, device_name) = unsafe {
        (
            transmute::<*mut std::ffi::c_void, Init>(driver.symbol(c"cuInit")?.as_ptr()),
            transmute::<*mut std::ffi::c_void, Device>(driver.symbol(c"cuDeviceGet")?.as_ptr()),
            transmute::<*mut std::ffi::c_void, Name>(driver.symbol(c"cuDeviceGetName")?.as_ptr()),
        )
    };
    let index = c_int::try_from(index).ok()?;
    let (mut device, mut text) = (0, [0; 256]);
    // SAFETY: the pointers are to live variables, and the length is one less than the buffer's, which therefore
    // ends in NUL.
    let found = unsafe {
        init(0) == 0 && device_get(&mut device, index) == 0 && device_name(text.as_mut_ptr(), 255, device) == 0
    };
    // SAFETY: NUL-terminated, see above.
    found.then(|| unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned())
}

/// Returns the versions of cuDNN, cuBLAS and the driver, which select and contain the kernels in addition to libtorch. Call
/// this only after [`load`] has succeeded.
pub(super) fn versions() -> String {
    type Version = unsafe extern "C" fn() -> usize;
    let version = |name: &CStr| {
        // SAFETY: both functions take nothing and return a size_t.
        Library::symbol_of_any(name)
            .map(|found| unsafe { transmute::<*mut std::ffi::c_void, Version>(found.as_ptr())() })
    };
    let text = |number: Option<usize>| number.map_or("unknown".to_owned(), |number| number.to_string());
    let (cudnn, cublas) = (text(version(c"cudnnGetVersion")), text(version(c"cublasLtGetVersion")));
    format!("cuDNN {cudnn}, cuBLAS {cublas}, driver {}", driver_version().unwrap_or("unknown".to_owned()))
}

/// Returns the driver's version, such as `580.65.06`, from NVIDIA's management library, which comes with the driver.
fn driver_version() -> Option<String> {
    type Init = unsafe extern "C" fn() -> c_int;
    type Version = unsafe extern "C" fn(text: *mut c_char, length: u32) -> c_int;
    let library = Library::open(OsStr::new("libnvidia-ml.so.1"), Binding::LazyLocal).ok()?;
    let (init, version) = (library.symbol(c"nvmlInit_v2")?, library.symbol(c"nvmlSystemGetDriverVersion")?);
    let mut text = [0; 96];
    // SAFETY: the types are those of NVML's documentation; the length is one less than the buffer's, which therefore ends in
    // NUL.
    let found = unsafe {
        transmute::<*mut std::ffi::c_void, Init>(init.as_ptr())() == 0
            && transmute::<*mut std::ffi::c_void, Version>(version.as_ptr())(text.as_mut_ptr(), 95) == 0
    };
    // SAFETY: NUL-terminated, see above.
    found.then(|| unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned())
}

fn driver() -> Result<Library, String> {
    Library::open(OsStr::new("libcuda.so.1"), Binding::LazyLocal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_driver_or_libraries_the_reason_is_named() {
        let error = load(Path::new("/nowhere/lib")).unwrap_err();
        if driver().is_ok() {
            assert!(error.to_string().contains("/nowhere/cuda: run `wdpipe setup --cuda`"), "{error}");
        } else {
            assert!(matches!(error, CudaError::Driver(_)), "{error}");
            assert_eq!(name(0), None);
            assert!(devices().is_err_and(|why| !why.is_empty()));
        }
    }

    #[test]
    fn libtorch_sees_its_cuda_half_also_without_a_driver() {
        let loaded = super::super::load(&super::super::Libraries::default()).unwrap();
        match open(loaded.folder()) {
            Ok(_) => {}
            Err(CudaError::NotFound { .. }) => println!("skipped: `ci/setup --cuda` was not run"),
            Err(error) => panic!("{error}"),
        }
    }
}
