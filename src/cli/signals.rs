//! How the program ends: when it is asked to by a signal, and when it is done.
//!
//! It ends by `_exit`, never by `exit`: that would run the handlers and destructors of libtorch and CUDA while threads
//! still compute, and crash. Nothing of ours needs them, since no file is half-written at any instant.

use crate::project::ExitCode;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The polite requests to end.
const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Set by the first signal, if the command looks at it.
static CANCEL: OnceLock<Arc<AtomicBool>> = OnceLock::new();
/// Whether a person sees standard error.
static TERMINAL: AtomicBool = AtomicBool::new(false);

/// From now on a signal ends the program with its exit code. What is ignored stays so, as `nohup` has it.
pub fn install() {
    TERMINAL.store(std::io::stderr().is_terminal(), Ordering::Relaxed);
    for signal in SIGNALS {
        // SAFETY: the structures live on this stack and are set up as sigaction wants them; the handler calls nothing that
        // a handler must not.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, std::ptr::null(), &raw mut action) != 0 || action.sa_sigaction == libc::SIG_IGN {
                continue;
            }
            action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            libc::sigemptyset(&raw mut action.sa_mask);
            // If that is refused the signal still ends the program, with another code.
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// A flag that the first signal sets; from then on only the second one ends the program.
pub fn cancel_on_interrupt() -> Arc<AtomicBool> {
    Arc::clone(CANCEL.get_or_init(Arc::default))
}

/// Runs on whichever thread the signal meets, between any two of its instructions.
extern "C" fn on_signal(_: libc::c_int) {
    if let Some(cancel) = CANCEL.get()
        && !cancel.swap(true, Ordering::Relaxed)
    {
        return;
    }
    if TERMINAL.load(Ordering::Relaxed) {
        // Away from the last line of the live view, and from the `^C`.
        // SAFETY: a byte of static memory.
        unsafe { libc::write(libc::STDERR_FILENO, c"\n".as_ptr().cast(), 1) };
    }
    end(ExitCode::Interrupted)
}

/// Ends the program at its end.
pub fn leave(code: ExitCode) -> ! {
    // Whoever wrote an answer has heard whether that failed.
    let _ = std::io::stdout().flush();
    end(code)
}

fn end(code: ExitCode) -> ! {
    // SAFETY: it takes a plain value and does not return.
    unsafe { libc::_exit(code as libc::c_int) }
}
