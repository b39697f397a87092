//! Events as JSON text, as `/v1/batch` takes them.

use std::fmt::Write as _;

use uuid::Uuid;

use super::articles::{author_id, author_name};
use super::calendar::timestamp;
use super::client::{Agent, agent};
use super::event::{CURRENCY, Event, Ids, LABELS, NETWORKS, PRODUCTS, Page, What};
use super::mail::NEWSLETTERS;
use super::random::mix;
use super::topics::{LANGUAGES, query};
use super::world::World;

const SITE: &str = "https://magazine.example";
const HOME: &str = "\"The Magazine\"";
/// Addresses that are set aside for documentation.
const NETWORKS_OF_NOBODY: [&str; 3] = ["192.0.2", "198.51.100", "203.0.113"];

pub(super) fn user_id(world: &World, person: u32) -> String {
    format!("{}-u{person}", world.tag)
}

/// Of a person's device.
pub(super) fn anonymous_id(world: &World, person: u32, device: u8) -> Uuid {
    let high = mix(world.key ^ u64::from(person));
    let low = mix(high ^ u64::from(device));
    uuid::Builder::from_u128(pair(high, low))
        .with_variant(uuid::Variant::RFC4122)
        .with_version(uuid::Version::Random)
        .into_uuid()
}

/// The world's key and the event's place: no two events of a world have the same.
pub(super) fn message_id(world: &World, number: u64) -> Uuid {
    uuid::Builder::from_u128(pair(world.key, number))
        .with_variant(uuid::Variant::RFC4122)
        .with_version(uuid::Version::Custom)
        .into_uuid()
}

