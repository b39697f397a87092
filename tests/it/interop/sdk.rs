//! The SDKs, and how each is run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::SignedDuration;
use serde_json::Value;

use super::browser;
use super::call::{calls, calls_of_an_app};
use crate::serve::Serve;

/// Further calls, so that SDKs make several batches.
const BULK: usize = 250;
/// A browser sends each call by itself.
const BROWSER_BULK: usize = 20;

/// An SDK, its source's name, and what it runs with.
pub struct Sdk {
    pub name: &'static str,
    pub source: &'static str,
    /// Missing where the SDK is not installed.
    pub needs: &'static [&'static str],
    bulk: usize,
    /// What clocks, rounding and retries may add between a call's time and the stored one.
    pub skew: SignedDuration,
}

const SKEW: SignedDuration = SignedDuration::from_secs(30);
/// The Java SDK says for all retries of a batch that it was sent when it was first sent, and waits 15 s and longer.
const SKEW_OF_JAVA: SignedDuration = SignedDuration::from_secs(60);

pub const SDKS: [Sdk; 6] = [
    Sdk {
        name: "segment-analytics-python",
        source: "python",
        needs: &["venv/.installed"],
        bulk: BULK,
        skew: SKEW,
    },
    Sdk {
        name: "rudder-sdk-python",
        source: "rudder",
        needs: &["venv/.installed"],
        bulk: BULK,
        skew: SKEW,
    },
    Sdk {
        name: "@segment/analytics-node",
        source: "node",
        needs: &["node/.installed"],
        bulk: BULK,
        skew: SKEW,
    },
    Sdk {
        name: "com.segment.analytics.java",
        source: "java",
        needs: &["java/.installed"],
        bulk: BULK,
        skew: SKEW_OF_JAVA,
    },
    Sdk {
        name: "com.segment.analytics.kotlin",
        source: "kotlin",
        needs: &["kotlin/.installed"],
        bulk: BULK,
        skew: SKEW,
    },
    Sdk {
        name: "@segment/analytics-next",
        source: browser::SOURCE,
        needs: &["node/.installed", browser::CHROMIUM],
        bulk: BROWSER_BULK,
        skew: SKEW,
    },
];

/// A file or folder of the cache that `tests/interop/setup.sh` fills; an absolute path stays as it is.
pub fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/.cache/interop")
        .join(path)
}

/// What of this is not installed. `make interop` may leave nothing out.
pub fn missing(needs: &[&'static str]) -> Option<&'static str> {
    let missing = needs.iter().find(|path| !installed(path).exists()).copied();
    if let Some(missing) = missing {
        assert!(
            std::env::var_os("MOMSFLOW_INTEROP").is_none(),
            "{missing} is not installed: tests/interop/setup.sh full"
        );
    }
    missing
}

/// Puts a script of `tests/interop`, with those beside it, into a serve's folder, where the JavaScript packages are found
/// too.
pub fn stage(serve: &Serve, script: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/interop")
        .join(script);
    for file in fs::read_dir(source.parent().unwrap()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), serve.folder().join(file.file_name())).unwrap();
    }
    let staged = serve.folder().join(source.file_name().unwrap());
    let packages = serve.folder().join("node_modules");
    if !packages.exists() {
        std::os::unix::fs::symlink(installed("node/node_modules"), packages).unwrap();
    }
    staged
}

impl Sdk {
    /// Whether it is one visitor's and remembers who that is, instead of being told with each call.
    pub fn remembers(&self) -> bool {
        [browser::SOURCE, "kotlin"].contains(&self.source)
    }

    pub fn calls(&self) -> Vec<Value> {
        match self.source {
            "kotlin" => calls_of_an_app(self.bulk),
            _ => calls(self.bulk),
        }
    }

    pub fn command(&self, serve: &Serve, calls: &Path, host: &str, key: &str) -> Command {
        let (program, mut arguments) = match self.source {
            "python" => (
                installed("venv/bin/python"),
                vec![stage(serve, "python/send.py"), "segment".into()],
            ),
            "rudder" => (
                installed("venv/bin/python"),
                vec![stage(serve, "python/send.py"), "rudder".into()],
            ),
            "node" => ("node".into(), vec![stage(serve, "node/send.mjs")]),
            "java" | "kotlin" => {
                let (jars, script) = (format!("{}/*", self.source), format!("{}/Send.java", self.source));
                let arguments = vec!["-cp".into(), installed(&jars), stage(serve, &script)];
                ("java".into(), arguments)
            }
            _ => (
                "node".into(),
                vec![stage(serve, "browser/drive.mjs"), "calls".into()],
            ),
        };
        arguments.push(calls.to_owned());
        let mut command = Command::new(program);
        command.args(arguments).arg(host).arg(key);
        // Where serve's watchdog finds it, should the test end early.
        command.current_dir(serve.folder());
        command
    }
}
