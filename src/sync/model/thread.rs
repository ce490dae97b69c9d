//! Threads, which can also be asked whether they have ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use shuttle::thread::{sleep, yield_now};

use super::point;

pub(crate) struct Builder(shuttle::thread::Builder);

pub(crate) struct JoinHandle<T> {
    handle: shuttle::thread::JoinHandle<T>,
    has_ended: Arc<AtomicBool>,
}

/// Set when the thread ends, by a panic too.
struct Ending(Arc<AtomicBool>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self(shuttle::thread::Builder::new())
    }

    pub(crate) fn name(self, name: String) -> Self {
        Self(self.0.name(name))
    }

    pub(crate) fn spawn<T: Send + 'static>(
        self,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<JoinHandle<T>> {
        let has_ended = Arc::new(AtomicBool::new(false));
        let ending = Ending(Arc::clone(&has_ended));
        let handle = self.0.spawn(move || {
            let _ending = ending;
            run()
        })?;
        Ok(JoinHandle { handle, has_ended })
    }
}

/// Starts a thread.
#[cfg(test)]
pub(crate) fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().spawn(run).expect("the model has threads without end")
}

impl<T> JoinHandle<T> {
    pub(crate) fn join(self) -> std::thread::Result<T> {
        self.handle.join()
    }

    #[cfg(feature = "node")]
    pub(crate) fn is_finished(&self) -> bool {
        point();
        self.has_ended.load(Ordering::Relaxed)
    }
}
