//! What several callers want of one database, in one transaction.
//!
//! A commit that survives a power cut waits for the disk. Whoever comes in the meantime waits too, and then
//! all of them share the next one: so a flush costs the same whether one object is done or fifty.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use rusqlite::{Connection, Transaction};
use tokio::sync::oneshot;

/// The most that is done in one transaction.
const MOST: usize = 128;

/// Work that waits for a transaction. It answers with what tells its caller, once the commit is through or
/// has failed.
type Work = Box<dyn FnOnce(&mut Transaction<'_>) -> Told + Send>;
type Told = Box<dyn FnOnce(Result<(), &str>) + Send>;

/// One connection, and what waits for it.
#[derive(Clone)]
pub(super) struct Group(Arc<Shared>);

struct Shared {
    connection: Mutex<Connection>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Work>,
    /// A thread works on what waits, and looks for more before it ends.
    is_served: bool,
}

impl Group {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Arc::new(Shared {
            connection: Mutex::new(connection),
            queue: Mutex::default(),
        }))
    }

    /// Does this in a transaction, on a thread that may block. What it changed is safe when this returns; where
    /// it fails, nothing of it is left, and the others of the transaction are not touched.
    ///
    /// # Errors
    /// Its own, or that of the commit; `what` says what could not be done.
    pub(super) async fn transact<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (teller, told) = oneshot::channel();
        let work: Work = Box::new(move |transaction| {
            let result = apart(transaction, work);
            Box::new(move |committed| {
                let result = result.and_then(|value| match committed {
                    Ok(()) => Ok(value),
                    Err(error) => Err(anyhow!("{error}")),
                });
                // A caller that has gone wants no answer.
                let _ = teller.send(result);
            })
        });
        let is_served = {
            let mut queue = self.0.queue();
            queue.waiting.push(work);
            std::mem::replace(&mut queue.is_served, true)
        };
        if !is_served {
            let server = Server {
                shared: Arc::clone(&self.0),
                has_ended: false,
            };
            tokio::task::spawn_blocking(move || server.serve());
        }
        let result = told.await.context("it panicked, or the program ends")?;
        result.with_context(|| format!("failed to {what}"))
    }

    /// The connection by itself, while nothing is done in a transaction.
    #[cfg(test)]
    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.connection()
    }
}

impl Shared {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what waits, on a thread of its own.
struct Server {
    shared: Arc<Shared>,
    has_ended: bool,
}

impl Server {
    /// Until nothing waits.
    fn serve(mut self) {
        loop {
            let works = {
                let mut queue = self.shared.queue();
                if queue.waiting.is_empty() {
                    queue.is_served = false;
                    break;
                }
                let count = queue.waiting.len().min(MOST);
                queue.waiting.drain(..count).collect::<Vec<_>>()
            };
            let mut told = Vec::with_capacity(works.len());
            // One that panics undoes its transaction, and those of the next are served all the same.
            let commit = || commit(&mut self.shared.connection(), works, &mut told);
            let committed = panic::catch_unwind(AssertUnwindSafe(commit))
                .unwrap_or_else(|_| bail!("another's work on the database panicked"));
            let committed = committed.map_err(|error| format!("{error:#}"));
            for tell in told {
                tell(committed.as_ref().map(|&()| ()).map_err(String::as_str));
            }
        }
        self.has_ended = true;
    }
}

/// One that never starts, because the program ends, lets those who wait know: what tells them is dropped.
impl Drop for Server {
    fn drop(&mut self) {
        if !self.has_ended {
            *self.shared.queue() = Queue::default();
        }
    }
}

/// All of this in one transaction, and what tells of it.
fn commit(
    connection: &mut Connection,
    works: Vec<Work>,
    told: &mut Vec<Told>,
) -> anyhow::Result<()> {
    let mut transaction = connection.transaction()?;
    for work in works {
        told.push(work(&mut transaction));
    }
    // A full disk ends the transaction by itself, and what was done then is gone.
    ensure!(
        !transaction.is_autocommit(),
        "the database gave the transaction up"
    );
    Ok(transaction.commit()?)
}

/// Does this; where it fails, nothing of it is left in the transaction.
fn apart<T>(
    transaction: &mut Transaction<'_>,
    work: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    ensure!(
        !transaction.is_autocommit(),
        "the database gave the transaction up"
    );
    transaction.execute_batch("SAVEPOINT one")?;
    let result = work(transaction);
    if result.is_err() && !transaction.is_autocommit() {
        transaction.execute_batch("ROLLBACK TO one")?;
    }
    if !transaction.is_autocommit() {
        transaction.execute_batch("RELEASE one")?;
    }
    result
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use futures_util::{FutureExt as _, future::join_all};

    use super::*;

    fn group() -> Group {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
            .unwrap();
        Group::new(connection)
    }

    async fn insert(group: &Group, number: i64) -> anyhow::Result<()> {
        let work = move |tx: &Transaction<'_>| {
            tx.execute("INSERT INTO numbers VALUES (?1)", [number])?;
            Ok(())
        };
        group.transact("insert", work).await
    }

