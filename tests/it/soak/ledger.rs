//! The exact account of what was sent and what was acknowledged.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use uuid::Uuid;

use super::event::Event;

#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub event: Event,
    pub is_acknowledged: bool,
    /// How often it stood in a request, retries included.
    pub sends: u32,
}

#[derive(Debug, Default)]
pub struct Book {
    pub events: HashMap<Uuid, Entry>,
    /// Invalid events by their text, and whether an answer said that they are kept.
    pub invalid: HashMap<String, bool>,
    /// What an answer said that it must not.
    pub violations: Vec<String>,
    pub requests: u64,
    pub answers: HashMap<u16, u64>,
    /// Events by acknowledgement: with the log, or from the spool.
    pub logged: u64,
    pub spooled: u64,
    pub failures: u64,
    pub given_up: u64,
    pub slowest_answer_ms: u128,
}

#[derive(Debug, Default)]
pub struct Ledger(Mutex<Book>);

impl Ledger {
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }

    /// The whole account, when nobody writes in it any more.
    pub fn close(&self) -> Book {
        std::mem::take(&mut *self.book())
    }

    /// To be called before anything of it leaves.
    pub fn sending(&self, events: &[(Event, u32)], invalid: &[String]) {
        let mut book = self.book();
        book.requests += 1;
        for (event, _) in events {
            let entry = book.events.entry(event.id()).or_insert(Entry {
                event: *event,
                is_acknowledged: false,
                sends: 0,
            });
            entry.sends += 1;
        }
        for text in invalid {
            book.invalid.entry(text.clone()).or_insert(false);
        }
    }

    pub fn acknowledged(&self, events: &[(Event, u32)], is_spooled: bool) {
        let mut book = self.book();
        *(if is_spooled {
            &mut book.spooled
        } else {
            &mut book.logged
        }) += events.len() as u64;
        for (event, _) in events {
            if let Some(entry) = book.events.get_mut(&event.id()) {
                entry.is_acknowledged = true;
            }
        }
    }

    pub fn kept(&self, text: &str) {
        self.book().invalid.insert(text.to_owned(), true);
    }

    pub fn violation(&self, what: String) {
        eprintln!("violation: {what}");
        self.book().violations.push(what);
    }
}
