//! The text in the file of a claim: who holds it, and a number that grows while the holder is alive.

use std::time::Duration;

use files::Process;

/// First line of the text.
const HEADER: &str = "wdpipe claim 1";

/// Length of every text. It never changes, so that a text can be replaced while others read it.
const LENGTH: usize = 512;

/// Limit for the length of each name in a text.
const NAME_LIMIT: usize = 64;

/// The shortest and longest time between two heartbeats.
const BOUNDS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(60 * 60));

/// Names under which this process claims keys. The caller provides them, since the library does not read the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HolderName {
    /// The machine; can be empty.
    pub host: String,
    /// Number of the process.
    pub process: u32,
    /// The job of a cluster that the process belongs to, such as `4711_3`.
    pub job: Option<String>,
}

/// Who holds a claim, according to its file. Anyone who can write to the store can write anything there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The machine; can be empty.
    pub host: String,
    /// Number of the process on that machine.
    pub process: u32,
    /// The job of a cluster that the process belongs to.
    pub job: Option<String>,
    /// Name of the account.
    pub user: String,
    /// When the key was claimed, in seconds since 1970 by the clock of that machine.
    pub since: u64,
    /// Time between two signs of life.
    pub heartbeat: Duration,
}

/// The whole text of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClaimText {
    pub(super) holder: Holder,
    /// What tells other processes of the same machine whether the holder still exists.
    process: Option<Process>,
    /// Number of heartbeats so far.
    beats: u64,
}

/// Returns a heartbeat within the bounds.
pub(super) fn bounded(heartbeat: Duration) -> Duration {
    heartbeat.clamp(BOUNDS.0, BOUNDS.1)
}

impl ClaimText {
    /// Returns the text of a process that holds nothing yet.
    pub(super) fn new(name: &HolderName, user: &str, heartbeat: Duration) -> Self {
        let HolderName { host, process, job } = name;
        let job = job.as_deref().map(named).filter(|job| !job.is_empty());
        let (host, user, heartbeat) = (named(host), named(user), bounded(heartbeat));
        let holder = Holder { host, process: *process, job, user, since: 0, heartbeat };
        Self { holder, process: Process::of(*process), beats: 0 }
    }

    /// Returns the text for a key that is claimed now.
    pub(super) fn begun(&self) -> Self {
        let since = u64::try_from(files::now() / 1_000_000_000).unwrap_or_default();
        Self { holder: Holder { since, ..self.holder.clone() }, ..self.clone() }
    }

    /// Notes that the holder is alive.
    pub(super) fn beat(&mut self) {
        self.beats += 1;
    }

    /// Whether the holder is a process of this machine that no longer exists.
    pub(super) fn has_ended(&self) -> bool {
        self.process.as_ref().is_some_and(Process::has_ended)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let Holder { host, process, job, user, since, heartbeat } = &self.holder;
        let mut text = format!("{HEADER}\nhost {host}\nprocess {process}\nuser {user}\nsince {since}\n");
        for (name, value) in [
            ("job", job.clone()),
            ("place", self.process.as_ref().map(|process| process.place.clone())),
            ("started", self.process.as_ref().map(|process| process.started.to_string())),
        ] {
            text += &value.map(|value| format!("{name} {value}\n")).unwrap_or_default();
        }
        text += &format!("heartbeat {}\nbeats {}\n", heartbeat.as_secs_f64(), self.beats);
        // All parts are bounded, so they fit.
        format!("{text:<width$}\n", width = LENGTH - 1).into_bytes()
    }

    /// Reads a text; `None` if it is empty or not a text of this version. Anybody can have written it.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() == LENGTH)?;
        let lines = text.strip_prefix(HEADER)?.strip_prefix('\n')?;
        let value = |name: &str| lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let name = |value: &str| Some(value.to_owned()).filter(|value| named(value) == *value);
        let holder = Holder {
            host: name(value("host")?)?,
            process: value("process")?.parse().ok()?,
            job: value("job").and_then(name),
            user: name(value("user")?)?,
            since: value("since")?.parse().ok()?,
            heartbeat: Duration::try_from_secs_f64(value("heartbeat")?.parse().ok()?).map(bounded).ok()?,
        };
        let process = value("place").zip(value("started")).and_then(|(place, started)| {
            Some(Process { place: name(place)?, number: holder.process, started: started.parse().ok()? })
        });
        Some(Self { process, beats: value("beats")?.parse().ok()?, holder })
    }
}

