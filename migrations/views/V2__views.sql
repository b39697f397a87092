-- What is known of people. The role user-views derives all of it from the events, and can make it anew at any time.
-- momsflow keeps its books in the schema `state`; people read the tables of `public`.

CREATE TABLE user_views (
    person_id            uuid PRIMARY KEY,
    user_id              text,
    anonymous_ids_count  integer NOT NULL,
    first_seen_at        timestamptz NOT NULL,
    last_seen_at         timestamptz NOT NULL,
    first_channel        text NOT NULL,
    first_referrer_host  text,
    first_landing_path   text,
    primary_device       text,
    primary_browser      text,
    primary_language     text,
    events_count         bigint NOT NULL,
    sessions_count       bigint NOT NULL,
    active_days_count    integer NOT NULL,
    active_days_28d      integer NOT NULL,
    reads_count          bigint NOT NULL,
    completed_reads_count bigint NOT NULL,
    completion_rate      double precision NOT NULL,
    engaged_seconds      bigint NOT NULL,
    avg_session_seconds  double precision NOT NULL,
    shares_count         bigint NOT NULL,
    comments_count       bigint NOT NULL,
    likes_count          bigint NOT NULL,
    follows_count        bigint NOT NULL,
    searches_count       bigint NOT NULL,
    orders_count         bigint NOT NULL,
    revenue_total        numeric NOT NULL,
    preferred_hour       smallint,
    preferred_weekday    smallint,
    is_newsletter_subscriber boolean NOT NULL,
    is_contributor       boolean NOT NULL,
    registered_at        timestamptz,
    rfv_score            smallint NOT NULL,
    rfv_tier             text NOT NULL,
    lifecycle_stage      text NOT NULL,
    lifecycle_changed_at timestamptz NOT NULL,
    usual_gap_days       smallint NOT NULL,
    favourite_topic_1    text,
    favourite_topic_2    text,
    favourite_topic_3    text,
    favourite_author     text,
    affinity_confidence  double precision NOT NULL,
    next_change_at       timestamptz,
    updated_at           timestamptz NOT NULL
);
CREATE UNIQUE INDEX user_views_user ON user_views (user_id);
CREATE INDEX user_views_stage ON user_views (lifecycle_stage, last_seen_at);
COMMENT ON TABLE user_views IS 'One row a person, known or not: who it is, what it does, and where it stands';
COMMENT ON COLUMN user_views.person_id IS 'The person: the same id for the same user, or visitor, always';
COMMENT ON COLUMN user_views.user_id IS 'The platform''s id of the user; empty for a visitor of whom nobody knows who it is';
COMMENT ON COLUMN user_views.anonymous_ids_count IS 'Browsers and devices that are known to be the person''s';
COMMENT ON COLUMN user_views.first_seen_at IS 'Time of the first event';
COMMENT ON COLUMN user_views.last_seen_at IS 'Time of the last event';
COMMENT ON COLUMN user_views.first_channel IS 'How the person first came: direct, search, social, referral, email, paid, or what a campaign calls its medium';
COMMENT ON COLUMN user_views.first_referrer_host IS 'Site from which the person first came';
COMMENT ON COLUMN user_views.first_landing_path IS 'Path of the first page';
COMMENT ON COLUMN user_views.primary_device IS 'Kind of device of most visits: mobile, tablet or desktop';
COMMENT ON COLUMN user_views.primary_browser IS 'Browser of most visits';
COMMENT ON COLUMN user_views.primary_language IS 'Language of most visits, such as de';
COMMENT ON COLUMN user_views.events_count IS 'Events in all';
COMMENT ON COLUMN user_views.sessions_count IS 'Sessions in all; one ends with a pause of more than 30 minutes';
COMMENT ON COLUMN user_views.active_days_count IS 'Days with at least one event, by the configured zone';
COMMENT ON COLUMN user_views.active_days_28d IS 'Of them, those of the last 28 days, today included';
COMMENT ON COLUMN user_views.reads_count IS 'Contents read, each once a day';
COMMENT ON COLUMN user_views.completed_reads_count IS 'Contents read to the end, each once a day';
COMMENT ON COLUMN user_views.completion_rate IS 'Share of what is read that is read to the end, 0 to 1; smoothed: (completed + 1) / (reads + 2)';
COMMENT ON COLUMN user_views.engaged_seconds IS 'Seconds of attention on pages, as the pixel measures them';
COMMENT ON COLUMN user_views.avg_session_seconds IS 'Seconds from the first to the last event of a session, on the average';
COMMENT ON COLUMN user_views.shares_count IS 'Articles shared';
COMMENT ON COLUMN user_views.comments_count IS 'Comments written';
COMMENT ON COLUMN user_views.likes_count IS 'Likes given';
COMMENT ON COLUMN user_views.follows_count IS 'Authors followed';
COMMENT ON COLUMN user_views.searches_count IS 'Searches';
COMMENT ON COLUMN user_views.orders_count IS 'Orders completed';
COMMENT ON COLUMN user_views.revenue_total IS 'Sum of the orders'' revenue, in the currency of the events';
COMMENT ON COLUMN user_views.preferred_hour IS 'Hour of the day (0 to 23, by the configured zone) with activity on most days';
COMMENT ON COLUMN user_views.preferred_weekday IS 'Day of the week with most active days: 1 Monday to 7 Sunday';
COMMENT ON COLUMN user_views.is_newsletter_subscriber IS 'Whether the last word on the newsletter was a subscription';
COMMENT ON COLUMN user_views.is_contributor IS 'Whether the person has published an article or written a comment';
COMMENT ON COLUMN user_views.registered_at IS 'Time of the first Signed Up event';
COMMENT ON COLUMN user_views.rfv_score IS 'Recency, frequency and volume of the 28 days before today, 0 to 100';
COMMENT ON COLUMN user_views.rfv_tier IS 'The score in a word: casual, regular, loyal or devoted; slow to fall';
COMMENT ON COLUMN user_views.lifecycle_stage IS 'new, active, at_risk, dormant, churned or resurrected';
COMMENT ON COLUMN user_views.lifecycle_changed_at IS 'Since when';
COMMENT ON COLUMN user_views.usual_gap_days IS 'Days between active days that are usual for the person';
COMMENT ON COLUMN user_views.favourite_topic_1 IS 'Topic that the person reads more than others do';
COMMENT ON COLUMN user_views.favourite_topic_2 IS 'The second';
COMMENT ON COLUMN user_views.favourite_topic_3 IS 'The third';
COMMENT ON COLUMN user_views.favourite_author IS 'Author whom the person reads more than others do';
COMMENT ON COLUMN user_views.affinity_confidence IS 'How much there is to judge the favourites by, 0 to 1';
COMMENT ON COLUMN user_views.next_change_at IS 'When the row will change though nothing happens';
COMMENT ON COLUMN user_views.updated_at IS 'When the row was last written';

