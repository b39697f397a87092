//! Connections to PostgreSQL.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::Config;

use super::server::Server;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Until a server that no longer answers, on a network that drops packets, counts as gone.
const UNANSWERED_TIMEOUT: Duration = Duration::from_secs(20);

/// Makes a pool of at most `size` connections; none is opened before it is asked for.
///
/// Asking waits a bounded time and then fails with [`deadpool_postgres::PoolError::Timeout`]. A connection whose
/// server has gone is noticed and replaced when it is taken out, so that a restart needs no new pool.
pub fn connect(server: impl Into<Server>, size: usize) -> Pool {
    let server = server.into();
    let manager = Manager::from_config(
        with_timeouts(server.config().clone()),
        server.connector(),
        ManagerConfig {
            // Free, while a query before each use costs a round trip; the driver notices a closed socket at once.
            recycling_method: RecyclingMethod::Fast,
        },
    );
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT_TIMEOUT))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .recycle_timeout(Some(CONNECT_TIMEOUT))
        .build()
        .expect("timeouts have the runtime that they need")
}

/// Adds what a URL left open.
pub(super) fn with_timeouts(mut config: Config) -> Config {
    if config.get_application_name().is_none() {
        config.application_name("momsflow");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNANSWERED_TIMEOUT);
    }
    config.keepalives_idle(UNANSWERED_TIMEOUT);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_the_last_word() {
        let url = "postgres://u@h/d?application_name=mine&connect_timeout=2";
        let config = with_timeouts(url.parse().expect("it is a URL"));
        assert_eq!(config.get_application_name(), Some("mine"));
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(2)));
        assert_eq!(config.get_tcp_user_timeout(), Some(&UNANSWERED_TIMEOUT));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_an_error_within_the_timeout() {
        let config: Config = "postgres://u@127.0.0.1:1/d".parse().expect("it is a URL");
        let pool = connect(config, 1);
        assert!(pool.get().await.is_err());
    }
}
