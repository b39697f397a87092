//! nginx as a pixel: an image, an id in a cookie, a line in a log.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{cpu_of, free_address, signal_term};

const PROGRAM: &str = "/usr/sbin/nginx";
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A running nginx with as many workers as there are cores.
pub struct Nginx {
    pub address: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl Nginx {
    /// Starts it with all that it writes in a folder. `None` where it is not installed.
    pub fn start(folder: &Path) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            return None;
        }
        fs::create_dir_all(folder).unwrap();
        let address = free_address();
        let config = folder.join("nginx.conf");
        fs::write(&config, text(folder, address)).unwrap();
        let child = Command::new(PROGRAM)
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(folder.join("error.log"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let errors = || fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            assert!(
                began.elapsed() < START_PATIENCE,
                "nginx does not listen: {}",
                errors()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        let log = folder.join("access.log");
        Some(Self { address, child, log })
    }

    /// Seconds of CPU that its workers have used.
    pub fn cpu(&self) -> f64 {
        let pid = self.child.id();
        let workers = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        workers.split_whitespace().map(cpu_of).sum()
    }

    /// How many hits its log has.
    pub fn logged(&self) -> usize {
        let log = fs::read(&self.log).unwrap_or_default();
        log.iter().filter(|byte| **byte == b'\n').count()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        signal_term(self.child.id());
        let _ = self.child.wait();
    }
}

/// Each hit is written to the log before its answer, though not to the disk. Debian's defaults but for the
/// connections, which nginx would else close after a thousand requests each.
fn text(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        r#"daemon off;
pid {folder}/nginx.pid;
user root;
worker_processes auto;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    tcp_nopush on;
    log_format hits '$remote_addr [$time_iso8601] "$request" "$http_referer" "$http_user_agent" $uid_got $uid_set';
    access_log {folder}/access.log hits;
    server {{
        listen {address} backlog=4096;
        location = /p.gif {{
            userid on;
            userid_name uid;
            userid_path /;
            userid_expires 365d;
            empty_gif;
        }}
    }}
}}
"#
    )
}
