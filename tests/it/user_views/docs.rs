//! docs/user-view.md says of each column what the database says of it.

use std::fmt::Write as _;
use std::fs;

use momsflow::store::migrate::{Database, migrate};
use tokio_postgres::Client;

use crate::shared::event_store;
use crate::support::connect;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/user-view.md");
const MARK: &str = "MOMSFLOW_UPDATE_DOCS=1 writes them. -->\n";

async fn tables(client: &Client) -> String {
    let tables = client
        .query(
            "SELECT c.oid, c.relname, obj_description(c.oid) FROM pg_class c \
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND c.relname <> 'refinery_schema_history' \
             ORDER BY c.relname <> 'user_views', c.relname",
            &[],
        )
        .await
        .unwrap();
    let mut text = String::new();
    for table in tables {
        let (oid, name, about): (u32, &str, &str) = (table.get(0), table.get(1), table.get(2));
        write!(
            text,
            "\n### {name}\n\n{about}.\n\n| column | type | |\n|---|---|---|\n"
        )
        .unwrap();
        let columns = client
            .query(
                "SELECT attname, format_type(atttypid, NULL), coalesce(col_description(attrelid, attnum), '') FROM pg_attribute \
                 WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                &[&oid],
            )
            .await
            .unwrap();
        for column in columns {
            let (name, kind, about): (&str, &str, &str) = (column.get(0), column.get(1), column.get(2));
            let kind = kind.replace("timestamp with time zone", "timestamptz");
            writeln!(text, "| `{name}` | {kind} | {about} |").unwrap();
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_says_what_the_database_says() {
    let mut config = event_store().await;
    let admin = connect(&config).await.unwrap();
    let name = format!("{}_docs", config.get_dbname().unwrap());
    admin
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    config.dbname(&name);
    migrate(&config, Database::Views).await.unwrap();
    let told = tables(&connect(&config).await.unwrap()).await;
    let text = fs::read_to_string(FILE).unwrap();
    let (written, documented) = text.split_once(MARK).unwrap();
    if std::env::var_os("MOMSFLOW_UPDATE_DOCS").is_some() {
        fs::write(FILE, format!("{written}{MARK}{told}")).unwrap();
    } else {
        assert_eq!(
            documented, told,
            "MOMSFLOW_UPDATE_DOCS=1 writes what the database says"
        );
    }
}
