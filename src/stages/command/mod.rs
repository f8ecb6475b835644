//! The stage `command`: runs the user's program in a folder that contains only what the stage declares.

mod csv;
mod gpu;
mod image;
mod installation;
mod interpreter;
mod modules;
mod packages;
mod shell;
mod undeclared;

pub use shell::CommandSandbox;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Device, Outputs, Progress, Read, Report, StageError};
use base::digest::ObjectDigest;
use base::isolation::Isolation;
use base::rng::Stream;
use base::table::Table;
use base::work::{Command, OutputFormat, Parameter};
use draw::stamp;
use gpu::GpuAccess;
use installation::Installation;
use sandbox::{Ended, How, Level, Limits, Order, SandboxError};

/// Maximum size of a declared file or an output, and of all outputs together, in bytes.
const FILE_LIMIT: u64 = 256 << 20;
const OUTPUT_LIMIT: u64 = 4 << 30;
/// Maximum number of files that a command can create in its folder.
const FILES: u64 = 100_000;
/// Number of bytes that are kept of what the program prints. They become part of the record.
const LOG: u64 = 16 << 10;
/// Number of lines of this output that an error shows.
const LINES: usize = 20;

/// Compares the declared files of a recorded command with those in the project's folder. Returns what is wrong, if
/// anything is.
pub fn other_files(work: &Command, root: &Path) -> Option<String> {
    let files = work.code.iter().chain(work.lock.iter().map(|lock| (&lock.path, &lock.hash)));
    let wrong = |(path, hash): (&String, &String)| match files::read_regular(&root.join(path), FILE_LIMIT) {
        Ok(bytes) if ObjectDigest::of(&bytes).to_string() == *hash => None,
        Ok(_) => Some(format!("{path} differs from the recorded one: check out the commit of the lock")),
        Err(error) if error.is_missing() => Some(format!("{path} does not exist: check out the commit of the lock")),
        Err(error) => Some(error.to_string()),
    };
    work.check_names().err().or_else(|| files.filter_map(wrong).next())
}

/// Runs a command. It can use a GPU if `device` is one.
pub fn run(work: &Command, device: &Device, read: &Read<'_>, report: &mut Report<'_>) -> Result<Outputs, StageError> {
    let report = std::cell::RefCell::new(report);
    let is_cancelled = || !(report.borrow_mut())(Progress::Done(0.0));
    let Prepared { folder, installation, gpu, order } = prepared(work, (device, None), read, &is_cancelled)?;
    let ended = sandbox::run(&order, &is_cancelled).map_err(refused)?;
    if let Some(why) = failure(work, &ended)? {
        let undeclared = match ended.how {
            // In an image, paths lead to other files.
            How::Exited(_) if work.image.is_none() => {
                let log = String::from_utf8_lossy(&ended.log);
                let lock = work.lock.as_ref().map(|lock| lock.path.as_str());
                let named = undeclared::words(&order, &work.terms.root, folder.new_one("trace")?, &is_cancelled);
                match modules::advice(&log, installation.environment(), lock) {
                    Some(advice) if named.is_empty() => format!("\n    {advice}"),
                    _ => named,
                }
            }
            _ => String::new(),
        };
        return Err(StageError::Command(format!("{why}{}{undeclared}", last_lines(&ended))));
    }
    let mut outputs = Vec::new();
    for (recorded, name, out) in work.outputs() {
        let file = PathBuf::from("out").join(format!("{name}.{}", out.format.extension()));
        let failed = |why: String| StageError::Command(format!("the output `{name}`: {why}{}", last_lines(&ended)));
        let bytes = sandbox::collect(&order.folder, &file, FILE_LIMIT).map_err(|error| {
            failed(match error.is_missing() {
                true => format!("the program did not write it: it must write to {{out.{name}}}"),
                false => error.to_string(),
            })
        })?;
        outputs.push((recorded, stored(out.format, &out.columns, bytes).map_err(failed)?));
    }
    let mut outputs = Outputs::new(outputs, 1.0);
    let version = match (&work.image, installation.program()) {
        (None, Some(program)) => interpreter::version(&order, program, folder.new_one("version")?, &is_cancelled),
        _ => None,
    };
    let level = isolation(order.level);
    let words = [Some(level.words()), Some(installation.words()), version, gpu.words().map(str::to_owned)];
    outputs.machine = Some(words.into_iter().flatten().collect::<Vec<_>>().join(", "));
    outputs.device = gpu.is_some().then_some("cuda");
    outputs.log = String::from_utf8_lossy(&ended.log).into_owned();
    Ok(outputs)
}

