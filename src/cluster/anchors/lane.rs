//! Work that others don't wait for beyond a deadline: a folder on a file system that hangs, a long upload. It goes on behind
//! the deadline, and the next one waits for it, so that nothing piles up.

use std::time::Duration;

use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, timeout_at};

type Answer<T> = oneshot::Receiver<Result<T, String>>;

/// One piece of work at a time.
#[derive(Debug)]
pub(super) struct Lane<T>(Mutex<Option<Answer<T>>>);

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Send + 'static> Lane<T> {
    /// Runs work on a thread of its own: unlike one of the runtime's, it holds up no exit.
    pub(super) async fn thread(
        &self,
        within: Duration,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        self.run(within, |answer| {
            let run = move || {
                // Whoever waited may be gone.
                let _ = answer.send(work());
            };
            let name = "anchor".to_owned();
            let started = std::thread::Builder::new().name(name).spawn(run);
            started.map(drop).map_err(|error| error.to_string())
        })
        .await
    }

    /// Runs work as a task.
    pub(super) async fn task(
        &self,
        within: Duration,
        work: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> Result<T, String> {
        self.run(within, |answer| {
            tokio::spawn(async move {
                // Whoever waited may be gone.
                let _ = answer.send(work.await);
            });
            Ok(())
        })
        .await
    }

    async fn run(
        &self,
        within: Duration,
        start: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Result<(), String>,
    ) -> Result<T, String> {
        let late = || format!("not done within {} s; it goes on", within.as_secs());
        let until = Instant::now() + within;
        let mut running = timeout_at(until, self.0.lock()).await.map_err(|_| late())?;
        if let Some(before) = &mut *running {
            // What became of it was of something older.
            drop(timeout_at(until, before).await.map_err(|_| late())?);
            *running = None;
        }
        let (sender, answer) = oneshot::channel();
        start(sender)?;
        let answer = running.insert(answer);
        let result = timeout_at(until, answer).await.map_err(|_| late())?;
        *running = None;
        result.unwrap_or_else(|_| Err("it was broken off".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn what_hangs_is_left_behind_and_nothing_piles_up() {
        let lane = Lane::default();
        let (go, wait) = mpsc::channel::<()>();
        let hang = move || {
            let _ = wait.recv();
            Ok(1)
        };
        let stuck = lane.thread(SHORT, hang).await;
        assert!(stuck.unwrap_err().contains("not done"));
        let (began, beginning) = mpsc::channel();
        let next = move || {
            began.send(()).map_err(|error| error.to_string())?;
            Ok(2)
        };
        assert!(lane.thread(SHORT, next).await.is_err());
        assert!(beginning.try_recv().is_err(), "it began beside the other");
        drop(go);
        assert_eq!(lane.thread(LONG, || Ok(3)).await, Ok(3));
        assert_eq!(lane.task(LONG, async { Ok(4) }).await, Ok(4));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let lane: Lane<()> = Lane::default();
        let broken = lane.task(LONG, async { None.ok_or("no".to_owned()) }).await;
        assert_eq!(broken, Err("no".to_owned()));
        let broken = lane.thread(LONG, || std::panic::panic_any(1)).await;
        assert!(broken.unwrap_err().contains("broken off"));
    }
}
