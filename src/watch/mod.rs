//! A page with the live values of running stages, for `wdpipe watch`. Training knows nothing about those who watch.

mod board;
mod http;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::engine::RunningStage;
use board::Board;
use http::Content;
pub use http::Door;

/// Shortest time between two looks into the store.
const LOOK: Duration = Duration::from_millis(500);

/// The files of the page, by the ends of their addresses.
const FILES: [(&str, &str, &str); 3] = [
    ("", "text/html; charset=utf-8", include_str!("page.html")),
    ("watch.css", "text/css; charset=utf-8", include_str!("watch.css")),
    ("watch.js", "text/javascript; charset=utf-8", include_str!("watch.js")),
];

impl Door {
    /// Serves the page until `is_over` returns true. `look` returns the stages that run now.
    ///
    /// # Errors
    /// If the system refuses to serve.
    pub fn show(self, look: impl Fn() -> Vec<RunningStage>, is_over: impl Fn() -> bool) -> std::io::Result<()> {
        let board = Rc::new(RefCell::new(Board::default()));
        let shown = Rc::clone(&board);
        let routes = move |name: &str| match FILES.iter().find(|(own, ..)| *own == name) {
            Some((_, kind, text)) => Some(Content { kind, text: (*text).to_owned() }),
            None if name == "state.json" => {
                Some(Content { kind: "application/json", text: shown.borrow().to_json(Instant::now()) })
            }
            None => None,
        };
        let looked = Cell::new(None::<Instant>);
        // Curves also grow while no page is open.
        let tick = || {
            let now = Instant::now();
            if looked.get().is_none_or(|looked| now.duration_since(looked) >= LOOK) {
                board.borrow_mut().update(look(), now);
                looked.set(Some(now));
            }
            is_over()
        };
        self.serve(routes, tick)
    }
}
