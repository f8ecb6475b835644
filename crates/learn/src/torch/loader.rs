//! Finds libtorch, opens it, and connects tch's functions to it.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, OnceLock};

use super::cuda::{self, CudaError};
use super::environment;
use super::gpu;
use super::library::{Binding, Library};
use super::setup::SHIM;
use super::shim;
use super::{caches, elf};
use base::work::Policy;

/// The version of libtorch that tch 0.24 requires. Other versions have other functions and compute other numbers.
pub const VERSION: &str = "2.11.0";

/// Where to look for libtorch.
#[derive(Debug, Clone, Default)]
pub struct Libraries {
    /// A folder that the user names (`WDPIPE_LIBTORCH`): libtorch's root or its `lib`, also that of a Python
    /// package. Only this folder is searched for libtorch then.
    pub chosen: Option<PathBuf>,
    /// The program's own file. The search covers `libtorch/lib` next to it, `.libtorch` in the checkout above it, and then
    /// the checkout where the program was compiled.
    pub program: Option<PathBuf>,
    /// The folder of this user's own libtorch, which is searched last.
    pub own: Option<PathBuf>,
    /// The numeric policy, which is the same for the whole process.
    pub policy: Policy,
}

/// The reason why libtorch could not be loaded, with a hint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The library is in none of the folders.
    #[error("{file} is not in {}: run `wdpipe setup`, or set WDPIPE_LIBTORCH to libtorch's folder", list(.searched))]
    NotFound {
        /// The file that is missing.
        file: String,
        /// The folders in the order in which they were searched.
        searched: Vec<PathBuf>,
    },
    /// The library exists but cannot be opened.
    #[error("cannot open {}: {reason}{}", .path.display(), cure(.reason))]
    Open {
        /// The library.
        path: PathBuf,
        /// The message of the dynamic loader.
        reason: String,
    },
    /// The library, or one that it opens, is damaged.
    #[error("{} is damaged: {damage}; run `wdpipe setup` again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage of the file.
        damage: elf::Damage,
    },
    /// The library is another version.
    #[error("libtorch in {} is version {found}, but {VERSION} is required: run `wdpipe setup`", .folder.display())]
    Version {
        /// The folder where it was found.
        folder: PathBuf,
        /// The version found.
        found: String,
    },
    /// The bindings were compiled from other sources than the program.
    #[error("{} lacks the function {name}: run `wdpipe setup` again", .path.display())]
    Symbol {
        /// The bindings.
        path: PathBuf,
        /// The missing function.
        name: &'static str,
    },
    /// The bindings were compiled with another version of our own C++ file.
    #[error("{} was compiled for another version of wdpipe: run `wdpipe setup` again", .0.display())]
    Stale(PathBuf),
    /// The portable policy is not possible on this machine.
    #[error("the policy `portable` needs {0}; to compute here with other keys, use `--set policy=native`")]
    Portable(String),
    /// Another policy is in force in this process.
    #[error("libtorch was loaded under another numeric policy in this process")]
    OtherPolicy,
    /// A library was opened but refused its settings.
    #[error("libtorch refused the numeric policy: {0}")]
    Policy(String),
}

/// The libtorch of this process.
#[derive(Debug)]
pub struct Loaded {
    folder: PathBuf,
    /// Folder of tch's C++ half, and of the libraries compiled with it.
    bindings: PathBuf,
    version: String,
    cpu_capability: String,
    policy: Policy,
    cuda: OnceLock<Result<PathBuf, CudaError>>,
}

impl Loaded {
    /// Returns the folder from which libtorch was loaded.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the version that libtorch reports.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the instruction set that libtorch's kernels use on this processor, such as `AVX2`.
    pub fn cpu_capability(&self) -> &str {
        &self.cpu_capability
    }