CREATE TABLE person_days (
    person_id       uuid NOT NULL,
    day             date NOT NULL,
    sessions        bigint NOT NULL,
    events          bigint NOT NULL,
    pages           bigint NOT NULL,
    reads           bigint NOT NULL,
    completed_reads bigint NOT NULL,
    engaged_seconds bigint NOT NULL,
    shares          bigint NOT NULL,
    comments        bigint NOT NULL,
    likes           bigint NOT NULL,
    follows         bigint NOT NULL,
    searches        bigint NOT NULL,
    orders          bigint NOT NULL,
    revenue         numeric NOT NULL,
    newsletter_opens  bigint NOT NULL,
    newsletter_clicks bigint NOT NULL,
    recommendations_shown   bigint NOT NULL,
    recommendations_clicked bigint NOT NULL,
    PRIMARY KEY (person_id, day)
);
CREATE INDEX person_days_day ON person_days (day);
COMMENT ON TABLE person_days IS 'What each person did on each day';
COMMENT ON COLUMN person_days.person_id IS 'The person, as in user_views';
COMMENT ON COLUMN person_days.day IS 'The day, by the configured zone';
COMMENT ON COLUMN person_days.sessions IS 'Sessions that began on the day';
COMMENT ON COLUMN person_days.events IS 'Events in all';
COMMENT ON COLUMN person_days.pages IS 'Page and screen calls';
COMMENT ON COLUMN person_days.reads IS 'Contents read';
COMMENT ON COLUMN person_days.completed_reads IS 'Contents read to the end';
COMMENT ON COLUMN person_days.engaged_seconds IS 'Seconds of attention';
COMMENT ON COLUMN person_days.shares IS 'Articles shared';
COMMENT ON COLUMN person_days.comments IS 'Comments written';
COMMENT ON COLUMN person_days.likes IS 'Likes given';
COMMENT ON COLUMN person_days.follows IS 'Authors followed';
COMMENT ON COLUMN person_days.searches IS 'Searches';
COMMENT ON COLUMN person_days.orders IS 'Orders completed';
COMMENT ON COLUMN person_days.revenue IS 'Sum of their revenue, in the currency of the events';
COMMENT ON COLUMN person_days.newsletter_opens IS 'Newsletters opened';
COMMENT ON COLUMN person_days.newsletter_clicks IS 'Clicks in newsletters';
COMMENT ON COLUMN person_days.recommendations_shown IS 'Recommendations seen';
COMMENT ON COLUMN person_days.recommendations_clicked IS 'Recommendations followed';

