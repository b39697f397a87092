//! The peer of capture: `psql \copy` of the very rows that capture stored, as text and as binary.

use std::path::PathBuf;

use crate::event_store::{Cluster, CopyFormat, EventStore};
use crate::process::Folder;
use crate::report::{Goal, Report, Series};

/// The files to copy from, and rows a second, one value a round.
pub struct PsqlCopy {
    files: [(CopyFormat, PathBuf); 2],
    rows: i64,
    text: Series,
    binary: Series,
}

impl PsqlCopy {
    pub fn new(folder: &Folder) -> Self {
        let file = |name| folder.path().join(name);
        Self {
            files: [
                (CopyFormat::Text, file("rows.text")),
                (CopyFormat::Binary, file("rows.binary")),
            ],
            rows: 0,
            text: Series::default(),
            binary: Series::default(),
        }
    }

    /// Takes the rows of a store, in the order in which they were stored; those of the first one are kept.
    pub async fn take(&mut self, cluster: &Cluster, store: &EventStore) {
        if self.rows > 0 {
            return;
        }
        for (format, file) in &self.files {
            cluster.copy(store, "to", file, *format);
        }
        self.rows = store.rows().await;
    }

    /// Copies them into fresh stores.
    pub async fn round(&mut self, cluster: &mut Cluster) {
        for (format, file) in &self.files {
            let store = cluster.event_store().await;
            let took = cluster.copy(&store, "from", file, *format);
            assert_eq!(store.rows().await, self.rows);
            let rate = self.rows as f64 / took.as_secs_f64();
            match format {
                CopyFormat::Text => self.text.push(rate),
                CopyFormat::Binary => self.binary.push(rate),
            }
            cluster.drop(store).await;
        }
    }

    /// As `\\copy` comes, without asking for a format.
    pub fn plain(&self) -> &Series {
        &self.text
    }

    /// The faster format, and its name.
    pub fn faster(&self) -> (&Series, &'static str) {
        match self.text.median() > self.binary.median() {
            true => (&self.text, "text"),
            false => (&self.binary, "binary"),
        }
    }

    pub fn report(&self, report: &mut Report) {
        report.add(r"psql \copy, text", self.text.clone(), "rows/s", Goal::None);
        report.add(r"psql \copy, binary", self.binary.clone(), "rows/s", Goal::None);
    }
}