    /// Returns the numeric policy in force.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Loads the CUDA half once. Later calls return the first result.
    ///
    /// # Errors
    /// If there is no NVIDIA driver, the libraries are not installed or cannot be opened.
    pub fn load_cuda(&self) -> Result<&Path, CudaError> {
        let loaded = self.cuda.get_or_init(|| {
            let path = cuda::load(&self.folder)?;
            gpu::open(&self.bindings);
            Ok(path)
        });
        loaded.as_deref().map_err(Clone::clone)
    }

    /// Returns the file of the CUDA half, if it was loaded.
    pub fn cuda(&self) -> Option<&Path> {
        self.cuda.get()?.as_deref().ok()
    }

    /// Returns the number of usable CUDA devices: none before [`Self::load_cuda`] has succeeded.
    pub fn cuda_devices(&self) -> usize {
        let count = if self.cuda().is_some() { tch::Cuda::device_count() } else { 0 };
        usize::try_from(count).unwrap_or(0)
    }

    /// Returns the driver's name of a CUDA device, such as `NVIDIA H100 80GB HBM3`.
    pub fn cuda_name(&self, index: usize) -> Option<String> {
        if index < self.cuda_devices() { cuda::name(index) } else { None }
    }

    /// Returns the versions of cuDNN, cuBLAS and the driver, which determine the kernels of a CUDA device.
    pub fn cuda_versions(&self) -> String {
        cuda::versions()
    }
}

/// Loads libtorch once. Later calls return the libtorch of the first successful call, whatever folders they name. Afterwards,
/// tensor operations work in every thread, under the strict policy in IEEE float32 ([`super::policy`]); each
/// thread that computes must call [`super::policy::enter_thread`] or [`super::policy::apply`] first.
///
/// # Errors
/// If libtorch or its bindings are not found, cannot be opened or have another version. Each message includes a hint.
pub fn load(libraries: &Libraries) -> Result<&'static Loaded, LoadError> {
    static LOADED: OnceLock<Loaded> = OnceLock::new();
    static LOADING: Mutex<()> = Mutex::new(());
    let fits = |loaded: &'static Loaded| match loaded.policy == libraries.policy {
        true => Ok(loaded),
        false => Err(LoadError::OtherPolicy),
    };
    if let Some(loaded) = LOADED.get() {
        return fits(loaded);
    }
    if !environment::settle(libraries.policy) {
        return Err(LoadError::OtherPolicy);
    }
    // The guarded value is empty, so a panic of another holder cannot leave inconsistent data.
    let _loading = LOADING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match LOADED.get() {
        Some(loaded) => fits(loaded),
        None => {
            let loaded = open(libraries)?;
            Ok(LOADED.get_or_init(|| loaded))
        }
    }
}

fn open(libraries: &Libraries) -> Result<Loaded, LoadError> {
    let mut defaults = default_folders(libraries.program.as_deref());
    defaults.extend(libraries.own.iter().map(|own| own.join("lib")));
    let torch = match &libraries.chosen {
        Some(chosen) => find("torch_cpu", vec![chosen.clone(), chosen.join("lib")])?,
        None => find("torch_cpu", defaults.clone())?,
    };
    let folder = torch.parent().unwrap_or(Path::new("/")).to_owned();
    tracing::debug!(folder = %folder.display(), policy = libraries.policy.name(), "load libtorch");
    // The bindings belong to the program rather than to libtorch, which can come from another checkout.
    let bindings = find("tch", defaults.into_iter().chain([folder.clone()]).collect())?;

    if libraries.policy == Policy::Portable {
        // libtorch does not check that the instructions exist.
        portable_on(&Processor::here())?;
    }
    elf::check(&torch).map_err(|(path, damage)| LoadError::Damaged { path, damage })?;
    elf::whole(&bindings).map_err(|damage| LoadError::Damaged { path: bindings.clone(), damage })?;
    if is_stale(&bindings) {
        return Err(LoadError::Stale(bindings));
    }
    // libtorch is opened first, by its path: the bindings, and later the CUDA half, name it without a path and get this one.
    let opened = open_library(&torch, Binding::LazyGlobal)?;
    if libraries.policy == Policy::Portable {
        let unfit =
            |reason| LoadError::Portable(format!("another build of libtorch than {}: {reason}", torch.display()));
        caches::pin(opened, &torch).map_err(unfit)?;
    }
    let library = open_library(&bindings, Binding::LazyLocal)?;
    connect(library, &bindings)?;

    let version = version(&shim::config());
    if version != VERSION {
        return Err(LoadError::Version { folder, found: version });
    }
    shim::set_policy(false, true).and_then(|()| shim::enter_thread()).map_err(LoadError::Policy)?;
    let (policy, cpu_capability) = (libraries.policy, shim::cpu_capability());
    if policy == Policy::Portable && cpu_capability != "AVX2" {
        return Err(LoadError::Portable(format!("kernels for AVX2, and libtorch uses those for {cpu_capability}")));
    }
    let bindings = bindings.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(Loaded { folder, bindings, version, cpu_capability, policy, cuda: OnceLock::new() })
}