#[cfg(test)]
impl ClaimText {
    pub(super) fn beats(&self) -> u64 {
        self.beats
    }

    /// Pretends that the process runs on another machine.
    pub(super) fn moved_to(&mut self, place: &str) {
        if let Some(process) = &mut self.process {
            place.clone_into(&mut process.place);
        }
    }
}

/// Returns a name in a form that fits in a text: at most 64 characters of printable ASCII.
fn named(name: &str) -> String {
    let plain = name.trim().chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' });
    plain.take(NAME_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ClaimText {
        let name = HolderName { host: "n2".into(), process: std::process::id(), job: Some("12_3".into()) };
        ClaimText::new(&name, "ann", Duration::from_millis(200)).begun()
    }

    #[test]
    fn a_text_is_read_as_it_was_written_and_always_has_the_same_length() {
        let mut text = sample();
        assert!(!text.has_ended() && text.holder.since > 1_700_000_000);
        assert_eq!(ClaimText::read(&text.to_bytes()), Some(text.clone()));
        text.beats = u64::MAX - 1;
        text.beat();
        let longest = || "x".repeat(100);
        let name = HolderName { host: longest(), process: u32::MAX, job: Some(longest()) };
        let heartbeat = Duration::from_nanos(3_599_999_999_999);
        let long = ClaimText { beats: u64::MAX, ..ClaimText::new(&name, &longest(), heartbeat).begun() };
        let process = Process { place: longest()[..64].to_owned(), number: u32::MAX, started: u64::MAX };
        let long = ClaimText { process: Some(process), ..long };
        for text in [text, long] {
            assert_eq!(text.to_bytes().len(), LENGTH);
            assert_eq!(ClaimText::read(&text.to_bytes()), Some(text));
        }
    }

    #[test]
    fn names_are_made_harmless_and_times_bounded() {
        let name = HolderName { host: "a\u{1b}[2J\nbeats 9".into(), process: 1, job: Some(" ".into()) };
        for (given, wanted) in [(0, 0.05), (86_400, 3600.0)] {
            let text = ClaimText::new(&name, "Žofie K", Duration::from_secs(given));
            let Holder { host, job, user, heartbeat, .. } = &text.holder;
            assert_eq!((&**host, &**user, job), ("a?[2J?beats 9", "?ofie K", &None));
            assert!((heartbeat.as_secs_f64() - wanted).abs() < 1e-9);
            assert_eq!(ClaimText::read(&text.to_bytes()), Some(text));
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let text = String::from_utf8(sample().to_bytes()).unwrap();
        let with = |from: &str, to: &str| {
            let changed = format!("{}\n", text.trim_end()).replace(from, to);
            format!("{changed:<511}\n").into_bytes()
        };
        assert_eq!(ClaimText::read(&with("ann", "ann")), Some(ClaimText::read(text.as_bytes()).unwrap()));
        assert!(ClaimText::read(&with("job 12_3\n", "")).unwrap().holder.job.is_none());
        let huge = with("heartbeat 0.2", "heartbeat 1e9");
        assert_eq!(ClaimText::read(&huge).unwrap().holder.heartbeat, BOUNDS.1);
        for bad in [
            Vec::new(),
            text.as_bytes()[1..].to_vec(),
            text.repeat(2).into_bytes(),
            vec![0xff; LENGTH],
            with("claim 1", "claim 2"),
            with("host n2", "host n\u{1b}2"),
            with("heartbeat 0.2", "heartbeat -1"),
            with("heartbeat 0.2", "heartbeat nan"),
            with("beats 0", "beats x"),
            with("process", "prozess"),
        ] {
            assert_eq!(ClaimText::read(&bad), None, "{}", String::from_utf8_lossy(&bad));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_ends_the_program(at in 0..512_usize, with in "\\PC{0,40}") {
            let whole = String::from_utf8(sample().to_bytes()).unwrap();
            let cut = format!("{}{with}{}", &whole[..at], &whole[at..]);
            let _ = ClaimText::read(cut.as_bytes());
            let _ = ClaimText::read(cut.as_bytes().get(..LENGTH).unwrap_or_default());
        }
    }
}
