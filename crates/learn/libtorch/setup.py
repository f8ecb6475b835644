#!/usr/bin/env python3
"""Installs libtorch in a folder, and compiles tch's C++ half against it.

libtorch 2.11.0 comes from, in this order: the folder that LIBTORCH names (with include/ and lib/), a PyTorch of
that version installed for this Python, or the Python wheels, whose hashes are pinned below. Run it again at any
time: it does only the missing or changed parts, and continues after an interruption.

`ci/setup` runs it in a checkout, and `wdpipe setup` elsewhere. The C++ files, and the list of functions that the
program calls, are next to this file.
"""

import argparse
import concurrent.futures
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import pathlib
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

VERSION = "2.11.0"
# The version of the crate torch-sys with which the program was compiled.
TORCH_SYS = "0.24.0"
HERE = pathlib.Path(__file__).resolve().parent
SHIM = HERE / "shim.cpp"
GPU = HERE / "gpu.cpp"
SYMBOLS = HERE / "symbols.txt"
# The folder to install in; `main` sets it.
HOME = pathlib.Path()
MACOS = sys.platform == "darwin"
SUFFIX = ".dylib" if MACOS else ".so"

# Parts of torch's wheel: libraries that compute on the CPU, and libraries that add CUDA.
CPU_LIBRARIES = r"lib(torch_cpu|c10|gomp|omp|gfortran|arm_compute|arm_compute_graph|nvpl_\w+)\.(so|dylib)[.\d]*"
CUDA_LIBRARIES = r"lib(torch_cuda|c10_cuda|caffe2_nvrtc|torch_nvshmem)\.so"
# NVIDIA's libraries, except those that only other programs use.
NVIDIA_LIBRARIES = r"lib(?!nvblas|cufftw|cufile_rdma|nvrtc\.alt|nvrtc-builtins\.alt)[^/]+\.so[^/]*"

# The libraries that this script compiles.
COMPILED = {f"libtch{SUFFIX}", "libwdpipe_cuda.so"}

