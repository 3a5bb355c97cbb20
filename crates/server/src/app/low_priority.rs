//! Background work on a thread of its own, at a lower priority than calls.
//!
//! Knows: threads and runtimes. Must not know: what the work is.
//!
//! Reading and checking policies takes whole CPUs for a while. On the threads of calls it would block them; on other
//! threads of the same priority it would take half of the CPU.

use tokio::sync::oneshot;

use crate::lanes::yield_to_calls;
use picket_core::decision::limits::STACK_BYTES;

/// Runs `work` on a thread called `name` (and the threads that it starts), and waits for its end.
pub async fn run_at_low_priority(name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    let (running, ended) = oneshot::channel::<()>();
    let run = move || {
        // Dropped when the work ends or panics.
        let _running = running;
        yield_to_calls();
        let mut builder = tokio::runtime::Builder::new_current_thread();
        match builder.enable_all().thread_stack_size(STACK_BYTES).build() {
            Ok(runtime) => runtime.block_on(work),
            Err(error) => tracing::error!(error = %error, "could not start `{name}`"),
        }
    };
    match std::thread::Builder::new().name(name.into()).stack_size(STACK_BYTES).spawn(run) {
        // Nothing is ever sent.
        Ok(_) => drop(ended.await),
        Err(error) => tracing::error!(error = %error, "could not start the thread of `{name}`"),
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// The same value as in `lanes`.
    const NICENESS: i32 = 10;

    fn niceness() -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(16).unwrap().to_owned()
    }

    #[tokio::test]
    async fn the_work_and_what_it_starts_yield_and_its_caller_does_not() {
        let (send, sent) = oneshot::channel();
        let before = niceness();
        run_at_low_priority("work", async move {
            let blocking = tokio::task::spawn_blocking(niceness).await.unwrap();
            send.send([niceness(), blocking]).unwrap();
        })
        .await;
        let lower = (before.parse::<i32>().unwrap() + NICENESS).min(19).to_string();
        assert_eq!(sent.await.unwrap(), [lower.clone(), lower]);
        assert_eq!(niceness(), before);
    }

    /// With a smaller stack, reloading a long policy would end the process.
    #[tokio::test]
    async fn the_work_has_the_stack_that_reading_policies_needs() {
        let deep = || std::hint::black_box([1_u8; STACK_BYTES / 5]).len();
        let (send, sent) = oneshot::channel();
        run_at_low_priority("deep", async move {
            let blocking = tokio::task::spawn_blocking(deep).await.unwrap();
            send.send([deep(), blocking]).unwrap();
        })
        .await;
        assert_eq!(sent.await.unwrap(), [STACK_BYTES / 5; 2]);
    }

    #[tokio::test]
    async fn work_that_panics_has_ended() {
        run_at_low_priority("panics", async { panic!("on purpose") }).await;
    }
}
