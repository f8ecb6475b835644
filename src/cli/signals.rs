//! End of the program: on a signal, or when the command is done.
//!
//! The program ends with `_exit`, never with `exit`: `exit` would run the handlers and destructors of libtorch and CUDA
//! while threads still compute, and crash. Our own code needs no such handlers, since no file is half-written at any time.

use crate::project::ExitCode;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Signals that request the program to end.
const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Flag that the first signal sets, if the command uses it.
static CANCEL: OnceLock<Arc<AtomicBool>> = OnceLock::new();
/// Whether standard error is a terminal.
static TERMINAL: AtomicBool = AtomicBool::new(false);

/// Makes signals end the program with its exit code for interruptions. Ignored signals stay ignored, as `nohup` requires.
pub fn install() {
    TERMINAL.store(std::io::stderr().is_terminal(), Ordering::Relaxed);
    for signal in SIGNALS {
        // SAFETY: the structures are on this stack and set up as sigaction requires; the handler calls only functions that
        // are allowed in a handler.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, std::ptr::null(), &raw mut action) != 0 || action.sa_sigaction == libc::SIG_IGN {
                continue;
            }
            action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            libc::sigemptyset(&raw mut action.sa_mask);
            // If this call fails, the signal still ends the program, but with another exit code.
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Returns a flag that the first signal sets; after this call, only the second signal ends the program.
pub fn cancel_on_interrupt() -> Arc<AtomicBool> {
    Arc::clone(CANCEL.get_or_init(Arc::default))
}

/// Handles a signal on the thread that receives it, between any two of its instructions.
extern "C" fn on_signal(_: libc::c_int) {
    if let Some(cancel) = CANCEL.get()
        && !cancel.swap(true, Ordering::Relaxed)
    {
        return;
    }
    if TERMINAL.load(Ordering::Relaxed) {
        // Start a new line after the live view and the `^C`.
        // SAFETY: writes one byte of static memory.
        unsafe { libc::write(libc::STDERR_FILENO, c"\n".as_ptr().cast(), 1) };
    }
    end(ExitCode::Interrupted)
}

/// Ends the program when the command is done.
pub fn leave(code: ExitCode) -> ! {
    // A failure is ignored here: the writer of an answer was already told of it.
    let _ = std::io::stdout().flush();
    end(code)
}

fn end(code: ExitCode) -> ! {
    // SAFETY: `_exit` takes a plain value and does not return.
    unsafe { libc::_exit(code as libc::c_int) }
}
