use std::time::Duration;

use crate::lifecycle::{Stop, Tasks, deadline_in};

/// The tasks of the process, by the order in which they stop.
pub(super) struct Stages {
    /// Takes requests.
    pub(super) front: Tasks,
    /// Stores what was taken.
    pub(super) capture: Tasks,
    /// The log, metrics and control.
    pub(super) back: Tasks,
    /// PostgreSQL.
    pub(super) base: Tasks,
}

impl Stages {
    pub(super) fn new() -> Self {
        Self {
            front: Tasks::new("front"),
            capture: Tasks::new("capture"),
            back: Tasks::new("back"),
            base: Tasks::new("base"),
        }
    }

    /// Waits until any task ends on its own.
    pub(super) async fn died(&mut self) -> Stop {
        tokio::select! {
            stop = self.front.died() => stop,
            stop = self.capture.died() => stop,
            stop = self.back.died() => stop,
            stop = self.base.died() => stop,
        }
    }

    /// Stops stage after stage, all within one deadline; `false` if one was late.
    pub(super) async fn stop(self, deadline: Duration) -> bool {
        let until = deadline_in(deadline);
        let mut in_time = true;
        for tasks in [self.front, self.capture, self.back, self.base] {
            in_time &= tasks.stop(until).await;
        }
        in_time
    }
}
