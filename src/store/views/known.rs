//! The states that earlier steps have left, as the step asks for them.

use deadpool_postgres::Transaction;
use jiff::civil::Date;
use tokio_postgres::Row;

use crate::views::step::{Known, Person, PersonLink};
use crate::views::{Day, PersonKey, PersonState, Stream, StreamDay, StreamOn};

/// Why states cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
    /// Bytes of another definition, or damaged ones.
    #[error("the state of {0} cannot be read\n\nhint: momsflow user-views rebuild makes all states anew")]
    Unreadable(String),
}

/// Reads within one transaction.
#[derive(Debug)]
pub struct PgKnown<'a>(pub &'a Transaction<'a>);

impl PgKnown<'_> {
    async fn stream_days(
        &self,
        statement: &str,
        ids: &[String],
        days: Option<&[Date]>,
    ) -> Result<Vec<(StreamOn, StreamDay)>, KnownError> {
        let statement = self.0.prepare_cached(statement).await?;
        let rows = match days {
            Some(days) => self.0.query(&statement, &[&ids, &days]).await?,
            None => self.0.query(&statement, &[&ids]).await?,
        };
        rows.iter().map(stream_day).collect()
    }
}

impl Known for PgKnown<'_> {
    type Error = KnownError;

    async fn days_of_visitors(
        &mut self,
        wanted: &[(String, Day)],
    ) -> Result<Vec<(StreamOn, StreamDay)>, KnownError> {
        let (ids, days) = split(wanted);
        self.stream_days(
            include_str!("../sql/views/days_of_visitors.sql"),
            &ids,
            Some(&days),
        )
        .await
    }

    async fn days_of_users(
        &mut self,
        wanted: &[(String, Day)],
    ) -> Result<Vec<(StreamOn, StreamDay)>, KnownError> {
        let (ids, days) = split(wanted);
        self.stream_days(include_str!("../sql/views/days_of_users.sql"), &ids, Some(&days))
            .await
    }

    async fn all_of_visitors(
        &mut self,
        anonymous_ids: &[String],
    ) -> Result<Vec<(StreamOn, StreamDay)>, KnownError> {
        self.stream_days(
            include_str!("../sql/views/all_of_visitors.sql"),
            anonymous_ids,
            None,
        )
        .await
    }

    async fn all_of_users(&mut self, user_ids: &[String]) -> Result<Vec<(StreamOn, StreamDay)>, KnownError> {
        self.stream_days(include_str!("../sql/views/all_of_users.sql"), user_ids, None)
            .await
    }

    async fn links_of_visitors(&mut self, anonymous_ids: &[String]) -> Result<Vec<PersonLink>, KnownError> {
        let statement = self
            .0
            .prepare_cached(include_str!("../sql/views/links_of_visitors.sql"))
            .await?;
        Ok(self
            .0
            .query(&statement, &[&anonymous_ids])
            .await?
            .iter()
            .map(link)
            .collect())
    }

    async fn links_of_users(&mut self, user_ids: &[String]) -> Result<Vec<PersonLink>, KnownError> {
        let statement = self
            .0
            .prepare_cached(include_str!("../sql/views/links_of_users.sql"))
            .await?;
        Ok(self
            .0
            .query(&statement, &[&user_ids])
            .await?
            .iter()
            .map(link)
            .collect())
    }

    async fn people(&mut self, people: &[PersonKey]) -> Result<Vec<Person>, KnownError> {
        let ids: Vec<_> = people.iter().map(PersonKey::person_id).collect();
        let statement = self
            .0
            .prepare_cached(include_str!("../sql/views/people.sql"))
            .await?;
        self.0
            .query(&statement, &[&ids])
            .await?
            .iter()
            .map(person)
            .collect()
    }
}

fn split(wanted: &[(String, Day)]) -> (Vec<String>, Vec<Date>) {
    wanted.iter().map(|(id, day)| (id.clone(), day.date())).unzip()
}

fn stream_day(row: &Row) -> Result<(StreamOn, StreamDay), KnownError> {
    let stream = Stream {
        anonymous_id: row.get("anonymous_id"),
        user_id: row.get("user_id"),
    };
    let day: Date = row.get("day");
    let fragments = StreamDay::from_bytes(row.get("fragments")).map_err(|_| {
        KnownError::Unreadable(format!("{} {} on {day}", stream.anonymous_id, stream.user_id))
    })?;
    Ok(((stream, day.into()), fragments))
}

fn link(row: &Row) -> PersonLink {
    PersonLink {
        anonymous_id: row.get("anonymous_id"),
        user_id: row.get("user_id"),
        is_revoked: row.get("is_revoked"),
    }
}

fn person(row: &Row) -> Result<Person, KnownError> {
    let key = person_key(row);
    let state = PersonState::from_bytes(row.get("state"))
        .map_err(|_| KnownError::Unreadable(key.person_id().to_string()))?;
    let viewed_on: Date = row.get("viewed_on");
    Ok(Person {
        key,
        state,
        viewed_on: viewed_on.into(),
    })
}

/// The person of a user id, an anonymous id or a person id, in this order, and how many anonymous ids are its.
pub async fn find_person(
    transaction: &Transaction<'_>,
    id: &str,
) -> Result<Option<(Person, usize)>, KnownError> {
    let row = transaction
        .query_opt(include_str!("../sql/views/find_person.sql"), &[&id])
        .await?;
    row.map(|row| {
        Ok((
            person(&row)?,
            row.get::<_, i64>("anonymous_ids").unsigned_abs() as usize,
        ))
    })
    .transpose()
}

pub(super) fn person_key(row: &Row) -> PersonKey {
    let id = row.get("id");
    match row.get("is_user") {
        true => PersonKey::User(id),
        false => PersonKey::Visitor(id),
    }
}
