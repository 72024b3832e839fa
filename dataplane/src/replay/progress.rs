//! Shows a replay's progress: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Progress, Summary};

/// The time between two lines in a log.
const A_LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begins(&mut self, _: u64) {}
    fn goes_on(&mut self, _: &Summary) {}
}

/// A bar if standard error is a terminal, else lines.
pub fn on_stderr() -> Box<dyn Progress> {
    if std::io::stderr().is_terminal() {
        Box::new(Bar(ProgressBar::no_length()))
    } else {
        Box::new(Lines { total: 0, printed_at: Instant::now() })
    }
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn begins(&mut self, webhooks: u64) {
        const TEMPLATE: &str = "{bar:40} {human_pos}/{human_len} webhooks, {per_sec}, {eta} to go; {msg}";
        self.0.set_length(webhooks);
        // An invalid template leaves the bar's style unchanged.
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            self.0.set_style(style);
        }
    }

    fn goes_on(&mut self, so_far: &Summary) {
        self.0.set_position(so_far.read);
        self.0.set_message(format!("{} new, {} unreadable", so_far.new_events(), so_far.unreadable));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

struct Lines {
    total: u64,
    printed_at: Instant,
}

impl Progress for Lines {
    fn begins(&mut self, webhooks: u64) {
        self.total = webhooks;
        eprintln!("{webhooks} webhooks to read");
    }

    fn goes_on(&mut self, so_far: &Summary) {
        if self.printed_at.elapsed() >= A_LINE_EVERY {
            self.printed_at = Instant::now();
            let (read, total, new) = (so_far.read, self.total, so_far.new_events());
            eprintln!("{read} of {total} webhooks read: {new} events new, {} unreadable", so_far.unreadable);
        }
    }
}