/// A command that is ready to run.
#[derive(Debug)]
struct Prepared {
    folder: Folder,
    installation: Installation,
    gpu: GpuAccess,
    order: Order,
}

/// Prepares a folder with the declared files and the inputs of a command, and the order to run it there: at a level, or
/// else at the strictest one.
fn prepared(
    work: &Command,
    (device, wanted): (&Device, Option<Level>),
    read: &Read<'_>,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Prepared, StageError> {
    work.check_names().map_err(StageError::Command)?;
    let folder = Folder::new()?;
    let reads = fill(work, &folder.path().join("files"), read)?;
    let installation = Installation::of(work);
    missing_program(work, &installation)?;
    let gpu = GpuAccess::of(device).map_err(StageError::Device)?;
    if let Some(lock) = &work.lock {
        let text = String::from_utf8_lossy(&declared(work, &lock.path, &lock.hash)?).into_owned();
        packages::check(&lock.path, &text, installation.environment()).map_err(StageError::Unavailable)?;
    }
    let level = match wanted {
        Some(level) => level,
        None => self::level(work, (&installation, &gpu), &folder, is_cancelled)?,
    };
    let order = order(work, (&installation, &gpu, level), (folder.new_one("work")?, reads), work.words())?;
    Ok(Prepared { folder, installation, gpu, order })
}

/// Fails if there is no such program.
fn missing_program(work: &Command, installation: &Installation) -> Result<(), StageError> {
    let words = work.image.as_ref().map_or(&work.run, |image| &image.with);
    let program = words.first().map_or("", String::as_str);
    if installation.program().is_some() || work.code.contains_key(program.strip_prefix("./").unwrap_or(program)) {
        return Ok(());
    }
    Err(StageError::Unavailable(match program.contains('/') && !program.starts_with('/') {
        true => format!("there is no program `{program}`: declare it in `code`"),
        false => format!("there is no program `{program}` in {}", installation.path()),
    }))
}

/// A temporary folder that is removed when this value is dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, StageError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let user = files::Account::current().user;
        let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let above = files::canonical(&std::env::temp_dir())?.join(format!("wdpipe-{user}"));
        let path = above.join(format!("command-{process}-{number}"));
        files::private_folder(&above)?;
        // An earlier process with the same ID may have left the folder behind.
        if files::identity(&path)?.is_some() {
            sandbox::remove(&path)?;
        }
        files::private_folder(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// Creates a subfolder with an empty folder `out`.
    fn new_one(&self, name: &str) -> Result<PathBuf, StageError> {
        let path = self.0.join(name);
        files::private_folder(&path)?;
        files::create_folder(&path.join("out"))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If this fails, the system's cleaning of temporary files removes the folder later.
        let _ = sandbox::remove(&self.0);
    }
}

/// Copies the declared files and the inputs into a folder. Returns the path of each copy, and its name for the command.
fn fill(work: &Command, folder: &Path, read: &Read<'_>) -> Result<Vec<(PathBuf, PathBuf)>, StageError> {
    let mut reads = Vec::new();
    let mut put = |name: String, bytes: &[u8]| -> Result<PathBuf, StageError> {
        let path = folder.join(&name);
        files::create_folder(path.parent().unwrap_or(folder))?;
        files::replace(&path, bytes)?;
        reads.push((path.clone(), PathBuf::from(name)));
        Ok(path)
    };
    for (path, hash) in &work.code {
        let copy = put(path.clone(), &declared(work, path, hash)?)?;
        // The key does not hold modes, so every file of `code` can be run.
        if let Some(access) = files::access(&copy)? {
            files::set_access(&copy, access.group, 0o700)?;
        }
    }
    for input in &work.inputs {
        let bytes = read(input)?;
        let bytes = match input.ends_with(".csv") {
            true => {
                let table = Table::from_bytes(&bytes)?;
                let settings = work.collected.get(input);
                let table = settings.map(|settings| csv::with_settings(&table, settings)).transpose()?.unwrap_or(table);
                csv::written(&table).into_bytes()
            }
            false => bytes,
        };
        put(format!("in/{input}"), &bytes)?;
    }
    Ok(reads)
}

