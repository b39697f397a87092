//! What the tables hold.

use super::table::{Column, Table};

const MONEY: &str = "$::numeric / 1000000";

pub(super) const STREAM_DAYS: Table = Table {
    name: "stream_days",
    keys: 3,
    columns: &[
        Column("anonymous_id", "text", "$"),
        Column("user_id", "text", "$"),
        Column("day", "date", "$"),
        Column("fragments", "bytea", "$"),
    ],
};

pub(super) const LINKS: Table = Table {
    name: "links",
    keys: 2,
    columns: &[
        Column("anonymous_id", "text", "$"),
        Column("user_id", "text", "$"),
        Column("is_revoked", "boolean", "$"),
    ],
};

pub(super) const PEOPLE: Table = Table {
    name: "people",
    keys: 1,
    columns: &[
        Column("person_id", "uuid", "$"),
        Column("is_user", "boolean", "$"),
        Column("id", "text", "$"),
        Column("state", "bytea", "$"),
        Column("viewed_on", "date", "$"),
        Column("next_change", "date", "$"),
    ],
};

pub(super) const USER_VIEWS: Table = Table {
    name: "user_views",
    keys: 1,
    columns: &[
        Column("person_id", "uuid", "$"),
        Column("user_id", "text", "$"),
        Column("anonymous_ids_count", "bigint", "$"),
        Column("first_seen_at", "timestamptz", "$"),
        Column("last_seen_at", "timestamptz", "$"),
        Column("first_channel", "text", "$"),
        Column("first_referrer_host", "text", "$"),
        Column("first_landing_path", "text", "$"),
        Column("primary_device", "text", "$"),
        Column("primary_browser", "text", "$"),
        Column("primary_language", "text", "$"),
        Column("events_count", "bigint", "$"),
        Column("sessions_count", "bigint", "$"),
        Column("active_days_count", "bigint", "$"),
        Column("active_days_28d", "bigint", "$"),
        Column("reads_count", "bigint", "$"),
        Column("completed_reads_count", "bigint", "$"),
        Column("completion_rate", "double precision", "$"),
        Column("engaged_seconds", "bigint", "$"),
        Column("avg_session_seconds", "double precision", "$"),
        Column("shares_count", "bigint", "$"),
        Column("comments_count", "bigint", "$"),
        Column("likes_count", "bigint", "$"),
        Column("follows_count", "bigint", "$"),
        Column("searches_count", "bigint", "$"),
        Column("orders_count", "bigint", "$"),
        Column("revenue_total", "bigint", MONEY),
        Column("preferred_hour", "smallint", "$"),
        Column("preferred_weekday", "smallint", "$"),
        Column("is_newsletter_subscriber", "boolean", "$"),
        Column("is_contributor", "boolean", "$"),
        Column("registered_at", "timestamptz", "$"),
        Column("rfv_score", "bigint", "$"),
        Column("rfv_tier", "text", "$"),
        Column("lifecycle_stage", "text", "$"),
        Column("lifecycle_changed_at", "timestamptz", "$"),
        Column("usual_gap_days", "bigint", "$"),
        Column("favourite_topic_1", "text", "$"),
        Column("favourite_topic_2", "text", "$"),
        Column("favourite_topic_3", "text", "$"),
        Column("favourite_author", "text", "$"),
        Column("affinity_confidence", "double precision", "$"),
        Column("next_change_at", "timestamptz", "$"),
    ],
};

pub(super) const PERSON_DAYS: Table = Table {
    name: "person_days",
    keys: 2,
    columns: &[
        Column("person_id", "uuid", "$"),
        Column("day", "date", "$"),
        Column("sessions", "bigint", "$"),
        Column("events", "bigint", "$"),
        Column("pages", "bigint", "$"),
        Column("reads", "bigint", "$"),
        Column("completed_reads", "bigint", "$"),
        Column("engaged_seconds", "bigint", "$"),
        Column("shares", "bigint", "$"),
        Column("comments", "bigint", "$"),
        Column("likes", "bigint", "$"),
        Column("follows", "bigint", "$"),
        Column("searches", "bigint", "$"),
        Column("orders", "bigint", "$"),
        Column("revenue", "bigint", MONEY),
        Column("newsletter_opens", "bigint", "$"),
        Column("newsletter_clicks", "bigint", "$"),
        Column("recommendations_shown", "bigint", "$"),
        Column("recommendations_clicked", "bigint", "$"),
    ],
};

