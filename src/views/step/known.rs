//! What earlier steps have left.

use crate::views::stream::StreamOn;
use crate::views::{Day, PersonKey, PersonState, StreamDay};

/// That an anonymous id and a user were named together by somebody who is to be believed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersonLink {
    pub anonymous_id: String,
    pub user_id: String,
    /// For ever.
    pub is_revoked: bool,
}

/// A person as the last step that touched it left it.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    pub key: PersonKey,
    pub state: PersonState,
    /// The day whose view was written.
    pub viewed_on: Day,
}

/// The store of states. All answers are those of one moment.
#[allow(async_fn_in_trait, reason = "used within one task")]
pub trait Known {
    type Error;

    /// The days of all streams that carry these anonymous ids, on these days.
    async fn days_of_visitors(
        &mut self,
        wanted: &[(String, Day)],
    ) -> Result<Vec<(StreamOn, StreamDay)>, Self::Error>;

    /// The days of all streams that carry these user ids, on these days.
    async fn days_of_users(
        &mut self,
        wanted: &[(String, Day)],
    ) -> Result<Vec<(StreamOn, StreamDay)>, Self::Error>;

    /// All days of all streams that carry these anonymous ids.
    async fn all_of_visitors(
        &mut self,
        anonymous_ids: &[String],
    ) -> Result<Vec<(StreamOn, StreamDay)>, Self::Error>;

    /// All days of all streams that carry these user ids.
    async fn all_of_users(&mut self, user_ids: &[String]) -> Result<Vec<(StreamOn, StreamDay)>, Self::Error>;

    /// All links of these anonymous ids.
    async fn links_of_visitors(&mut self, anonymous_ids: &[String]) -> Result<Vec<PersonLink>, Self::Error>;

    /// All links of these users.
    async fn links_of_users(&mut self, user_ids: &[String]) -> Result<Vec<PersonLink>, Self::Error>;

    /// Those of these persons that there are.
    async fn people(&mut self, people: &[PersonKey]) -> Result<Vec<Person>, Self::Error>;
}