/// The properties of a processor that the portable policy requires.
struct Processor {
    architecture: &'static str,
    /// The missing ones of the instruction sets that libtorch's kernels for AVX2 use.
    missing: Vec<&'static str>,
}

impl Processor {
    fn here() -> Self {
        #[cfg(target_arch = "x86_64")]
        let sets = [
            ("AVX2", is_x86_feature_detected!("avx2")),
            ("FMA", is_x86_feature_detected!("fma")),
            ("F16C", is_x86_feature_detected!("f16c")),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let sets: [(&str, bool); 0] = [];
        let missing = sets.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect();
        Self { architecture: std::env::consts::ARCH, missing }
    }
}

fn portable_on(processor: &Processor) -> Result<(), LoadError> {
    let Processor { architecture, missing } = processor;
    let lacks = match (*architecture, &missing[..]) {
        ("x86_64", []) => return Ok(()),
        ("x86_64", missing) => format!("has no {}", missing.join(", ")),
        (other, _) => format!("is of the kind {other}"),
    };
    Err(LoadError::Portable(format!("an x86-64 processor with AVX2, FMA and F16C, and this one {lacks}")))
}

/// Checks whether the bindings were compiled with another [`SHIM`]: the installer leaves the file that it compiled next to their
/// folder.
fn is_stale(bindings: &Path) -> bool {
    #[expect(clippy::disallowed_methods, reason = "`learn` reads only what belongs to libtorch")]
    let compiled = bindings.ancestors().nth(2).and_then(|folder| std::fs::read(folder.join("shim.cpp")).ok());
    compiled.is_some_and(|compiled| compiled != SHIM.as_bytes())
}

/// Returns the folders that are searched if the user names none.
fn default_folders(program: Option<&Path>) -> Vec<PathBuf> {
    let beside = program.and_then(Path::parent);
    // The parents of other folders can belong to anybody.
    let target = beside.into_iter().flat_map(Path::ancestors).find(|folder| folder.ends_with("target"));
    // This crate is in `crates/learn` of the checkout where it was compiled.
    let checkouts =
        target.and_then(Path::parent).into_iter().chain(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2));
    let mut folders: Vec<PathBuf> = beside.map(|folder| folder.join("libtorch/lib")).into_iter().collect();
    folders.extend(checkouts.map(|checkout| checkout.join(".libtorch/lib")));
    folders.dedup();
    folders
}

/// Finds a library in the first folder that has it. Returns its real path, because libraries find their neighbours from there.
fn find(name: &str, searched: Vec<PathBuf>) -> Result<PathBuf, LoadError> {
    let file = file_name(name);
    match searched.iter().find_map(|folder| folder.join(&file).canonicalize().ok()) {
        Some(path) => Ok(path),
        None => Err(LoadError::NotFound { file, searched }),
    }
}

