//! Jobs: work that may take longer than a request. One at a time writes; each has a file under `jobs/` in the
//! store, so that what became of it is known also after the server was stopped.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::durable;
use crate::face::failure::Failure;
use crate::object::ObjectId;

use super::problem::Problem;

/// Jobs that are remembered.
const MAX_JOBS: usize = 1000;

/// Digits of a job's name.
const ID_DIGITS: usize = 16;

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// It is being done.
    Running,
    /// It was done.
    Done,
    /// It failed: `steps` of its problem tell what was done before.
    Failed,
    /// The server was stopped before its end.
    Interrupted,
}

impl JobState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Failed => "failed",
            JobState::Interrupted => "interrupted",
        }
    }
}

/// A job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// Its name: 16 hexadecimal digits.
    #[serde(rename = "job")]
    pub id: String,
    /// How it stands.
    pub state: JobState,
    /// What was asked for.
    pub request: Value,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// What it came to: the document of the command line.
    pub report: Option<Value>,
    /// Why it failed: a problem document.
    pub problem: Option<Value>,
}

/// The jobs of one server.
pub struct Jobs {
    directory: PathBuf,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    /// Held as long as this server may run jobs.
    _lock: Option<File>,
}

#[derive(Default)]
struct State {
    running: Option<String>,
    known: HashMap<String, Job>,
    count: u64,
}

impl Jobs {
    /// The jobs of the store in `directory`. With `may_run`, no other server may run jobs there, and a job that
    /// an earlier one left running is marked as interrupted.
    ///
    /// # Errors
    ///
    /// If another server runs jobs there, or the folder cannot be written.
    pub fn open(directory: &Path, may_run: bool) -> Result<Jobs, Failure> {
        let directory = directory.join("jobs");
        let jobs = |lock| {
            let (changed, _) = watch::channel(());
            Jobs { directory: directory.clone(), state: Mutex::default(), changed, _lock: lock }
        };
        if !may_run {
            return Ok(jobs(None));
        }
        let lock = lock(&directory)?;
        let jobs = jobs(Some(lock));
        let mut all = jobs.all();
        for job in all.iter_mut().filter(|job| job.state == JobState::Running) {
            job.state = JobState::Interrupted;
            jobs.write(job);
        }
        for old in all.iter().skip(MAX_JOBS) {
            let _ = fs::remove_file(jobs.path(&old.id));
        }
        Ok(jobs)
    }

    /// Begins a job, if none is running.
    ///
    /// # Errors
    ///
    /// E_LOCKED with the name of the job that is running.
    pub fn begin(&self, request: Value) -> Result<Job, Problem> {
        let mut state = self.state();
        if let Some(running) = &state.running {
            let words = format!("job {running} is running");
            return Err(Problem::new("E_LOCKED", words)
                .hint("`GET /jobs/{id}` tells when it has ended")
                .job(running));
        }
        let started = Timestamp::now();
        state.count += 1;
        let seed = format!("{started} {} {}", std::process::id(), state.count);
        let mut id = ObjectId::of(seed.as_bytes()).to_string();
        id.truncate(ID_DIGITS);
        let job = Job {
            id: id.clone(),
            state: JobState::Running,
            request,
            started,
            finished: None,
            report: None,
            problem: None,
        };
        state.running = Some(id.clone());
        state.known.insert(id, job.clone());
        drop(state);
        self.write(&job);
        Ok(job)
    }

    /// Enters how a job ended, after it was written down and `seen` was told of it.
    pub fn end(&self, id: &str, result: Result<Value, Problem>, seen: impl FnOnce(&Job)) {
        let running = self.state().known.get(id).filter(|job| job.state == JobState::Running).cloned();
        let Some(mut job) = running else { return };
        job.finished = Some(Timestamp::now());
        match result {
            Ok(report) => {
                job.state = JobState::Done;
                job.report = Some(report);
            }
            Err(problem) => {
                job.state = JobState::Failed;
                job.problem = Some(problem.job(id).document());
            }
        }
        self.write(&job);
        seen(&job);
        let mut state = self.state();
        if state.known.len() > MAX_JOBS {
            state.known.clear();
        }
        state.known.insert(id.to_owned(), job);
        state.running = None;
        drop(state);
        self.changed.send_replace(());
    }

    /// Marks the running job as interrupted, since the server stops. Returns its name.
    pub fn interrupt(&self) -> Option<String> {
        let mut state = self.state();
        let id = state.running.clone()?;
        let job = state.known.get_mut(&id).filter(|job| job.state == JobState::Running)?;
        job.state = JobState::Interrupted;
        job.finished = Some(Timestamp::now());
        let job = job.clone();
        drop(state);
        self.write(&job);
        Some(id)
    }

    /// The name of the job that is running.
    pub fn running(&self) -> Option<String> {
        self.state().running.clone()
    }

    /// Waits until a job has ended.
    pub async fn ended(&self, id: &str) {
        let mut changed = self.changed.subscribe();
        while self.state().running.as_deref() == Some(id) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// The job of this name.
    pub fn get(&self, id: &str) -> Option<Job> {
        let is_name =
            id.len() == ID_DIGITS && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !is_name {
            return None;
        }
        let known = self.state().known.get(id).cloned();
        known.or_else(|| read(&self.path(id)))
    }

    /// All jobs that are remembered, newest first.
    pub fn all(&self) -> Vec<Job> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let mut jobs: Vec<Job> = paths.filter_map(|path| self.get(path.file_stem()?.to_str()?)).collect();
        jobs.sort_by(|a, b| (b.started, &b.id).cmp(&(a.started, &a.id)));
        jobs
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing that holds it can panic half way.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.directory.join(format!("{id}.json"))
    }

    /// Remembers a job beyond the life of the server, as well as the disk lets it.
    fn write(&self, job: &Job) {
        let bytes = serde_json::to_vec(job).expect("a job is plain data");
        if let Err(error) = durable::write(&self.path(&job.id), &bytes) {
            super::observe::say(&format!("job {} cannot be written: {error}", job.id));
        }
    }
}

fn read(path: &Path) -> Option<Job> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Keeps other servers from running jobs in the same store.
fn lock(directory: &Path) -> Result<File, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new("E_IO", format!("cannot use `{}`: {error}", directory.display()))
    };
    fs::create_dir_all(directory).map_err(failed)?;
    let path = directory.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Failure::new("E_LOCKED", "another server writes to this store")
                .hint("use that one, or --read-only"))
        }
        Err(fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_job_runs_at_a_time_and_others_are_told_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(dir.path(), true).unwrap();
        let first = jobs.begin(json!({})).unwrap();
        let refused = jobs.begin(json!({})).unwrap_err().document();
        assert_eq!((refused["status"].as_u64(), refused["job"].as_str()), (Some(409), Some(&*first.id)));
        jobs.end(&first.id, Ok(json!({"steps": 1})), |_| ());
        assert_eq!(jobs.get(&first.id).unwrap().state, JobState::Done);
        assert_ne!(jobs.begin(json!({})).unwrap().id, first.id);
    }

    #[test]
    fn a_job_that_a_server_left_running_is_interrupted() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(dir.path(), true).unwrap();
        let left = jobs.begin(json!({})).unwrap();
        assert!(Jobs::open(dir.path(), true).is_err(), "it is still at work");
        drop(jobs);
        let jobs = Jobs::open(dir.path(), true).unwrap();
        assert_eq!(jobs.get(&left.id).unwrap().state, JobState::Interrupted);
        assert_eq!(jobs.all().len(), 1);
        assert!(jobs.get("../../etc/passwd").is_none() && jobs.get("").is_none());
    }
}