CREATE TABLE sessions (
    person_id       uuid NOT NULL,
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz NOT NULL,
    day             date NOT NULL,
    events          bigint NOT NULL,
    pages           bigint NOT NULL,
    reads           bigint NOT NULL,
    engaged_seconds bigint NOT NULL,
    channel         text NOT NULL,
    referrer_host   text,
    landing_path    text,
    device          text,
    browser         text,
    language        text,
    PRIMARY KEY (person_id, started_at)
);
CREATE INDEX sessions_day ON sessions (day);
COMMENT ON TABLE sessions IS 'Visits: events of a person, on all devices, without a pause of more than 30 minutes';
COMMENT ON COLUMN sessions.person_id IS 'The person, as in user_views';
COMMENT ON COLUMN sessions.started_at IS 'Time of the first event';
COMMENT ON COLUMN sessions.ended_at IS 'Time of the last event';
COMMENT ON COLUMN sessions.day IS 'The day on which it began, by the configured zone';
COMMENT ON COLUMN sessions.events IS 'Events in all';
COMMENT ON COLUMN sessions.pages IS 'Page and screen calls';
COMMENT ON COLUMN sessions.reads IS 'Contents read';
COMMENT ON COLUMN sessions.engaged_seconds IS 'Seconds of attention';
COMMENT ON COLUMN sessions.channel IS 'How it began: direct, search, social, referral, email, paid, or what a campaign calls its medium';
COMMENT ON COLUMN sessions.referrer_host IS 'Site from which the person came';
COMMENT ON COLUMN sessions.landing_path IS 'Path of the first page';
COMMENT ON COLUMN sessions.device IS 'mobile, tablet or desktop';
COMMENT ON COLUMN sessions.browser IS 'Browser';
COMMENT ON COLUMN sessions.language IS 'Language of the browser, such as de';

CREATE TABLE items (
    content_id    text PRIMARY KEY,
    content_type  text,
    title         text,
    author        text,
    topics        text[] NOT NULL,
    language      text,
    word_count    bigint,
    is_available  boolean NOT NULL,
    published_at  timestamptz,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    told_at       timestamptz NOT NULL,
    told_by       uuid NOT NULL,
    available_at  timestamptz NOT NULL
);
CREATE INDEX items_author ON items (author);
COMMENT ON TABLE items IS 'Content that events have been about';
COMMENT ON COLUMN items.content_id IS 'The platform''s id of it';
COMMENT ON COLUMN items.content_type IS 'article, video and so on, as the events say';
COMMENT ON COLUMN items.title IS 'Title';
COMMENT ON COLUMN items.author IS 'Author, by name or id, as the events say';
COMMENT ON COLUMN items.topics IS 'Topics';
COMMENT ON COLUMN items.language IS 'Language, such as de';
COMMENT ON COLUMN items.word_count IS 'Length in words';
COMMENT ON COLUMN items.is_available IS 'False from Article Unpublished on';
COMMENT ON COLUMN items.published_at IS 'Time of the first Article Published';
COMMENT ON COLUMN items.first_seen_at IS 'Time of the first event about it';
COMMENT ON COLUMN items.last_seen_at IS 'Time of the last event about it';
COMMENT ON COLUMN items.told_at IS 'Time of the event from which type, title, author, topics, language and length are: the last that said any';
COMMENT ON COLUMN items.told_by IS 'That event';
COMMENT ON COLUMN items.available_at IS 'Time of the last Article Published or Article Unpublished';

