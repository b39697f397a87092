use std::sync::{Arc, PoisonError, RwLock};

use rskafka::client::partition::Compression;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::batcher::{Batcher, Pending};
use super::clients::{Clients, Slot};
use super::hot_keys::HotKeys;
use super::reader::Reader;
use super::state::State;
use crate::broker::LogError;
use crate::clock::Clock;
use crate::lifecycle::Tasks;

/// The way in and out of one partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) queue: mpsc::UnboundedSender<Pending>,
    pub(super) reader: Reader,
}

/// Those of the topic, of which there may be more some day.
#[derive(Debug)]
pub(super) struct Partitions {
    pub(super) clients: Arc<Clients>,
    pub(super) state: Arc<State>,
    pub(super) clock: Clock,
    pub(super) compression: Compression,
    /// Bytes of records in one batch, before compression.
    pub(super) max_batch: usize,
    pub(super) list: RwLock<Vec<Arc<Partition>>>,
}

impl Partitions {
    pub(super) fn count(&self) -> i32 {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        i32::try_from(list.len()).unwrap_or(i32::MAX)
    }

    pub(super) fn get(&self, partition: i32) -> Result<Arc<Partition>, LogError> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        usize::try_from(partition)
            .ok()
            .and_then(|index| list.get(index).cloned())
            .ok_or_else(|| LogError::Fatal(format!("there is no partition {partition}")))
    }

    /// Opens those up to `count` that are not open yet.
    pub(super) fn grow_to(&self, count: i32, tasks: &mut Tasks) {
        for partition in self.count()..count {
            let opened = Arc::new(self.open(partition, tasks));
            let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
            list.push(opened);
        }
    }

    fn open(&self, partition: i32, tasks: &mut Tasks) -> Partition {
        let (queue, waiting) = mpsc::unbounded_channel();
        let batcher = Batcher {
            partition,
            slot: Slot::new(self.clients.clone(), partition),
            queue: waiting,
            state: self.state.clone(),
            clock: self.clock.clone(),
            compression: self.compression,
            max_batch: self.max_batch,
            next: None,
            hot_keys: HotKeys::new(Instant::now()),
        };
        let token = tasks.token();
        tasks.spawn(format!("appends to partition {partition}"), batcher.run(token));
        Partition {
            queue,
            reader: Reader::new(&self.clients, partition),
        }
    }
}
