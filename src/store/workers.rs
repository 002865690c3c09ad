//! Threads that do jobs for one caller.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// How many threads are worth starting here.
pub(super) fn count() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(16))
}

/// A few threads with one queue of jobs. Dropped, it does the jobs that wait and ends.
pub(super) struct Workers<J> {
    jobs: Option<Sender<J>>,
    queue: Arc<Mutex<Receiver<J>>>,
    threads: Vec<JoinHandle<()>>,
    /// Does a job on the caller's thread.
    help: Box<dyn FnMut(J) + Send>,
}

impl<J: Send + 'static> Workers<J> {
    /// Starts threads, each with a state of its own: one less than are worth it, since the caller
    /// [helps](Workers::next_result). What `run` returns goes to `results`.
    ///
    /// A panic in `run` becomes what `panicked` returns there; whoever waits must not wait for ever.
    pub fn start<S: Send + 'static, R: Send + 'static>(
        results: &Sender<R>,
        state: impl Fn() -> S + Send + Clone + 'static,
        run: impl Fn(&mut S, J) -> R + Send + Clone + 'static,
        panicked: impl Fn() -> R + Send + Clone + 'static,
    ) -> Workers<J> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let worker = || {
            let (results, state, run, panicked) =
                (results.clone(), state.clone(), run.clone(), panicked.clone());
            let mut own = None;
            move |job| {
                let own = own.get_or_insert_with(&state);
                let result = catch_unwind(AssertUnwindSafe(|| run(own, job)));
                // Nobody listens any more when the caller has given up.
                let _ = results.send(result.unwrap_or_else(|_| panicked()));
            }
        };
        let thread = |_| {
            let (queue, mut work) = (Arc::clone(&queue), worker());
            thread::spawn(move || {
                while let Some(job) = next(&queue) {
                    work(job);
                }
            })
        };
        let threads = (1..count().max(2)).map(thread).collect();
        Workers { jobs: Some(jobs), queue, threads, help: Box::new(worker()) }
    }

    /// The next result. Until there is one, jobs that wait are done on this thread: else it would have to be woken, for
    /// which the system may take its time while all cores are at work.
    ///
    /// # Errors
    ///
    /// If nobody sends results any more.
    pub fn next_result<R>(&mut self, results: &Receiver<R>) -> Result<R, RecvError> {
        loop {
            if let Ok(result) = results.try_recv() {
                return Ok(result);
            }
            if !self.help() {
                return results.recv();
            }
        }
    }

    /// Does one job on this thread, if one waits. Says whether there was one.
    fn help(&mut self) -> bool {
        // A thread that waits for a job has the lock.
        let job = self.queue.try_lock().ok().and_then(|queue| queue.try_recv().ok());
        job.map(&mut self.help).is_some()
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
