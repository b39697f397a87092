//! Bots by user agent.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

/// Marks of automated browsers and scripts that the library does not list.
const MORE_MARKS: [&str; 9] = [
    "headless",
    "phantomjs",
    "lighthouse",
    "selenium",
    "puppeteer",
    "playwright",
    "facebookexternalhit",
    "curl/",
    "wget/",
];
/// Parts of harmless agents that hold one of the library's marks: Android's HTTP library and a maker of phones.
const HARMLESS: [&str; 2] = ["okhttp", "cubot"];
/// Longer agents are judged by their beginning; the library takes all above 512 bytes for browsers.
const JUDGED: usize = 400;
/// For each thread; an agent takes some 150 bytes.
const MEMO_SLOTS: usize = 512;

thread_local! {
    /// The last verdicts, by the whole agent: a verdict never depends on what was asked before.
    static MEMO: RefCell<[Option<(String, bool)>; MEMO_SLOTS]> = const { RefCell::new([const { None }; MEMO_SLOTS]) };
}

/// Tells whether a user agent is a crawler's, a monitor's, a preview's or an automated browser's.
///
/// No agent is no evidence: `false`. So are those of SDKs and apps (`analytics-python/2.3`, `okhttp/4.12`),
/// which name no browser engine either.
pub fn is_bot(user_agent: &str) -> bool {
    let user_agent = head(user_agent.trim());
    if user_agent.is_empty() {
        return false;
    }
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(user_agent);
    MEMO.with_borrow_mut(|memo| {
        let slot = &mut memo[hash as usize % MEMO_SLOTS];
        if let Some((known, verdict)) = slot
            && known == user_agent
        {
            return *verdict;
        }
        let verdict = judge(user_agent, hash);
        *slot = Some((user_agent.to_owned(), verdict));
        verdict
    })
}

fn judge(user_agent: &str, hash: u64) -> bool {
    let mut agent = user_agent.to_ascii_lowercase();
    if MORE_MARKS.iter().any(|mark| agent.contains(mark)) {
        return true;
    }
    for part in HARMLESS {
        agent = agent.replace(part, "");
    }
    // The name of an engine makes the library judge by its marks alone. The digits at the end keep its cache,
    // which compares only address, length and the first and last eight bytes, from answering for another agent.
    iscrawl::is_crawler(&format!("{agent} gecko {hash:020}"))
}

fn head(user_agent: &str) -> &str {
    &user_agent[..user_agent.floor_char_boundary(JUDGED)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";

    #[test]
    fn browsers_apps_and_sdks_are_no_bots() {
        for agent in [
            CHROME,
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Linux; Android 10; CUBOT_X30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
            "Dalvik/2.1.0 (Linux; U; Android 13; SM-G991B Build/TP1A)",
            "analytics-python/2.3",
            "analytics-swift/1.5.0",
            "okhttp/4.12.0",
            "News/3.1 CFNetwork/1494.0.7 Darwin/23.4.0",
            "",
        ] {
            assert!(!is_bot(agent), "{agent}");
        }
    }

    #[test]
    fn crawlers_monitors_and_automated_browsers_are_bots() {
        for agent in [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            "facebookexternalhit/1.1",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/98 Safari/537.36 PTST/231",
            "curl/8.5.0",
        ] {
            assert!(is_bot(agent), "{agent}");
        }
    }

    /// Agents of one length with equal ends, at one address, each get their own verdict.
    #[test]
    fn a_reused_buffer_does_not_mix_verdicts() {
        let person = "Mozilla/5.0 (X11; Linux; padding) AppleWebKit/537.36 Safari/537.36";
        let bot = person.replace("padding", "heybot!");
        let mut buffer = String::with_capacity(128);
        for round in 0..200 {
            buffer.clear();
            buffer.push_str(if round % 2 == 0 { person } else { &bot });
            assert_eq!(is_bot(&buffer), round % 2 == 1);
            let uncached = if round % 2 == 0 { person } else { &bot };
            assert_eq!(judge(&buffer, round), judge(uncached, round + 1000));
        }
    }
}