/// Returns the file name of a library: `libNAME.so`, on macOS `libNAME.dylib`.
pub(super) fn file_name(name: &str) -> String {
    format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

fn open_library(path: &Path, binding: Binding) -> Result<Library, LoadError> {
    Library::open(path.as_os_str(), binding).map_err(|reason| LoadError::Open { path: path.to_owned(), reason })
}

/// Points every jump to its function. Nothing is written unless all functions exist.
fn connect(library: Library, path: &Path) -> Result<(), LoadError> {
    let address = |name: &'static str| {
        let symbol = CString::new(name).ok().and_then(|name| library.symbol(&name));
        symbol.ok_or_else(|| LoadError::Symbol { path: path.to_owned(), name })
    };
    let addresses = jumps::NAMES.iter().map(|name| address(name)).collect::<Result<Vec<_>, _>>()?;
    for (entry, address) in jumps::TABLE.iter().zip(addresses) {
        entry.store(address.as_ptr().cast(), Ordering::Release);
    }
    Ok(())
}

/// Returns the version in libtorch's build settings, for example `..., TORCH_VERSION=2.11.0, USE_CUDA=ON, ...`.
fn version(config: &str) -> String {
    let rest = config.split("TORCH_VERSION=").nth(1).unwrap_or("unknown");
    rest.chars().take_while(|c| !c.is_whitespace() && *c != ',').collect()
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The functions of tch and `shim.cpp`, each a jump through one entry of a table.
mod jumps {
    use std::sync::atomic::AtomicPtr;

    /// The target of an entry until it is connected. A panic cannot leave an `extern "C"` function, so it ends
    /// the process.
    extern "C" fn not_loaded() -> ! {
        panic!("a tensor operation was called before torch::load: this is a defect in wdpipe")
    }

    const fn entry() -> AtomicPtr<()> {
        AtomicPtr::new(not_loaded as extern "C" fn() -> ! as *mut ())
    }

    // Defines NAMES, TABLE (entry i belongs to name i) and the jumps.
    include!(concat!(env!("OUT_DIR"), "/jumps.rs"));
}

/// Returns what to do about a message of the dynamic loader, as the end of that message.
fn cure(reason: &str) -> &'static str {
    if reason.contains("libstdc++.so.6: cannot open") {
        "; install the C++ runtime (Debian: apt-get install libstdc++6)"
    } else if reason.contains("GLIBC") && reason.contains("not found") {
        "; it was compiled on a newer system: run `wdpipe setup` on this one"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    fn random(shape: &[i64]) -> Tensor {
        Tensor::randn(shape, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn messages_of_the_dynamic_loader_have_a_cure() {
        let told =
            |reason: &str| LoadError::Open { path: "/l/libtch.so".into(), reason: reason.to_owned() }.to_string();
        let missing = "libstdc++.so.6: cannot open shared object file: No such file or directory";
        assert!(told(missing).ends_with("; install the C++ runtime (Debian: apt-get install libstdc++6)"));
        let old = "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.32' not found (required by /l/libtch.so)";
        assert!(told(old).ends_with("; it was compiled on a newer system: run `wdpipe setup` on this one"));
        assert_eq!(told("file too short"), "cannot open /l/libtch.so: file too short");
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.reshape([-1]).try_into().unwrap()
    }

    #[test]
    fn libtorch_loads_once_and_computes() {
        let loaded = load(&Libraries::default()).unwrap();
        assert_eq!(loaded.version(), VERSION);
        assert!(!loaded.cpu_capability().is_empty());
        let again = load(&Libraries { chosen: Some("/nowhere".into()), ..Libraries::default() }).unwrap();
        assert!(std::ptr::eq(loaded, again));

        let a = Tensor::from_slice(&[1.0_f64, 2.0, 3.0, 4.0]).reshape([2, 2]);
        let product: Vec<f64> = a.matmul(&a).reshape([4]).try_into().unwrap();
        assert_eq!(product, [7.0, 10.0, 15.0, 22.0]);
    }

    #[test]
    fn what_libtorch_throws_comes_back_as_an_error() {
        load(&Libraries::default()).unwrap();
        let error = random(&[3, 3]).f_matmul(&random(&[4, 3])).unwrap_err().to_string();
        assert!(error.contains("cannot be multiplied"), "{error}");
        assert!(Tensor::load_from_stream(std::io::Cursor::new(b"no tensor")).is_err());
    }

    #[test]
    fn gradients_of_a_convolution_repeat_bit_by_bit_in_every_thread() {
        load(&Libraries::default()).unwrap();
        let (images, weight) = (random(&[8, 4, 16, 16]), random(&[6, 4, 3, 3]));
        // Tensors do not cross threads, so each computes with its own copy of the same values.
        let (images, weight) = (values(&images), values(&weight));
        let gradient = || {
            super::super::policy::enter_thread().unwrap();
            let images = Tensor::from_slice(&images).reshape([8, 4, 16, 16]);
            let weight = Tensor::from_slice(&weight).reshape([6, 4, 3, 3]).set_requires_grad(true);
            let out = images.conv2d(&weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1);
            out.square().sum(Kind::Float).backward();
            values(&weight.grad()).into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let first = gradient();
        std::thread::scope(|scope| {
            for thread in [scope.spawn(gradient), scope.spawn(gradient)] {
                assert_eq!(thread.join().unwrap(), first);
            }
        });
        assert_eq!(gradient(), first);
    }

    #[test]
    fn the_portable_policy_is_refused_where_its_instructions_are_not() {
        let on = |architecture, missing: &[&'static str]| {
            portable_on(&Processor { architecture, missing: missing.to_vec() }).map_err(|error| error.to_string())
        };
        assert_eq!(on("x86_64", &[]), Ok(()));
        for (refused, why) in [
            (on("x86_64", &["AVX2", "FMA"]), "and this one has no AVX2, FMA;"),
            (on("aarch64", &[]), "and this one is of the kind aarch64;"),
        ] {
            let message = refused.unwrap_err();
            assert!(message.contains(why) && message.contains("`--set policy=native`"), "{message}");
        }
    }

    #[test]
    fn a_missing_library_is_reported_with_where_it_was_looked_for() {
        let libraries = Libraries { chosen: Some("/nowhere".into()), ..Libraries::default() };
        let error = open(&libraries).unwrap_err();
        assert_eq!(
            error,
            LoadError::NotFound {
                file: file_name("torch_cpu"),
                searched: vec!["/nowhere".into(), "/nowhere/lib".into()]
            }
        );
        assert!(error.to_string().contains("run `wdpipe setup`"), "{error}");
    }

    #[test]
    fn the_checkout_of_a_program_comes_before_the_one_where_it_was_compiled() {
        let folders = default_folders(Some(Path::new("/a/target/debug/deps/wdpipe")));
        let compiled = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join(".libtorch/lib");
        let expected = ["/a/target/debug/deps/libtorch/lib", "/a/.libtorch/lib"];
        assert_eq!(folders[..2], expected.map(PathBuf::from));
        assert_eq!(&folders[2..], std::slice::from_ref(&compiled));
        let installed = default_folders(Some(Path::new("/home/me/.cargo/bin/wdpipe")));
        assert_eq!(installed, [PathBuf::from("/home/me/.cargo/bin/libtorch/lib"), compiled]);
    }

    #[test]
    fn bindings_of_another_version_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let bindings = folder.path().join("lib/libtch.so");
        assert!(!is_stale(&bindings), "a library that somebody else compiled has no such file");
        std::fs::write(folder.path().join("shim.cpp"), SHIM).unwrap();
        assert!(!is_stale(&bindings));
        std::fs::write(folder.path().join("shim.cpp"), "// other").unwrap();
        assert!(is_stale(&bindings));
    }

    #[test]
    fn the_version_is_read_from_the_build_settings() {
        assert_eq!(version("  - Build settings: A=1, TORCH_VERSION=2.11.0, USE_CUDA=ON, "), "2.11.0");
        assert_eq!(version("TORCH_VERSION=2.9.1\n"), "2.9.1");
        assert_eq!(version(""), "unknown");
    }
}
