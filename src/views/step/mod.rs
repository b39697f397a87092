//! A step: what a batch of events changes, and nothing else.
//!
//! A step is exact: many small steps come to what one large step comes to, and the order of the events does not matter. So
//! making all views anew is the same code with another batch size.

mod changes;
mod crowd;
mod delta;
mod known;
mod loaded;
mod mine;
mod owners;
mod people;

use std::collections::{BTreeMap, BTreeSet};

pub use changes::{Changes, DayRow, PersonChange, SessionKey};
pub use crowd::{Crowd, Figures, Group};
pub use known::{Known, Person, PersonLink};

use super::stream::StreamOn;
use super::{Act, Day, PersonKey, Shares, Stream, Zone};
use loaded::Loaded;
use owners::Owners;

/// What a step is about.
#[derive(Debug, Default)]
pub struct Batch {
    /// Each event once, in any order.
    pub acts: Vec<Act>,
    /// Pairs of an anonymous id and a user that are not to be joined; those of earlier steps may be among them.
    pub revoked: BTreeSet<(String, String)>,
    /// Persons whose row may have to change by time alone.
    pub due: Vec<PersonKey>,
}

/// What holds for all persons of a step.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The day whose rows are written.
    pub today: Day,
    pub zone: &'a Zone,
    pub shares: &'a Shares,
}

/// Works out what a batch changes.
///
/// # Errors
/// Those of `known`.
pub async fn step<K: Known>(known: &mut K, batch: Batch, frame: Frame<'_>) -> Result<Changes, K::Error> {
    let mut loaded = Loaded::default();
    let joins = batch
        .acts
        .iter()
        .flat_map(|act| act.joins.iter().cloned())
        .collect();
    let touched = by_stream(&batch.acts);
    let named = touched.keys().map(|(stream, _)| stream.anonymous_id.clone());
    loaded.load_links(known, named.collect()).await?;
    loaded.join(known, joins, batch.revoked).await?;
    loaded.load_touched(known, &touched).await?;
    for ((stream, day), acts) in touched {
        loaded.add(stream, day, &acts);
    }
    let owners = Owners::find(&loaded);
    let mut people = people::People::new(owners, batch.due);
    people.load(known, &mut loaded, frame.zone).await?;
    let mut changes = people.change(known, &mut loaded, frame).await?;
    changes.items = batch
        .acts
        .into_iter()
        .filter(|act| act.content.is_some())
        .collect();
    loaded.write(&mut changes);
    Ok(changes)
}

fn by_stream(acts: &[Act]) -> BTreeMap<StreamOn, Vec<&Act>> {
    let mut streams = BTreeMap::<_, Vec<_>>::new();
    for act in acts {
        streams.entry((Stream::of(act), act.day)).or_default().push(act);
    }
    streams
}