CREATE TABLE user_topic_affinity (
    person_id uuid NOT NULL,
    topic     text NOT NULL,
    score     double precision NOT NULL,
    share     double precision NOT NULL,
    lift      double precision NOT NULL,
    PRIMARY KEY (person_id, topic)
);
CREATE INDEX user_topic_affinity_topic ON user_topic_affinity (topic, lift);
COMMENT ON TABLE user_topic_affinity IS 'How much each person likes each topic; the 20 that weigh most';
COMMENT ON COLUMN user_topic_affinity.person_id IS 'The person, as in user_views';
COMMENT ON COLUMN user_topic_affinity.topic IS 'The topic';
COMMENT ON COLUMN user_topic_affinity.score IS 'Weight of what was read of it: 1 viewed, 3 read, 5 read to the end, halved every 30 days; as of the last active day';
COMMENT ON COLUMN user_topic_affinity.share IS 'Of all that the person reads, 0 to 1';
COMMENT ON COLUMN user_topic_affinity.lift IS 'That share over the share of all readers, smoothed; above 1: more than they';

CREATE TABLE user_author_affinity (
    person_id uuid NOT NULL,
    author    text NOT NULL,
    score     double precision NOT NULL,
    share     double precision NOT NULL,
    lift      double precision NOT NULL,
    PRIMARY KEY (person_id, author)
);
CREATE INDEX user_author_affinity_author ON user_author_affinity (author, lift);
COMMENT ON TABLE user_author_affinity IS 'How much each person likes each author; the 20 that weigh most';
COMMENT ON COLUMN user_author_affinity.person_id IS 'The person, as in user_views';
COMMENT ON COLUMN user_author_affinity.author IS 'The author';
COMMENT ON COLUMN user_author_affinity.score IS 'Weight of what was read: 1 viewed, 3 read, 5 read to the end, halved every 30 days; as of the last active day';
COMMENT ON COLUMN user_author_affinity.share IS 'Of all that the person reads, 0 to 1';
COMMENT ON COLUMN user_author_affinity.lift IS 'That share over the share of all readers, smoothed; above 1: more than they';

CREATE TABLE user_lifecycle_transition (
    person_id  uuid NOT NULL,
    day        date NOT NULL,
    from_stage text,
    to_stage   text NOT NULL,
    PRIMARY KEY (person_id, day)
);
CREATE INDEX user_lifecycle_transition_day ON user_lifecycle_transition (day, to_stage);
COMMENT ON TABLE user_lifecycle_transition IS 'When people went from one stage to another';
COMMENT ON COLUMN user_lifecycle_transition.person_id IS 'The person, as in user_views';
COMMENT ON COLUMN user_lifecycle_transition.day IS 'The first day of the new stage, by the configured zone';
COMMENT ON COLUMN user_lifecycle_transition.from_stage IS 'The stage before; empty at the beginning';
COMMENT ON COLUMN user_lifecycle_transition.to_stage IS 'The new stage';

CREATE TABLE content_day (
    content_id text NOT NULL,
    day date NOT NULL,
    people bigint NOT NULL,
    views bigint NOT NULL,
    reads bigint NOT NULL,
    completed_reads bigint NOT NULL,
    engaged_seconds bigint NOT NULL,
    PRIMARY KEY (content_id, day)
);
CREATE INDEX content_day_day ON content_day (day);
COMMENT ON TABLE content_day IS 'How each content did on each day';
COMMENT ON COLUMN content_day.content_id IS 'The content, as in items';
COMMENT ON COLUMN content_day.day IS 'The day, by the configured zone';
COMMENT ON COLUMN content_day.people IS 'People who had to do with it';
COMMENT ON COLUMN content_day.views IS 'People who opened it';
COMMENT ON COLUMN content_day.reads IS 'People who read it';
COMMENT ON COLUMN content_day.completed_reads IS 'People who read it to the end';
COMMENT ON COLUMN content_day.engaged_seconds IS 'Seconds of attention';

CREATE TABLE author_day (
    author text NOT NULL,
    day date NOT NULL,
    people bigint NOT NULL,
    views bigint NOT NULL,
    reads bigint NOT NULL,
    completed_reads bigint NOT NULL,
    engaged_seconds bigint NOT NULL,
    weight bigint NOT NULL,
    PRIMARY KEY (author, day)
);
CREATE INDEX author_day_day ON author_day (day);
COMMENT ON TABLE author_day IS 'How each author did on each day';
COMMENT ON COLUMN author_day.author IS 'The author';
COMMENT ON COLUMN author_day.day IS 'The day, by the configured zone';
COMMENT ON COLUMN author_day.people IS 'People who had to do with any of the author''s contents';
COMMENT ON COLUMN author_day.views IS 'Contents opened, each once a person';
COMMENT ON COLUMN author_day.reads IS 'Contents read, each once a person';
COMMENT ON COLUMN author_day.completed_reads IS 'Contents read to the end, each once a person';
COMMENT ON COLUMN author_day.engaged_seconds IS 'Seconds of attention';
COMMENT ON COLUMN author_day.weight IS 'What it all weighs: 1 viewed, 3 read, 5 read to the end';

