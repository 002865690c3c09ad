//! Threads that do jobs for one caller.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// How many threads are worth starting here.
pub(super) fn count() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(16))
}

/// A few threads with one queue of jobs. Dropped, it does the jobs that wait and ends.
pub(super) struct Workers<J> {
    jobs: Option<Sender<J>>,
    threads: Vec<JoinHandle<()>>,
}

impl<J: Send + 'static> Workers<J> {
    /// Starts `count` threads, each with a state of its own. What `run` returns goes to `results`.
    ///
    /// A panic in `run` becomes an `Err` there; whoever waits must not wait for ever.
    pub fn start<S, R: Send + 'static>(
        count: usize,
        results: &Sender<R>,
        state: impl Fn() -> S + Send + Clone + 'static,
        run: impl Fn(&mut S, J) -> Option<R> + Send + Clone + 'static,
        panicked: impl Fn() -> R + Send + Clone + 'static,
    ) -> Workers<J> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..count)
            .map(|_| {
                let (queue, results) = (Arc::clone(&queue), results.clone());
                let (state, run, panicked) = (state.clone(), run.clone(), panicked.clone());
                thread::spawn(move || {
                    let mut state = state();
                    while let Some(job) = next(&queue) {
                        let result = catch_unwind(AssertUnwindSafe(|| run(&mut state, job)));
                        if let Some(result) = result.unwrap_or_else(|_| Some(panicked())) {
                            // Nobody listens any more when the caller has given up.
                            let _ = results.send(result);
                        }
                    }
                })
            })
            .collect();
        Workers { jobs: Some(jobs), threads }
    }

    /// Queues a job.
    pub fn submit(&self, job: J) {
        let jobs = self.jobs.as_ref().expect("the queue is closed only when dropping");
        jobs.send(job).expect("the threads take jobs until the queue is closed");
    }
}

impl<J> Drop for Workers<J> {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // Panics have been passed on as results.
            let _ = thread.join();
        }
    }
}

fn next<J>(queue: &Mutex<Receiver<J>>) -> Option<J> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