# The wheels by platform, with megabytes and SHA-256. The CPU part of PyTorch's Linux wheel is linked with NVIDIA's
# runtime and profiler, although it calls neither without a device.
WHEELS = {
    "linux x86_64": {
        "torch==2.11.0": (531, "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756"),
        "nvidia-cuda-runtime==13.0.96": (2, "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"),
        "nvidia-cuda-cupti==13.0.85": (11, "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"),
    },
    "linux aarch64": {
        "torch==2.11.0": (420, "f99924682ef0aa6a4ab3b1b76f40dc6e273fca09f367d15a524266db100a723f"),
        "nvidia-cuda-runtime==13.0.96": (2, "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55"),
        "nvidia-cuda-cupti==13.0.85": (11, "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151"),
    },
    "macos arm64": {
        "torch==2.11.0": (81, "4b5866312ee6e52ea625cd211dcb97d6a2cdc1131a5f15cc0d87eec948f6dd34"),
    },
}
CUDA_WHEELS = {
    "linux x86_64": {
        "nvidia-cublas==13.1.0.3": (423, "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171"),
        "nvidia-cuda-nvrtc==13.0.88": (90, "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575"),
        "nvidia-cudnn-cu13==9.19.0.56": (366, "d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf"),
        "nvidia-cufft==12.0.0.61": (214, "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3"),
        "nvidia-cufile==1.15.1.6": (1, "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44"),
        "nvidia-curand==10.4.0.35": (60, "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc"),
        "nvidia-cusparse==12.6.3.3": (146, "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b"),
        "nvidia-cusparselt-cu13==0.8.0": (170, "25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd"),
        "nvidia-nccl-cu13==2.28.9": (196, "e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42"),
        "nvidia-nvjitlink==13.0.88": (41, "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b"),
        "nvidia-nvshmem-cu13==3.4.5": (60, "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80"),
    },
    "linux aarch64": {
        "nvidia-cublas==13.1.0.3": (543, "c86fc7f7ae36d7528288c5d88098edcb7b02c633d262e7ddbb86b0ad91be5df2"),
        "nvidia-cuda-nvrtc==13.0.88": (43, "d27f20a0ca67a4bb34268a5e951033496c5b74870b868bacd046b1b8e0c3267b"),
        "nvidia-cudnn-cu13==9.19.0.56": (434, "6ed29ffaee1176c612daf442e4dd6cfeb6a0caa43ddcbeb59da94953030b1be4"),
        "nvidia-cufft==12.0.0.61": (214, "2708c852ef8cd89d1d2068bdbece0aa188813a0c934db3779b9b1faa8442e5f5"),
        "nvidia-cufile==1.15.1.6": (1, "bdc0deedc61f548bddf7733bdc216456c2fdb101d020e1ab4b88d232d5e2f6d1"),
        "nvidia-curand==10.4.0.35": (62, "133df5a7509c3e292aaa2b477afd0194f06ce4ea24d714d616ff36439cee349a"),
        "nvidia-cusparse==12.6.3.3": (162, "80bcc4662f23f1054ee334a15c72b8940402975e0eab63178fc7e670aa59472c"),
        "nvidia-cusparselt-cu13==0.8.0": (221, "400c6ed1cf6780fc6efedd64ec9f1345871767e6a1a0a552a1ea0578117ea77c"),
        "nvidia-nccl-cu13==2.28.9": (197, "01c873ba1626b54caa12272ed228dc5b2781545e0ae8ba3f432a8ef1c6d78643"),
        "nvidia-nvjitlink==13.0.88": (39, "e931536ccc7d467a98ba1d8b89ff7fa7f1fa3b13f2b0069118cd7f47bff07d0c"),
        "nvidia-nvshmem-cu13==3.4.5": (60, "6dc2a197f38e5d0376ad52cd1a2a3617d3cdc150fd5966f4aee9bcebb1d68fe9"),
    },
}

# CUDA's headers, with which gpu.cpp can be compiled on any machine.
HEADER_WHEELS = {
    "linux x86_64": {
        "nvidia-cuda-runtime==13.0.96": (2, "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"),
        "nvidia-cuda-crt==13.0.88": (1, "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4"),
    },
    "linux aarch64": {
        "nvidia-cuda-runtime==13.0.96": (2, "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55"),
        "nvidia-cuda-crt==13.0.88": (1, "ee2ea2a97073e02ee62bb27841f437332be2c248e3eac013df07997ada39c003"),
    },
}

COMPILE = ["-std=c++17", "-O1", "-fPIC", "-w", "-D_GLIBCXX_USE_CXX11_ABI=1"]
if MACOS:
    LINK = ["-shared", "-ltorch_cpu", "-lc10", "-Wl,-rpath,@loader_path", "-Wl,-install_name,@rpath/libtch.dylib"]
else:
    LINK = ["-shared", "-ltorch_cpu", "-lc10", "-Wl,-rpath,$ORIGIN", "-Wl,-z,lazy", "-Wl,-z,defs"]


class Problem(Exception):
    """An obstacle, described for the user."""


def say(text):
    print(f"setup: {text}", flush=True)


@contextlib.contextmanager
def step(text):
    """Reports that a step begins, and how long it took."""
    start = time.monotonic()
    say(f"{text} ...")
    yield
    say(f"{text}: {time.monotonic() - start:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuda", action="store_true", help="also install the CUDA libraries (download 2.3 GB, disk 2.8 GB)")
    parser.add_argument("--into", metavar="DIR", type=pathlib.Path, required=True, help="the folder to install in")
    arguments = parser.parse_args()
    global HOME
    HOME = arguments.into.resolve()
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another setup to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        set_up(arguments.cuda)


