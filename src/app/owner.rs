use crate::data_dir::{DataDir, DataDirError};

/// Who captures here, as other hosts see it.
pub(super) struct Owner {
    pub(super) id: String,
    pub(super) place: String,
    pub(super) name: String,
}

impl Owner {
    pub(super) fn of(data_dir: &DataDir) -> Result<Self, DataDirError> {
        Ok(Self {
            id: data_dir.instance_id()?,
            place: data_dir.place()?,
            name: process_name(),
        })
    }
}

/// Tells the capture hosts apart, for people.
fn process_name() -> String {
    let host = rustix::system::uname();
    format!("{}:{}", host.nodename().to_string_lossy(), std::process::id())
}
