//! Progress on stderr, for people at a terminal only.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::Progress;

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Draws a bar for work that takes longer than a second.
pub struct Bar {
    shown: bool,
    bar: Mutex<Option<Stage>>,
}

struct Stage {
    name: String,
    total: u64,
    done: u64,
    began: std::time::Instant,
    bar: Option<ProgressBar>,
}

impl Bar {
    /// A bar that is drawn if stderr is a terminal and people, not machines, read.
    pub fn new(json: bool) -> Bar {
        Bar { shown: !json && std::io::stderr().is_terminal(), bar: Mutex::new(None) }
    }

    fn with(&self, change: impl FnOnce(&mut Option<Stage>)) {
        if self.shown
            && let Ok(mut stage) = self.bar.lock()
        {
            change(&mut stage);
        }
    }
}

impl Stage {
    fn draw(&mut self) {
        if self.bar.is_none() && self.began.elapsed() >= PATIENCE {
            let (bar, template) = if self.total > 0 {
                let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}";
                (ProgressBar::new(self.total), template)
            } else {
                (ProgressBar::new_spinner(), "{msg} {spinner} {bytes}")
            };
            bar.set_draw_target(ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(template).expect("the template is constant");
            bar.set_style(style.progress_chars("=> "));
            bar.set_message(self.name.clone());
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        }
    }
}

impl Progress for Bar {
    fn begin(&self, stage: &str, total_bytes: u64) {
        self.with(|current| {
            let began = std::time::Instant::now();
            *current = Some(Stage { name: stage.to_owned(), total: total_bytes, done: 0, began, bar: None });
        });
    }

    fn advance(&self, bytes: u64) {
        self.with(|current| {
            if let Some(stage) = current {
                stage.done = stage.done.saturating_add(bytes);
                stage.draw();
            }
        });
    }

    fn end(&self) {
        self.with(|current| {
            if let Some(bar) = current.take().and_then(|stage| stage.bar) {
                bar.finish_and_clear();
            }
        });
    }
}