def set_up(cuda):
    stamp = Stamp()
    source = Source.find(stamp.values.get("libtorch"))
    for left_over in HOME.glob("partial-*"):
        shutil.rmtree(left_over)
    work = pathlib.Path(tempfile.mkdtemp(prefix="partial-", dir=HOME))
    try:
        broken = [name for name in cut_off(HOME / "lib") if name not in COMPILED]
        if broken:
            say(f"setting libtorch up again: {', '.join(broken)} was cut off")
        is_new = bool(broken) or stamp.values.get("libtorch") != source.stamp()
        is_new = is_new or not (HOME / f"lib/libtorch_cpu{SUFFIX}").exists()
        wanted = bindings_stamp()
        products = [HOME / f"lib/libtch{SUFFIX}", HOME / "shim.cpp"]
        if is_new or stamp.values.get("bindings") != wanted or not all(map(is_there, products)):
            # Say what is missing before half a gigabyte is downloaded.
            need_tools(downloads=is_new and not source.folder)
        if is_new:
            stamp.forget("libtorch", "bindings", "gpu")
            source.install(work)
            broken = [name for name in cut_off(HOME / "lib") if name not in COMPILED]
            if broken:
                raise Problem(f"{broken[0]} in {source.folder or 'the wheel'} is cut off: install that PyTorch again")
            stamp.set("libtorch", source.stamp())
        if stamp.values.get("bindings") != wanted or not all(map(is_there, products)):
            compile_bindings(work)
            stamp.set("bindings", wanted)
        if not MACOS and (stamp.values.get("gpu") != gpu_stamp() or not is_there(HOME / "lib/libwdpipe_cuda.so")):
            try:
                compile_gpu(work)
                stamp.set("gpu", gpu_stamp())
            except Problem as problem:
                # Everything works without this library, but a GPU is slower.
                say(f"steps on a GPU will not be recorded: {problem}")
        if cuda and source.brings_cuda():
            say("the CUDA libraries are next to libtorch already")
        elif cuda and source.folder:
            raise Problem(f"libtorch in {source.folder} has no CUDA: remove {HOME} and unset LIBTORCH to download one with it")
        elif cuda and not (
            stamp.values.get("cuda") == cuda_stamp() and (HOME / "cuda/libtorch_cuda.so").exists() and not cut_off(HOME / "cuda")
        ):
            install_cuda(work)
            stamp.set("cuda", cuda_stamp())
    finally:
        shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(HOME / "download", ignore_errors=True)
    say(f"libtorch {VERSION} is ready")


def cut_off(folder):
    """Lists the libraries in a folder that are shorter than their headers say (64-bit ELF)."""
    return [] if MACOS else sorted(path.name for path in folder.glob("lib*.so*") if not whole(path))


def is_there(product):
    return product.exists() and (product.name not in COMPILED or MACOS or whole(product))


