//! Who a person is.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A user, or a visitor of whom nobody knows who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PersonKey {
    /// By user id.
    User(String),
    /// By anonymous id.
    Visitor(String),
}

impl PersonKey {
    /// `person_id` of the tables.
    pub fn person_id(&self) -> Uuid {
        person_id(self)
    }

    /// The user id of a user.
    pub fn user_id(&self) -> Option<&str> {
        match self {
            Self::User(id) => Some(id),
            Self::Visitor(_) => None,
        }
    }
}

/// The namespace of person ids; any UUID that nobody else uses.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f0b_5c0e_6d1c_5d0f_9a54_31d7_0f7a_52b1);

/// A person's id: UUIDv5 of `user:` or `visitor:` and the id, so that it is the same whenever it is made.
pub fn person_id(person: &PersonKey) -> Uuid {
    let name = match person {
        PersonKey::User(id) => format!("user:{id}"),
        PersonKey::Visitor(id) => format!("visitor:{id}"),
    };
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}
