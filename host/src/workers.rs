//! The CPU workers: threads of their own, each with its own plugin instances. Whatever takes longer
//! than a moment and waits for nobody runs here, so that I/O never waits for a computation.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
};

use anyhow::Context as _;
use tokio::sync::{Semaphore, oneshot};

use crate::plugin::{ChainSlot, ChainWorker};

type Job = Box<dyn FnOnce(&mut ChainWorker) + Send>;

/// A fixed number of threads that run jobs with a [`ChainWorker`].
#[derive(Debug)]
pub struct Workers {
    jobs: Option<mpsc::SyncSender<Job>>,
    /// Jobs that may wait: enough to keep every thread busy, and no more.
    room: Arc<Semaphore>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads (at least one).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(count: usize, slot: &Arc<ChainSlot>) -> anyhow::Result<Self> {
        let count = count.max(1);
        let (jobs, queue) = mpsc::sync_channel::<Job>(2 * count);
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..count)
            .map(|number| {
                let (queue, slot) = (Arc::clone(&queue), Arc::clone(slot));
                std::thread::Builder::new()
                    .name(format!("worker-{number}"))
                    .spawn(move || work(&queue, &slot))
                    .context("failed to start a worker thread")
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            jobs: Some(jobs),
            room: Arc::new(Semaphore::new(2 * count)),
            threads,
        })
    }

    /// Runs a job on the next free worker.
    ///
    /// # Errors
    /// When the job panics; its worker goes on with fresh instances.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut ChainWorker) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let permit = Arc::clone(&self.room)
            .acquire_owned()
            .await
            .context("the workers have stopped")?;
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |worker| {
            let _room = permit;
            // Nobody may be waiting any more; then the result is of no use.
            let _ = sender.send(job(worker));
        });
        let jobs = self.jobs.as_ref().context("the workers have stopped")?;
        // A permit is held for every place in the queue, so this never waits.
        jobs.try_send(job)
            .map_err(|_| anyhow::anyhow!("the workers have stopped"))?;
        receiver.await.context("a worker panicked")
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A worker catches the panics of its jobs, and there is nobody left to tell of its own.
            let _ = thread.join();
        }
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>, slot: &Arc<ChainSlot>) {
    let mut worker = slot.worker();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        worker.follow(slot);
        if catch_unwind(AssertUnwindSafe(|| job(&mut worker))).is_err() {
            tracing::error!("a worker panicked; its message is released and comes again");
            worker = slot.worker();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::{mask::Masker, plugin::PluginChain};

    fn workers(count: usize) -> Workers {
        let chain = PluginChain::new(Vec::new(), &[], Masker::default()).unwrap();
        Workers::start(count, &Arc::new(ChainSlot::new(chain))).unwrap()
    }

    #[tokio::test]
    async fn many_jobs_share_few_threads() {
        let workers = workers(2);
        let jobs = (0..100u64).map(|number| workers.run(move |_| number * 2));
        let results = futures_util::future::join_all(jobs).await;
        let sum: u64 = results.into_iter().map(Result::unwrap).sum();
        assert_eq!(sum, 9900);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_that_job_alone() {
        let workers = workers(1);
        assert!(workers.run(|_| panic!("this job fails")).await.is_err());
        assert_eq!(workers.run(|_| 7).await.unwrap(), 7);
    }
}