/// Reads a declared file. Fails if the file has changed since the key was computed.
fn declared(work: &Command, path: &str, hash: &str) -> Result<Vec<u8>, StageError> {
    let bytes = files::read_regular(&work.terms.root.join(path), FILE_LIMIT)?;
    match ObjectDigest::of(&bytes).to_string() == hash {
        true => Ok(bytes),
        false => Err(StageError::Command(format!("`{path}` was changed while the stages ran; run the command again"))),
    }
}

/// Returns the strictest sandbox level that is available for a command. Fails if the stage needs a stricter one.
fn level(
    work: &Command,
    (installation, gpu): (&Installation, &GpuAccess),
    folder: &Folder,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Level, StageError> {
    let wanted = work.terms.isolation.unwrap_or_default();
    let level = match &work.image {
        None => sandbox::available().first().copied().unwrap_or(Level::None),
        Some(image) => image::level(image, wanted, &|level, words| {
            let own = folder.new_one(&format!("try-{level}"))?;
            let order = order(work, (installation, gpu, level), (own, Vec::new()), words)?;
            sandbox::run(&order, is_cancelled).map_err(refused)
        })?,
    };
    if isolation(level) < wanted {
        let stricter = Level::ALL.into_iter().filter(|level| isolation(*level) >= wanted);
        let why: Vec<_> = stricter.filter_map(sandbox::why_not).collect();
        return Err(StageError::Unavailable(format!(
            "the stage needs a sandbox of level {wanted} or stricter, and this machine has none: {}",
            why.join("; ")
        )));
    }
    Ok(level)
}

fn refused(error: SandboxError) -> StageError {
    StageError::Command(error.to_string())
}

fn isolation(level: Level) -> Isolation {
    match level {
        Level::Namespaces => Isolation::Namespaces,
        Level::Landlock => Isolation::Landlock,
        Level::None => Isolation::None,
    }
}

/// Returns a seed for the random numbers of a program, below 2³² as NumPy and R want it. It is derived, as all seeds, from the
/// parameter `seed` (0 if there is none) and the checkpoint.
fn seed(work: &Command) -> u64 {
    let seed = match work.parameters.get("seed") {
        Some(Parameter::Int(seed)) => seed.unsigned_abs(),
        _ => 0,
    };
    let after: Vec<u64> = work.after.into_iter().map(u64::from).collect();
    Stream::new(seed, "command", &after).next_u64() >> 32
}

/// Returns the order that runs some words of a command in a folder with the given files.
fn order(
    work: &Command,
    (installation, gpu, level): (&Installation, &GpuAccess, Level),
    (folder, reads): (PathBuf, Vec<(PathBuf, PathBuf)>),
    words: Vec<String>,
) -> Result<Order, StageError> {
    let mut variables: BTreeMap<String, String> =
        installation::VARIABLES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    variables.insert("PATH".to_owned(), installation.path());
    variables.insert("WDPIPE_SEED".to_owned(), seed(work).to_string());
    variables.extend(work.variables.clone());
    variables.extend(gpu.variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let memory = (work.terms.memory > 0).then_some(work.terms.memory);
    let mut order = Order {
        level,
        program: Vec::new(),
        folder,
        reads,
        system: installation.folders(),
        mounts: Vec::new(),
        variables,
        devices: gpu.files.clone(),
        limits: Limits {
            seconds: work.terms.seconds as f64,
            memory,
            output_bytes: OUTPUT_LIMIT,
            output_files: FILES,
            log_bytes: LOG,
        },
    };
    let words = words.into_iter().map(Into::into).collect();
    match &work.image {
        None => order.program = words,
        Some(image) => {
            order.program = image::program(image, &order, words);
            order.mounts = image::accounts(order.folder.parent().unwrap_or(&order.folder))?;
        }
    }
    Ok(order)
}

/// Returns how a command failed, or `None` if it succeeded.
fn failure(work: &Command, ended: &Ended) -> Result<Option<String>, StageError> {
    Ok(Some(match ended.how {
        How::Exited(0) => return Ok(None),
        How::Cancelled => return Err(StageError::Cancelled),
        How::Exited(code) => format!("it ended with exit code {code}"),
        How::Signal(signal) => format!("signal {signal} ended it"),
        How::TimedOut => format!("it took longer than {} s: raise `seconds`", work.terms.seconds),
        How::OutOfMemory => format!("it took more than {} MiB of memory: raise `memory`", work.terms.memory >> 20),
        How::TooMuchOutput => format!("it wrote more than {} GiB or {FILES} files", OUTPUT_LIMIT >> 30),
        How::TooManyProcesses => format!("it started more than {} processes", sandbox::PROCESSES),
    }))
}

/// Returns the last lines that a program printed, for a message.
fn last_lines(ended: &Ended) -> String {
    let text = String::from_utf8_lossy(&ended.log);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let shown = &lines[lines.len().saturating_sub(LINES)..];
    shown.iter().map(|line| format!("\n    {line}")).collect()
}

/// Checks an output, and returns the bytes to store: tables are converted to the table format, drawings get a place for a
/// stamp, and other outputs are stored unchanged.
fn stored(format: OutputFormat, columns: &[String], bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let drawing = |format| stamp::prepared(format, &bytes).map_err(|error| error.to_string());
    let (fine, wanted) = match format {
        OutputFormat::Table => {
            let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
            let table = csv::read(&text)?;
            let found: Vec<&str> = table.columns().iter().map(|column| column.name.as_str()).collect();
            if !columns.is_empty() && found != columns {
                return Err(format!(
                    "its columns are {}, but the pipeline declares {}",
                    found.join(", "),
                    columns.join(", ")
                ));
            }
            return table.to_bytes().map_err(|error| error.to_string());
        }
        OutputFormat::Json => (serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok(), "it is not JSON"),
        OutputFormat::Weights => (
            safetensors::SafeTensors::deserialize(&bytes).is_ok(),
            "it is not a safetensors file, as safetensors.torch.save_file writes it; declare other files as \"file\"",
        ),
        OutputFormat::File => return Ok(bytes),
        OutputFormat::Svg => return drawing(stamp::Format::Svg),
        OutputFormat::Pdf => return drawing(stamp::Format::Pdf),
        OutputFormat::Png => return drawing(stamp::Format::Png),
    };
    if fine { Ok(bytes) } else { Err(wanted.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::value::Value;
    use base::work::Work;

    /// A changed seed changes the results of programs, so it needs a new version of the kind.
    #[test]
    fn the_seed_of_a_program_depends_on_its_seed_and_checkpoint() {
        let command = |seed: &str, after: Option<u32>| -> Command {
            let text = format!("run = ['x']\ninputs = []\ncode = {{}}\nout = {{}}\nparameters = {{ {seed} }}\n");
            let parameters = Value::of(&toml::from_str::<toml::Table>(&text).unwrap()).unwrap();
            let Value::Map(map) = parameters else { panic!() };
            let Ok(Work::Command(mut command)) = Work::from_parameters("command", 2, &map) else { panic!() };
            command.after = after;
            command
        };
        let seeds =
            [("", None), ("seed = 1", None), ("seed = 1", Some(5))].map(|(text, after)| seed(&command(text, after)));
        assert_eq!(seeds, [168_197_709, 2_014_843_815, 2_556_708]);
        assert_eq!(seed(&command("seed = 0", None)), seeds[0]);
    }
}
