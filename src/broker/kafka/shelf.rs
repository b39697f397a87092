use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::batcher::{Batcher, Pending, Room};
use super::clients::Clients;
use super::hot_keys::HotKeys;
use super::reader::Reader;
use super::state::State;
use crate::clock::Clock;
use crate::config::KafkaCompression;
use crate::lifecycle::Tasks;

/// One partition: its appends on their way to it, and its reader.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) queue: mpsc::UnboundedSender<Pending>,
    pub(super) reader: Reader,
}

/// What all partitions have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) clients: Arc<Clients>,
    pub(super) state: Arc<State>,
    pub(super) clock: Clock,
    pub(super) compression: KafkaCompression,
    pub(super) max_batch: usize,
}

/// The partitions, of which there may be more later and never fewer.
#[derive(Debug)]
pub(super) struct Shelf {
    common: Common,
    partitions: RwLock<Vec<Arc<Partition>>>,
}

impl Shelf {
    pub(super) fn new(common: Common) -> Self {
        Self {
            common,
            partitions: RwLock::default(),
        }
    }

    pub(super) fn len(&self) -> i32 {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        i32::try_from(partitions.len()).unwrap_or(i32::MAX)
    }

    pub(super) fn get(&self, partition: i32) -> Option<Arc<Partition>> {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        partitions.get(usize::try_from(partition).ok()?).cloned()
    }

    /// Adds what is missing up to so many partitions; their appends belong to `tasks`.
    pub(super) fn grow(&self, to: i32, tasks: &mut Tasks) {
        let mut partitions = self.partitions.write().unwrap_or_else(PoisonError::into_inner);
        let from = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        partitions.extend((from..to).map(|partition| Arc::new(self.make(partition, tasks))));
    }

    fn make(&self, partition: i32, tasks: &mut Tasks) -> Partition {
        let common = &self.common;
        let (queue, waiting) = mpsc::unbounded_channel();
        let batcher = Batcher {
            partition,
            producer: common.clients.producer(partition),
            queue: waiting,
            state: common.state.clone(),
            clock: common.clock.clone(),
            compression: common.compression,
            max_batch: common.max_batch,
            room: Room::new(common.max_batch),
            next: None,
            hot_keys: HotKeys::new(Instant::now()),
        };
        let token = tasks.token();
        tasks.spawn(format!("appends to partition {partition}"), batcher.run(token));
        Partition {
            queue,
            reader: Reader::new(&common.clients, partition),
        }
    }
}
