//! Customers who keep opting out and in again: one whose number has two spellings and one whose number the provider
//! mostly hides among them.
//!
//! Each waits until the application has received an event for its keyword before it sends the next one, so that for
//! most of the time it is certain which keyword is in force.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use messaging::opt_out::OptChange;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::time::{MissedTickBehavior, interval};

use crate::customer::{Author, Customers, Post};
use crate::drive::Pages;
use crate::logs::Keyword;
use crate::now;
use crate::tenant::Fickle;

/// How often the application's log is read.
const LOOK: Duration = Duration::from_millis(50);
/// A customer whose keyword is not reported within this time sends the next one anyway.
const UNHEARD: SignedDuration = SignedDuration::from_secs(40);
/// How long a keyword stays in force after the application has received it.
const REST: std::ops::Range<i64> = 500..6000;

const STOPS: [&str; 4] = ["STOP", "stop", " Stop! ", "unsubscribe"];
const STARTS: [&str; 3] = ["START", "start", "Unstop"];

/// A customer, and the time of their last keyword.
struct Mood {
    fickle: Fickle,
    /// The provider has named number and id together, and the application has received that.
    is_linked: bool,
    next: OptChange,
    /// The position of the last keyword in the diary.
    last: Option<usize>,
    rest: SignedDuration,
}

impl Customers {
    /// Opts out and in until it is stopped, and returns when every keyword is delivered or given up.
    pub async fn waver(self, mut chance: StdRng) -> Result<()> {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let fickle = self.tenant().fickle.iter();
        let mut moods: Vec<Mood> = fickle.map(|fickle| Mood::new(fickle, &mut chance)).collect();
        let (mut post, mut read, mut written) = (Post::new()?, 0, BTreeMap::new());
        let begin = now();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return post.done().await,
                _ = ticks.tick() => {}
            }
            post.tidy()?;
            let now = now();
            let events = self.tenant().app.log_since(read);
            read += events.len();
            {
                let mut diary = self.diary.open();
                for event in &events {
                    let sid = event.event["data"]["providerMessageId"].as_str().unwrap_or_default();
                    hear(&mut diary, &written, event.kind(), sid, now);
                }
            }
            for mood in &mut moods {
                let is_time = {
                    let diary = self.diary.open();
                    let last = mood.last.map(|place| &diary.keywords[place]);
                    mood.is_linked |= last.is_some_and(|last| last.heard_at.is_some());
                    mood.is_time(last, begin, now)
                };
                if is_time {
                    let (sid, place) = self.write_keyword(mood, &mut post, &mut chance).await?;
                    written.insert(sid, place);
                }
            }
        }
    }

    /// Returns the message's id, and its position in the diary.
    async fn write_keyword(&self, mood: &mut Mood, post: &mut Post, chance: &mut StdRng) -> Result<(String, usize)> {
        let words: &[&str] = match mood.next {
            OptChange::Stop => &STOPS,
            OptChange::Start => &STARTS,
        };
        let word = words[chance.random_range(0..words.len())];
        let written_at = now();
        let Fickle { numbers, user_id } = &mood.fickle;
        let number = &numbers[chance.random_range(0..numbers.len())];
        let sid = match user_id {
            // The id alone means nothing until it is known whose it is.
            Some(_) => {
                let number = Some(number.as_str()).filter(|_| !mood.is_linked || chance.random_bool(0.3));
                self.directly(Author { number, user_id: user_id.as_deref() }, word, post, chance)?
            }
            None if chance.random_bool(0.5) => self.through_the_sandbox(number, word).await?,
            None => self.directly(Author::of(number), word, post, chance)?,
        };
        let (tenant, person, change) = (self.tenant().name.clone(), mood.fickle.name().to_owned(), mood.next);
        let keyword =
            Keyword { tenant, person, change, sid: sid.clone(), written_at, heard_at: None, changed_at: None };
        let mut diary = self.diary.open();
        diary.keywords.push(keyword);
        let place = diary.keywords.len() - 1;
        mood.wrote(place, chance);
        Ok((sid, place))
    }
}

/// Records that the application has received a keyword, however late. `written` holds each keyword's position in the
/// diary.
fn hear(diary: &mut Pages, written: &BTreeMap<String, usize>, kind: &str, sid: &str, now: Timestamp) {
    let Some(place) = written.get(sid) else { return };
    let keyword = &mut diary.keywords[*place];
    match kind.rsplit('.').next() {
        Some("received") => keyword.heard_at.get_or_insert(now),
        Some("opted-out" | "opted-in") => keyword.changed_at.get_or_insert(now),
        _ => return,
    };
}

impl Mood {
    fn new(fickle: &Fickle, chance: &mut StdRng) -> Self {
        let rest = SignedDuration::from_millis(chance.random_range(REST));
        Self { fickle: fickle.clone(), is_linked: false, next: OptChange::Stop, last: None, rest }
    }

    fn is_time(&self, last: Option<&Keyword>, begin: Timestamp, now: Timestamp) -> bool {
        match last {
            None => now.duration_since(begin) >= self.rest,
            Some(Keyword { heard_at: Some(heard_at), .. }) => now.duration_since(*heard_at) >= self.rest,
            Some(Keyword { written_at, .. }) => now.duration_since(*written_at) >= UNHEARD,
        }
    }

    fn wrote(&mut self, place: usize, chance: &mut StdRng) {
        self.last = Some(place);
        self.rest = SignedDuration::from_millis(chance.random_range(REST));
        self.next = match self.next {
            OptChange::Stop => OptChange::Start,
            OptChange::Start => OptChange::Stop,
        };
    }
}
