//! A pause of no length, in whatever runtime polls.

use std::{future::poll_fn, task::Poll};

/// Lets others run: their tasks, and the timers of the runtime. A loop over
/// what may be ready at once for ever needs it, or no timeout around it ever
/// fires on a runtime with one thread.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future as _,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn it_is_over_the_second_time_it_is_polled() {
        let mut pause = pin!(yield_now());
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(pause.as_mut().poll(&mut context), Poll::Pending);
        assert_eq!(pause.as_mut().poll(&mut context), Poll::Ready(()));
    }

    #[test]
    fn it_wakes_whoever_polls() {
        pollster::block_on(yield_now());
    }
}