fn pair(high: u64, low: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// Appends one event. What is not a constant or a number here was made into JSON when it was made.
pub(super) fn write(world: &World, event: &Event, number: u64, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = write_event(world, event, number, text);
}

fn write_event(world: &World, event: &Event, number: u64, text: &mut String) -> std::fmt::Result {
    let kind = match event.what {
        What::Page => "page",
        What::Identify => "identify",
        _ => "track",
    };
    write!(
        text,
        "{{\"type\":\"{kind}\",\"messageId\":\"{}\"",
        message_id(world, number)
    )?;
    if event.ids != Ids::User {
        write!(
            text,
            ",\"anonymousId\":\"{}\"",
            anonymous_id(world, event.person, event.device)
        )?;
    }
    if event.ids != Ids::Visitor {
        write!(text, ",\"userId\":\"{}-u{}\"", world.tag, event.person)?;
    }
    if kind == "track" {
        write!(text, ",\"event\":\"{}\"", LABELS[event.what.label()])?;
    }
    write!(text, ",\"timestamp\":\"{}\"", timestamp(event.at))?;
    if event.what == What::Identify {
        traits(world, event, text)?;
    } else {
        text.push_str(",\"properties\":{");
        properties(world, event, text)?;
        text.push('}');
    }
    context(world, event, text)?;
    text.push('}');
    Ok(())
}

fn traits(world: &World, event: &Event, text: &mut String) -> std::fmt::Result {
    let language = LANGUAGES[world.people[event.person as usize].language as usize].0;
    write!(
        text,
        ",\"traits\":{{\"plan\":\"free\",\"language\":\"{language}\"}}"
    )
}

fn properties(world: &World, event: &Event, text: &mut String) -> std::fmt::Result {
    let members = |article: u32| &world.articles[article as usize].members;
    match event.what {
        What::Page => page(world, event, text),
        What::Identify => Ok(()),
        What::SignedUp => text.write_str("\"method\":\"email\""),
        What::Viewed(article)
        | What::Completed(article)
        | What::VideoStarted(article)
        | What::VideoCompleted(article)
        | What::Commented(article)
        | What::Liked(article)
        | What::Published(article)
        | What::Unpublished(article) => text.write_str(members(article)),
        What::Read { article, seconds, .. } => {
            write!(text, "{},\"engaged_seconds\":{seconds}", members(article))
        }
        What::Engaged { article, seconds, .. } => {
            if let Some(article) = article {
                write!(text, "{},", members(article))?;
            }
            write!(text, "\"engaged_seconds\":{seconds}")
        }
        What::Shared { article, network } => {
            let network = NETWORKS[network as usize];
            write!(text, "{},\"network\":\"{network}\"", members(article))
        }
        What::Followed(article) => author(world, world.articles[article as usize].author, text),
        What::Subscribed(newsletter) => newsletter_members(newsletter, text),
        What::Opened { newsletter, issue } => {
            newsletter_members(newsletter, text)?;
            write!(text, ",\"issue\":{issue}")
        }
        What::Clicked {
            newsletter,
            issue,
            article,
        } => {
            newsletter_members(newsletter, text)?;
            write!(text, ",\"issue\":{issue},{}", members(article))
        }
        What::Ordered { product, number } => order(world, event.person, product, number, text),
        What::Searched {
            topic,
            language,
            number,
        } => {
            let query = query(topic, language, number);
            write!(text, "\"query\":\"{query}\",\"results_count\":{}", 3 + number * 4)
        }
        What::Shown { article, position } | What::Recommended { article, position } => {
            write!(text, "{},\"position\":{position}", members(article))
        }
    }
}

fn author(world: &World, author: u32, text: &mut String) -> std::fmt::Result {
    let (id, name) = (author_id(&world.tag, author), author_name(author));
    write!(text, "\"author_id\":\"{id}\",\"author\":\"{name}\"")
}

fn order(world: &World, person: u32, product: u8, number: u16, text: &mut String) -> std::fmt::Result {
    let (name, cents) = PRODUCTS[product as usize];
    let (tag, whole, cents) = (&world.tag, cents / 100, cents % 100);
    write!(
        text,
        "\"order_id\":\"{tag}-o{person}-{number}\",\"revenue\":{whole}.{cents:02}"
    )?;
    write!(text, ",\"currency\":\"{CURRENCY}\",\"product\":\"{name}\"")
}

fn newsletter_members(newsletter: u8, text: &mut String) -> std::fmt::Result {
    let newsletter = &NEWSLETTERS[newsletter as usize];
    write!(
        text,
        "\"newsletter_id\":\"{}\",\"newsletter\":\"{}\"",
        newsletter.id, newsletter.name
    )
}

/// Address, path, title and referrer of the page: the properties of a page event, and `context.page` of all.
fn page(world: &World, event: &Event, text: &mut String) -> std::fmt::Result {
    let (path, title) = match event.page {
        Page::Nowhere => return Ok(()),
        Page::Home => ("/", HOME),
        Page::Article(article) => {
            let article = &world.articles[article as usize];
            (article.path.as_str(), article.title.as_str())
        }
    };
    write!(text, "\"url\":\"{SITE}{path}")?;
    if let Some((source, medium, name)) = event.entry.and_then(|channel| channel.campaign()) {
        write!(
            text,
            "?utm_source={source}&utm_medium={medium}&utm_campaign={name}"
        )?;
    }
    write!(text, "\",\"path\":\"{path}\",\"title\":{title},\"referrer\":\"")?;
    match event.entry {
        Some(channel) => text.push_str(channel.referrer()),
        None => write!(text, "{SITE}/")?,
    }
    text.push('"');
    Ok(())
}

fn context(world: &World, event: &Event, text: &mut String) -> std::fmt::Result {
    text.push_str(",\"context\":{\"library\":{\"name\":\"momsflow-demo\",\"version\":\"1\"}");
    let Some(place) = event.agent else {
        text.push('}');
        return Ok(());
    };
    let Agent {
        text: user_agent,
        device,
        os,
    } = agent(place);
    let person = &world.people[event.person as usize];
    let locale = LANGUAGES[person.language as usize].1;
    let network = NETWORKS_OF_NOBODY[event.person as usize % 3];
    write!(
        text,
        ",\"userAgent\":\"{user_agent}\",\"locale\":\"{locale}\",\"ip\":\"{network}.{}\"",
        event.person / 3 % 254 + 1
    )?;
    if !device.is_empty() {
        write!(
            text,
            ",\"device\":{{\"type\":\"{device}\"}},\"os\":{{\"name\":\"{os}\"}},\"timezone\":{}",
            world.timezone
        )?;
    }
    if event.page != Page::Nowhere {
        text.push_str(",\"page\":{");
        page(world, event, text)?;
        text.push('}');
    }
    if let Some((source, medium, name)) = event.entry.and_then(|channel| channel.campaign()) {
        write!(
            text,
            ",\"campaign\":{{\"source\":\"{source}\",\"medium\":\"{medium}\",\"name\":\"{name}\"}}"
        )?;
    }
    text.push('}');
    Ok(())
}
