//! A request handler's hand on the reading of its connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Context;

use futures_util::task::AtomicWaker;

/// What becomes of the bytes that a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Flow {
    /// They are handed over.
    Open,
    /// They stay in the kernel, so that the client has to wait.
    Shut,
    /// They are thrown away: nobody will look at them, and the connection closes after the answer.
    Discarding,
}

/// Shared by a connection and the handlers of its requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Valve(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    flow: AtomicU8,
    reader: AtomicWaker,
}

impl Valve {
    /// Sets it, and wakes the reader that waits.
    pub(super) fn set(&self, flow: Flow) {
        self.0.flow.store(flow as u8, Ordering::Release);
        if flow != Flow::Shut {
            self.0.reader.wake();
        }
    }

    /// How it stands. While it is shut the reader of `cx` is woken by the next change.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Flow {
        if self.flow() == Flow::Shut {
            self.0.reader.register(cx.waker());
        }
        self.flow()
    }

    fn flow(&self) -> Flow {
        match self.0.flow.load(Ordering::Acquire) {
            flow if flow == Flow::Shut as u8 => Flow::Shut,
            flow if flow == Flow::Discarding as u8 => Flow::Discarding,
            _ => Flow::Open,
        }
    }
}