CREATE TABLE topic_day (
    topic text NOT NULL,
    day date NOT NULL,
    people bigint NOT NULL,
    views bigint NOT NULL,
    reads bigint NOT NULL,
    completed_reads bigint NOT NULL,
    engaged_seconds bigint NOT NULL,
    weight bigint NOT NULL,
    PRIMARY KEY (topic, day)
);
CREATE INDEX topic_day_day ON topic_day (day);
COMMENT ON TABLE topic_day IS 'How each topic did on each day';
COMMENT ON COLUMN topic_day.topic IS 'The topic';
COMMENT ON COLUMN topic_day.day IS 'The day, by the configured zone';
COMMENT ON COLUMN topic_day.people IS 'People who had to do with any content on it';
COMMENT ON COLUMN topic_day.views IS 'Contents opened, each once a person';
COMMENT ON COLUMN topic_day.reads IS 'Contents read, each once a person';
COMMENT ON COLUMN topic_day.completed_reads IS 'Contents read to the end, each once a person';
COMMENT ON COLUMN topic_day.engaged_seconds IS 'Seconds of attention';
COMMENT ON COLUMN topic_day.weight IS 'What it all weighs: 1 viewed, 3 read, 5 read to the end';

CREATE TABLE channel_day (
    channel text NOT NULL,
    day date NOT NULL,
    sessions bigint NOT NULL,
    events bigint NOT NULL,
    reads bigint NOT NULL,
    engaged_seconds bigint NOT NULL,
    PRIMARY KEY (channel, day)
);
COMMENT ON TABLE channel_day IS 'How people came on each day';
COMMENT ON COLUMN channel_day.channel IS 'How the session began: direct, search, social, referral, email, paid, or what a campaign calls its medium';
COMMENT ON COLUMN channel_day.day IS 'The day on which the session began, by the configured zone';
COMMENT ON COLUMN channel_day.sessions IS 'Sessions';
COMMENT ON COLUMN channel_day.events IS 'Events in them';
COMMENT ON COLUMN channel_day.reads IS 'Contents read in them';
COMMENT ON COLUMN channel_day.engaged_seconds IS 'Seconds of attention in them';

-- Windows reach into days that are still to come; people see those that have begun.
CREATE TABLE daily_active_all (
    day date PRIMARY KEY,
    people bigint NOT NULL,
    new_people bigint NOT NULL,
    people_7d bigint NOT NULL,
    people_28d bigint NOT NULL,
    sessions bigint NOT NULL,
    events bigint NOT NULL,
    reads bigint NOT NULL,
    completed_reads bigint NOT NULL,
    engaged_seconds bigint NOT NULL
);
COMMENT ON TABLE daily_active_all IS 'daily_active, and the days to come for as far as they are known';
COMMENT ON COLUMN daily_active_all.day IS 'The day, by the configured zone';
COMMENT ON COLUMN daily_active_all.people IS 'People with an event';
COMMENT ON COLUMN daily_active_all.new_people IS 'Of them, those who were never seen before';
COMMENT ON COLUMN daily_active_all.people_7d IS 'People with an event on the day or the six before';
COMMENT ON COLUMN daily_active_all.people_28d IS 'People with an event on the day or the 27 before';
COMMENT ON COLUMN daily_active_all.sessions IS 'Sessions that began';
COMMENT ON COLUMN daily_active_all.events IS 'Events of people; bots are left out';
COMMENT ON COLUMN daily_active_all.reads IS 'Contents read, each once a person';
COMMENT ON COLUMN daily_active_all.completed_reads IS 'Contents read to the end, each once a person';
COMMENT ON COLUMN daily_active_all.engaged_seconds IS 'Seconds of attention';