def whole(library):
    size = library.stat().st_size
    with open(library, "rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
            return False
        (programs, sections), (segments, headers) = struct.unpack_from("<QQ", head, 32), struct.unpack_from("<HxxH", head, 56)
        if programs + 56 * segments > size or sections + 64 * headers > size:
            return False
        file.seek(programs)
        parts = [struct.unpack_from("<8xQ16xQ", file.read(56)) for _ in range(segments)]
        file.seek(sections)
        for _ in range(headers):
            kind, offset, length = struct.unpack_from("<4xI16xQQ", file.read(64))
            # Sections of kind 8 take no space in the file.
            parts += [(offset, length)] if kind != 8 else []
    return all(offset + length <= size for offset, length in parts)


class Stamp:
    """A note of the installed parts and their sources, so that the next run knows what is left to do."""

    def __init__(self):
        self.path = HOME / "stamp.json"
        try:
            self.values = json.loads(self.path.read_text())
        except (OSError, ValueError):
            self.values = {}

    def set(self, part, value):
        self.values[part] = value
        replace_text(self.path, json.dumps(self.values, indent=1))

    def forget(self, *parts):
        self.values = {part: value for part, value in self.values.items() if part not in parts}
        replace_text(self.path, json.dumps(self.values, indent=1))


class Source:
    """The source of libtorch: a folder with include/ and lib/, or the wheels if there is no folder."""

    def __init__(self, folder=None):
        self.folder = folder

    @staticmethod
    def find(current):
        named = os.environ.get("LIBTORCH")
        folder = pathlib.Path(named).resolve() if named else HOME
        if folder != HOME:
            version = version_of(folder)
            if version is None:
                raise Problem(f"LIBTORCH names {folder}, which has no include/, lib/ and version of libtorch")
            if version != VERSION:
                raise Problem(f"LIBTORCH names libtorch {version}; {VERSION} is needed (unset LIBTORCH to download it)")
            return Source(folder)
        # An existing setup stays, even if it was made from a folder that LIBTORCH no longer names.
        if current and current["version"] == VERSION:
            return Source(pathlib.Path(current["folder"]) if current["folder"] else None)
        found = importlib.util.find_spec("torch")
        for folder in map(pathlib.Path, found.submodule_search_locations or [] if found else []):
            version = version_of(folder)
            if version == VERSION:
                return Source(folder.resolve())
            say(f"ignoring PyTorch {version} in {folder}: {VERSION} is needed")
        return Source()

    def stamp(self):
        return {"version": VERSION, "folder": str(self.folder) if self.folder else None}

    def brings_cuda(self):
        return self.folder is not None and (self.folder / "lib/libtorch_cuda.so").exists()

    def install(self, work):
        (work / "lib").mkdir()
        if self.folder:
            say(f"using libtorch {VERSION} in {self.folder}")
            (work / "include").symlink_to(self.folder / "include")
            for library in (self.folder / "lib").iterdir():
                if re.fullmatch(CPU_LIBRARIES, library.name):
                    (work / "lib" / library.name).symlink_to(library.resolve())
        else:
            need_space(1.8, "libtorch")
            wheels = download(WHEELS)
            with step("unpacking libtorch"):
                unpack(wheels["torch"], r"torch/(include)/(.+)", work)
                unpack(wheels["torch"], rf"torch/(lib)/({CPU_LIBRARIES})", work)
                for name in ["nvidia-cuda-runtime", "nvidia-cuda-cupti"]:
                    if name in wheels:
                        unpack(wheels[name], r"nvidia/cu13/(lib)/(libcudart\.so.*|libcupti\.so.*)", work)
        # The bindings of the replaced libtorch are used until new ones are compiled.
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(HOME / f"lib/libtch{SUFFIX}", work / "lib")
        for name in ["include", "lib"]:
            replace_folder(work / name, HOME / name)
        replace_text(HOME / "build-version", f"{VERSION}\n")


def version_of(folder):
    """Returns the version of a libtorch or PyTorch folder, or None if it is neither."""
    if not (folder / f"lib/libtorch_cpu{SUFFIX}").exists() or not (folder / "include").is_dir():
        return None
    for name, pattern in [("build-version", r"([\d.]+)"), ("version.py", r"__version__ = '([\d.]+)")]:
        with contextlib.suppress(OSError):
            match = re.search(pattern, (folder / name).read_text())
            if match:
                return match[1]
    return None


def find_compiler():
    return next(filter(shutil.which, [os.environ.get("CXX") or "g++", "g++", "clang++"]), None)


def need_tools(downloads, compiles=True):
    """Fails if programs are missing, and names all of them with their packages."""
    missing, without_package = {}, []
    if downloads and subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode != 0:
        missing[f"pip for {sys.executable}"] = "python3-pip"
    if compiles and not (find_compiler() and shutil.which("nm")):
        missing["a C++ compiler (g++ or clang++)"] = "g++"
    if compiles and not shutil.which("cargo"):
        without_package = ["cargo (https://rustup.rs)"]
    if missing or without_package:
        packages = f" (Debian: apt-get install {' '.join(missing.values())})" if missing else ""
        raise Problem(f"these are missing, install them: {', '.join([*missing, *without_package])}{packages}")


def system():
    name = f"{'macos' if MACOS else sys.platform} {platform.machine()}"
    if name not in WHEELS:
        raise Problem(f"there is no libtorch {VERSION} for {name} in the registry: set LIBTORCH to a folder that has it")
    return name


def download(table):
    """Downloads wheels and returns their files by name. Existing files are checked, not downloaded again."""
    here = system()
    if here not in table:
        raise Problem(f"there is no CUDA for {here}")
    need_tools(downloads=True, compiles=False)
    folder, temporary = HOME / "download", HOME / "download/tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    machine = here.split()[1]
    tags = ["macosx_11_0_arm64"] if MACOS else [f"manylinux_2_{n}_{machine}" for n in (28, 27, 25, 18, 17, 12)]
    tags += [] if MACOS else [f"manylinux2014_{machine}", f"manylinux2010_{machine}"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    pip += ["--implementation=cp", "--python-version=3.12", f"--dest={folder}", *(f"--platform={tag}" for tag in tags)]
    wheels = {}
    for requirement, (megabytes, digest) in table[here].items():
        listed = folder / "requirements.txt"
        listed.write_text(f"{requirement} --hash=sha256:{digest}\n")
        with step(f"downloading {requirement} ({megabytes} MB)"):
            result = subprocess.run(
                [*pip, "-r", str(listed)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                env={**os.environ, "TMPDIR": str(temporary)},
            )
        name, version = requirement.split("==")
        found = list(folder.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
        if result.returncode != 0 or len(found) != 1:
            reason = "it has a wrong hash" if "HASHES" in result.stderr else last_lines(result.stderr)
            raise Problem(f"{requirement} could not be downloaded: {reason}")
        wheels[name] = found[0]
    return wheels


def unpack(wheel, pattern, to):
    """Unpacks the files whose names match, into the folder and file name given by the pattern's two groups."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            match = re.fullmatch(pattern, member.filename)
            if match and not member.is_dir():
                path = to / match[1] / match[2]
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(path, "wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)


def install_cuda(work):
    need_space(7.5, "the CUDA libraries")
    wheels = {**download(WHEELS), **download(CUDA_WHEELS)}
    with step("unpacking the CUDA libraries"):
        unpack(wheels["torch"], rf"torch/lib()/({CUDA_LIBRARIES})", work / "cuda")
        for name in (requirement.split("==")[0] for requirement in CUDA_WHEELS[system()]):
            unpack(wheels[name], rf"nvidia/[^/]+/lib()/({NVIDIA_LIBRARIES})", work / "cuda")
    replace_folder(work / "cuda", HOME / "cuda")


def cuda_stamp():
    return ["torch==" + VERSION, *CUDA_WHEELS.get(system(), {})]


def bindings_stamp():
    shim = hashlib.sha256(SHIM.read_bytes()).hexdigest()
    return {"torch-sys": TORCH_SYS, "shim": shim, "options": [*COMPILE, *LINK]}


def compile_bindings(work):
    compiler = find_compiler()
    need_space(0.1, "the bindings")
    source = torch_sys(work) / "libtch"
    include, lib = HOME / "include", HOME / "lib"
    options = [*COMPILE, f"-I{include}", f"-I{include}/torch/csrc/api/include", f"-I{source}"]

    def compile_file(path):
        out = work / f"{path.stem}.o"
        run([compiler, *options, "-c", str(path), "-o", str(out)], f"compiling {path.name}")
        return str(out)

    library = work / f"libtch{SUFFIX}"
    with step("compiling tch's bindings (one to three minutes)"):
        files = [source / "torch_api_generated.cpp", source / "torch_api.cpp", SHIM]
        shutil.copyfile(SHIM, work / "shim.cpp")
        with concurrent.futures.ThreadPoolExecutor(max_workers=min(3, os.cpu_count() or 1)) as pool:
            objects = list(pool.map(compile_file, files))
        run([compiler, *objects, "-o", str(library), f"-L{lib}", *LINK], "linking libtch")
    listing = run(["nm", "-gU" if MACOS else "-gD", str(library)], "listing the functions of libtch")
    names = re.findall(r" T _?(at\w*|get_and_reset_last_err|wdpipe_torch_\w+)$", listing, re.MULTILINE)
    if SYMBOLS.read_text().split() != sorted(names):
        replace_text(SYMBOLS, "".join(f"{name}\n" for name in sorted(names)))
        say(f"wrote the functions of the bindings to {SYMBOLS}: compile the program again")
    os.replace(library, lib / library.name)
    os.replace(work / "shim.cpp", HOME / "shim.cpp")


def gpu_stamp():
    return {"gpu": hashlib.sha256(GPU.read_bytes()).hexdigest(), "options": COMPILE}


def compile_gpu(work):
    """Compiles the CUDA code. Its references to libtorch's CUDA half are resolved at load time, so compiling does not need it."""
    wheels = download(HEADER_WHEELS)
    for wheel in wheels.values():
        unpack(wheel, r"nvidia/cu13/(include)/(.+)", work / "headers")
    include, library = HOME / "include", work / "libwdpipe_cuda.so"
    compiler = find_compiler() or "g++"
    options = [*COMPILE, f"-I{include}", f"-I{work}/headers/include", "-shared", "-Wl,-z,lazy"]
    with step("compiling the CUDA code"):
        run([compiler, *options, str(GPU), "-o", str(library)], "compiling gpu.cpp")
    os.replace(library, HOME / "lib" / library.name)


def torch_sys(work):
    """Returns the folder of the torch-sys sources, which cargo downloads if they are not there yet."""
    checkout = HERE.parent.parent.parent
    command = ["cargo", "metadata", "--format-version=1"]
    if (checkout / "Cargo.lock").exists():
        text = run([*command, "--locked"], "cargo metadata", cwd=checkout)
    else:
        project = work / "torch-sys"
        (project / "src").mkdir(parents=True)
        (project / "src/lib.rs").touch()
        dependency = f'[dependencies]\ntorch-sys = {{ version = "={TORCH_SYS}", default-features = false }}\n'
        (project / "Cargo.toml").write_text(f'[package]\nname = "sources"\nversion = "0.0.0"\nedition = "2021"\n{dependency}')
        text = run(command, "downloading torch-sys", cwd=project)
    package = next(package for package in json.loads(text)["packages"] if package["name"] == "torch-sys")
    if package["version"] != TORCH_SYS:
        raise Problem(f"Cargo.lock has torch-sys {package['version']}, but {__file__} names {TORCH_SYS}")
    return pathlib.Path(package["manifest_path"]).parent


def run(command, what, **options):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if result.returncode != 0:
        raise Problem(f"{what} failed: {last_lines(result.stderr)}")
    return result.stdout


def last_lines(text):
    return "\n".join(text.strip().splitlines()[-12:])


def need_space(gigabytes, what):
    free = shutil.disk_usage(HOME).free / 1e9
    if free < gigabytes:
        raise Problem(f"{what} needs {gigabytes} GB on the disk of {HOME}, but only {free:.1f} GB are free")


def replace_text(path, text):
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    os.replace(temporary, path)


def replace_folder(new, old):
    """Moves a finished folder into place. The folder that it replaces is moved to the folder of the unfinished one."""
    if old.is_symlink() or old.exists():
        os.replace(old, new.with_name(new.name + ".old"))
    os.replace(new, old)


if __name__ == "__main__":
    try:
        main()
    except Problem as problem:
        sys.exit(f"setup: {problem}")
    except OSError as error:
        sys.exit(f"setup: {error}")
    except KeyboardInterrupt:
        sys.exit("setup: stopped; the next run continues after the finished downloads")