pub(super) const SESSIONS: Table = Table {
    name: "sessions",
    keys: 2,
    columns: &[
        Column("person_id", "uuid", "$"),
        Column("started_at", "timestamptz", "$"),
        Column("ended_at", "timestamptz", "$"),
        Column("day", "date", "$"),
        Column("events", "bigint", "$"),
        Column("pages", "bigint", "$"),
        Column("reads", "bigint", "$"),
        Column("engaged_seconds", "bigint", "$"),
        Column("channel", "text", "$"),
        Column("referrer_host", "text", "$"),
        Column("landing_path", "text", "$"),
        Column("device", "text", "$"),
        Column("browser", "text", "$"),
        Column("language", "text", "$"),
    ],
};

pub(super) const TRANSITIONS: Table = Table {
    name: "user_lifecycle_transition",
    keys: 2,
    columns: &[
        Column("person_id", "uuid", "$"),
        Column("day", "date", "$"),
        Column("from_stage", "text", "$"),
        Column("to_stage", "text", "$"),
    ],
};

pub(super) const TOPIC_AFFINITY: Table = affinity(
    "user_topic_affinity",
    &[
        Column("person_id", "uuid", "$"),
        Column("topic", "text", "$"),
        Column("score", "double precision", "$"),
        Column("share", "double precision", "$"),
        Column("lift", "double precision", "$"),
    ],
);

pub(super) const AUTHOR_AFFINITY: Table = affinity(
    "user_author_affinity",
    &[
        Column("person_id", "uuid", "$"),
        Column("author", "text", "$"),
        Column("score", "double precision", "$"),
        Column("share", "double precision", "$"),
        Column("lift", "double precision", "$"),
    ],
);

const fn affinity(name: &'static str, columns: &'static [Column]) -> Table {
    Table {
        name,
        keys: 2,
        columns,
    }
}

macro_rules! figures {
    ($name:literal, $keys:literal, [$($key:expr),*], [$($figure:literal),*]) => {
        Table {
            name: $name,
            keys: $keys,
            columns: &[$($key,)* $(Column($figure, "bigint", "$")),*],
        }
    };
}

const DAY: Column = Column("day", "date", "$");

pub(super) const CONTENT_DAY: Table = figures!(
    "content_day",
    2,
    [Column("content_id", "text", "$"), DAY],
    ["people", "views", "reads", "completed_reads", "engaged_seconds"]
);
pub(super) const AUTHOR_DAY: Table = figures!(
    "author_day",
    2,
    [Column("author", "text", "$"), DAY],
    [
        "people",
        "views",
        "reads",
        "completed_reads",
        "engaged_seconds",
        "weight"
    ]
);
pub(super) const TOPIC_DAY: Table = figures!(
    "topic_day",
    2,
    [Column("topic", "text", "$"), DAY],
    [
        "people",
        "views",
        "reads",
        "completed_reads",
        "engaged_seconds",
        "weight"
    ]
);
pub(super) const CHANNEL_DAY: Table = figures!(
    "channel_day",
    2,
    [Column("channel", "text", "$"), DAY],
    ["sessions", "events", "reads", "engaged_seconds"]
);
pub(super) const DAILY_ACTIVE: Table = figures!(
    "daily_active_all",
    1,
    [DAY],
    [
        "people",
        "new_people",
        "people_7d",
        "people_28d",
        "sessions",
        "events",
        "reads",
        "completed_reads",
        "engaged_seconds"
    ]
);