CREATE TABLE view_run (
    run_id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind               text NOT NULL CHECK (kind IN ('run', 'rebuild')),
    started_at         timestamptz NOT NULL,
    finished_at        timestamptz NOT NULL,
    as_of              date NOT NULL,
    definition_version integer NOT NULL,
    shares_of          date,
    rows_read          bigint NOT NULL,
    people_touched     bigint NOT NULL,
    rows_changed       bigint NOT NULL,
    unknown_events     text[] NOT NULL
);
CREATE INDEX view_run_finished ON view_run (finished_at);
COMMENT ON TABLE view_run IS 'Runs of user-views that had something to do';
COMMENT ON COLUMN view_run.run_id IS 'Number of the run';
COMMENT ON COLUMN view_run.kind IS 'run: what was new; rebuild: everything';
COMMENT ON COLUMN view_run.started_at IS 'When it began';
COMMENT ON COLUMN view_run.finished_at IS 'When it was committed';
COMMENT ON COLUMN view_run.as_of IS 'The day whose rows it wrote, by the configured zone';
COMMENT ON COLUMN view_run.definition_version IS 'Version of what the columns mean';
COMMENT ON COLUMN view_run.shares_of IS 'Day of the site''s averages that it compared people with';
COMMENT ON COLUMN view_run.rows_read IS 'Events read';
COMMENT ON COLUMN view_run.people_touched IS 'People looked at';
COMMENT ON COLUMN view_run.rows_changed IS 'Rows written or deleted, in all tables';
COMMENT ON COLUMN view_run.unknown_events IS 'Some names of events that the vocabulary does not have: they count as activity only';

CREATE SCHEMA state;
COMMENT ON SCHEMA state IS 'What user-views remembers from one run to the next; not for people';

-- Read up to here, of each partition of each log.
CREATE TABLE state.marks (
    log_id        uuid NOT NULL,
    log_partition integer NOT NULL,
    next_offset   bigint NOT NULL,
    PRIMARY KEY (log_id, log_partition)
);

-- What events say, by whom they carry; whoever that is. See views::StreamDay.
CREATE TABLE state.stream_days (
    anonymous_id text NOT NULL,
    user_id      text NOT NULL,
    day          date NOT NULL,
    fragments    bytea NOT NULL,
    PRIMARY KEY (anonymous_id, day, user_id)
);
CREATE INDEX stream_days_user ON state.stream_days (user_id, day) WHERE user_id <> '';

CREATE TABLE state.links (
    anonymous_id text NOT NULL,
    user_id      text NOT NULL,
    is_revoked   boolean NOT NULL,
    PRIMARY KEY (anonymous_id, user_id)
);
CREATE INDEX links_user ON state.links (user_id);

CREATE TABLE state.people (
    person_id   uuid PRIMARY KEY,
    is_user     boolean NOT NULL,
    id          text NOT NULL,
    state       bytea NOT NULL,
    viewed_on   date NOT NULL,
    next_change date
);
CREATE INDEX people_id ON state.people (id);
CREATE INDEX people_next_change ON state.people (next_change);

-- What readers like on the average, frozen.
CREATE TABLE state.shares (
    kind  text NOT NULL CHECK (kind IN ('topic', 'author')),
    name  text NOT NULL,
    share double precision NOT NULL,
    PRIMARY KEY (kind, name)
);

-- One row.
CREATE TABLE state.meta (
    is_only            boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    definition_version integer NOT NULL,
    zone               text NOT NULL,
    shares_of          date
);

CREATE VIEW daily_active AS
SELECT day, people, new_people, people_7d, people_28d,
       CASE WHEN people_28d > 0 THEN people::double precision / people_28d ELSE 0 END AS stickiness,
       sessions, events, reads, completed_reads, engaged_seconds
FROM daily_active_all
WHERE day <= (SELECT coalesce(max(as_of), current_date) FROM view_run);
COMMENT ON VIEW daily_active IS 'How many people were active on each day, and in the 7 and 28 days until it';
COMMENT ON COLUMN daily_active.stickiness IS 'Of the people of 28 days, the share that was active on the day, 0 to 1';
COMMENT ON COLUMN daily_active.day IS 'The day, by the configured zone';
COMMENT ON COLUMN daily_active.people IS 'People with an event';
COMMENT ON COLUMN daily_active.new_people IS 'Of them, those who were never seen before';
COMMENT ON COLUMN daily_active.people_7d IS 'People with an event on the day or the six before';
COMMENT ON COLUMN daily_active.people_28d IS 'People with an event on the day or the 27 before';
COMMENT ON COLUMN daily_active.sessions IS 'Sessions that began';
COMMENT ON COLUMN daily_active.events IS 'Events of people; bots are left out';
COMMENT ON COLUMN daily_active.reads IS 'Contents read, each once a person';
COMMENT ON COLUMN daily_active.completed_reads IS 'Contents read to the end, each once a person';
COMMENT ON COLUMN daily_active.engaged_seconds IS 'Seconds of attention';