    fn numbers(group: &Group) -> Vec<i64> {
        let connection = group.connection();
        let mut query = connection.prepare("SELECT number FROM numbers").unwrap();
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Has a function called at each commit, which says whether it is refused.
    fn at_commit(group: &Group, refused: impl FnMut() -> bool + Send + 'static) {
        let connection = group.connection();
        connection.commit_hook(Some(refused)).unwrap();
    }

    /// What all of these get that come while another transaction lasts.
    async fn together<T>(group: &Group, all: impl Future<Output = T>) -> T {
        let (end, ended) = std::sync::mpsc::sync_channel::<()>(1);
        let (inside, entered) = std::sync::mpsc::sync_channel::<()>(1);
        let mut before = Box::pin(group.transact("wait", move |_| {
            drop(inside);
            // It ends with the sender.
            let _ = ended.recv();
            Ok(())
        }));
        assert!(futures_util::poll!(&mut before).is_pending());
        // Nothing that comes now is of the same transaction.
        let _ = entered.recv();
        let mut all = Box::pin(all);
        assert!(futures_util::poll!(&mut all).is_pending());
        drop(end);
        // A test may have its commit refused.
        let _ = before.await;
        all.await
    }

    #[tokio::test]
    async fn those_who_wait_share_a_commit() {
        let group = group();
        let count = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&count);
        at_commit(&group, move || {
            *counter.lock().unwrap() += 1;
            false
        });
        let all = join_all((0..300).map(|number| insert(&group, number)));
        for result in together(&group, all).await {
            result.unwrap();
        }
        assert_eq!(numbers(&group).len(), 300);
        assert_eq!(*count.lock().unwrap(), 300_usize.div_ceil(MOST));
    }

    #[tokio::test]
    async fn one_that_fails_leaves_nothing_and_harms_nobody() {
        let group = group();
        let failing = group.transact("try", |tx| -> anyhow::Result<()> {
            tx.execute("INSERT INTO numbers VALUES (2)", [])?;
            bail!("it is no good")
        });
        let again = insert(&group, 1);
        let all = async { tokio::join!(insert(&group, 1), failing, again, insert(&group, 3)) };
        let (first, failed, twice, last) = together(&group, all).await;
        first.unwrap();
        last.unwrap();
        let failed = format!("{:#}", failed.unwrap_err());
        assert_eq!(failed, "failed to try: it is no good");
        assert!(format!("{:#}", twice.unwrap_err()).contains("UNIQUE"));
        assert_eq!(numbers(&group), [1, 3]);
    }

    #[tokio::test]
    async fn when_the_commit_fails_all_of_it_has_failed() {
        let group = group();
        let mut commits = 0;
        at_commit(&group, move || {
            commits += 1;
            commits == 1
        });
        let all = async { tokio::join!(insert(&group, 1), insert(&group, 2)) };
        let (one, other) = together(&group, all).await;
        assert!(one.is_err() && other.is_err());
        assert_eq!(numbers(&group), [0; 0]);
        insert(&group, 1).await.unwrap();
        assert_eq!(numbers(&group), [1]);
    }

    #[tokio::test]
    async fn a_transaction_that_the_database_gave_up_has_failed_for_all() {
        let group = group();
        let gives_up = group.transact("end it", |tx| Ok(tx.execute_batch("ROLLBACK")?));
        let all = async { tokio::join!(insert(&group, 1), gives_up, insert(&group, 2)) };
        let (before, itself, after) = together(&group, all).await;
        assert!(before.is_err() && itself.is_err() && after.is_err());
        assert_eq!(numbers(&group), [0; 0]);
        insert(&group, 1).await.unwrap();
    }

    #[tokio::test]
    async fn after_a_panic_nobody_waits_for_ever() {
        let group = group();
        let panics = group.transact("panic", |_| -> anyhow::Result<()> { panic!("as it must") });
        let all = async { tokio::join!(insert(&group, 1), panics, insert(&group, 2)) };
        let (before, itself, after) = together(&group, all).await;
        assert!(before.is_err() && itself.is_err() && after.is_err());
        insert(&group, 4).await.unwrap();
        assert_eq!(numbers(&group), [4]);
    }

    #[test]
    fn a_runtime_that_has_ended_leaves_the_connection_to_others() {
        let group = group();
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
        };
        let ended = runtime().handle().clone();
        let entered = ended.enter();
        assert!(insert(&group, 1).now_or_never().unwrap().is_err());
        drop(entered);
        runtime().block_on(insert(&group, 2)).unwrap();
        assert_eq!(numbers(&group), [2]);
    }
}
